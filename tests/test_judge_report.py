"""Reports: what `check` says, shows and refuses."""

import json
import re
from typing import Any

import numpy as np
import pytest

import npconv as nc
from cases import Array
from npconv.judge import Model, Verdict
from npconv.judge.report import Report

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 4, 6, 7)).astype(np.float32)
WEIGHT = RNG.standard_normal((6, 2, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(6).astype(np.float32)
OPTIONS: dict[str, Any] = {"padding": ((0, 1), (2, 1)), "groups": 2, "dilation": (1, 2)}


def right() -> Array:
    return np.array(nc.reference.conv2d(X, WEIGHT, BIAS, **OPTIONS), np.float32)


def check(y: Any, **options: Any) -> Report:
    report: Report = nc.check(y, X, WEIGHT, BIAS, **(OPTIONS | options))
    return report


def test_a_right_output() -> None:
    report = check(right())
    assert report.verdict is Verdict.WITHIN_BOUND
    assert report.first is None
    assert report.where == ""
    assert report.worst is not None
    assert 0 < report.worst.excess < 1
    report.raise_if_wrong()
    text = str(report)
    assert text.startswith("WITHIN_BOUND: every error is within what rounding explains.\n")
    assert "closest" in text
    assert "unseen" in text
    whole = nc.check(np.full((1, 2, 2, 2), 4), np.ones((1, 1, 3, 3), int), np.ones((2, 1, 2, 2), int))
    assert str(whole).startswith("EXACT: every output has the one value that any order of summation gives.\n")
    assert "closest" not in str(whole)
    # Sums in float64 are held to a narrower bound.
    assert check(right(), exact=True).verdict is Verdict.WITHIN_BOUND


def test_a_wrong_output_has_an_address() -> None:
    y = right()
    y[1, 4, 4, 0] += 1
    y[1, 4, 4, 2] -= 2
    report = check(y)
    assert report.verdict is Verdict.WRONG
    assert report.where == "image 1, channel 4, last output row, output columns 0 and 2: all 2 outputs"
    assert report.first is not None
    assert report.worst is not None
    assert report.first.index == (1, 4, 4, 0)
    first = report.first
    assert (first.group, first.channel_in_group, first.got) == (1, 1, float(y[1, 4, 4, 0]))
    np.testing.assert_allclose(first.got - first.expected, 1, rtol=1e-6)
    # Rows 4 to 6 of 6 and columns -2, 0 and 2: of each channel's nine taps, two rows and two columns meet cells.
    assert (first.rows, first.columns, first.channels) == (range(4, 7), range(-2, 3, 2), range(2, 4))
    assert (first.taps, first.padding_taps, first.h) == (18, 2 * (9 - 4), 2 * 4 + 1)
    assert first.window == "rows 4 to 6, columns -2, 0 and 2, channels 2 to 3 of x; 10 of its 18 taps lie in padding"
    assert report.worst.index == (1, 4, 4, 2)
    with pytest.raises(AssertionError, match="WRONG: 2 of 360 outputs"):
        report.raise_if_wrong()


def test_the_report_in_full() -> None:
    x, weight = np.ones((1, 1, 3, 3), np.float32), np.full((2, 1, 2, 2), 0.1, np.float32)
    y = np.full((1, 2, 2, 2), 0.4, np.float32)
    y[0, 1, 0, 1] = 0.5
    y[0, 1, 1, 0] = 0.6
    assert str(nc.check(y, x, weight)).splitlines() == [
        "WRONG: 2 of 8 outputs are what no order of summation gives.",
        "  call      x (1, 1, 3, 3), weight (2, 1, 2, 2)",
        "  model     sums in float32",
        "  where     channel 1, positions 1 to 2 of each plane: all 2 outputs",
        f"  cause     {nc.check(y, x, weight).diagnosis}",
        "  worst     y[0, 1, 1, 0]: image 0, channel 1, row 1, column 0",
        "            got       0.600000024",
        "            expected  0.400000006 +/- 9.5e-08",
        "            off by    0.2, 2,097,152 times what rounding explains",
        "            bound     h*u*S: h = 4 terms that are not zero, u = 2^-24, S = 0.4 adds up their magnitudes",
        "            reads     rows 1 to 2, columns 0 to 1, channel 0 of x; no padding",
        "  first     y[0, 1, 0, 1]: image 0, channel 1, row 0, column 1",
        "            got       0.5",
        "            expected  0.400000006 +/- 9.5e-08",
    ]


def test_reasons_of_single_outputs() -> None:
    def reason(y: Any, x: Any, weight: Any, **options: Any) -> str:
        worst = nc.check(np.asarray(y).reshape(1, 1, 1, 1), np.asarray(x).reshape(1, 1, 1, -1), weight, **options).worst
        assert worst is not None
        return worst.told(options.get("model") or Model("int64" if isinstance(y, int) else "float64"))[-2]

    ones = np.ones((1, 1, 1, 2))
    assert reason(3, [1, 1], ones.astype(int)) == "bound     none: int64 sums are exact modulo 2^64, in any order"
    assert reason(3.0, [1.0, 1.0], ones) == "bound     none: any order of summation gives that very value"
    assert (
        reason(3.0, [1.0, np.inf], ones) == "bound     none: infinities and NaN among the data give that in any order"
    )
    single = Model("float32", inputs="float32")
    assert reason(3.0, [0.1, 0.3], 0.3 * ones, model=single).endswith("magnitudes; and what else the model rounds")


def test_steps_of_windows() -> None:
    x, weight = np.ones((1, 1, 9, 9)), np.ones((1, 1, 5, 2))
    report = nc.check(np.zeros((1, 1, 1, 1)), x, weight, dilation=(2, 8))
    assert report.worst is not None
    assert report.worst.window == "rows 0 to 8 in steps of 2, columns 0 and 8, channel 0 of x; no padding"


def test_json_holds_everything_but_arrays() -> None:
    y = right()
    y[0, 0, 0, 0] = np.nan
    y[0, 0, 0, 1] += 1
    told = json.loads(json.dumps(check(y).to_json(), allow_nan=False))
    assert told["verdict"] == "WRONG"
    assert told["reason"] == "2 of 360 outputs are what no order of summation gives, 1 of them NaN or infinite"
    assert (told["outputs"], told["wrong"]) == (360, 2)
    assert told["first"]["index"] == told["worst"]["index"] == [0, 0, 0, 0]
    assert told["first"]["got"] == "nan"
    assert told["first"]["columns"] == [-2, 0, 2]
    assert (told["padding"], told["groups"], told["bias"]) == ([[0, 1], [2, 1]], 2, True)
    right_told = check(right()).to_json()
    assert right_told["first"] is None
    assert right_told["causes"] == []


def test_html_shows_the_same_rows() -> None:
    report = check(right() + 1)
    html = report._repr_html_()
    assert "<b style='color:#cf222e'>WRONG</b>" in html
    assert [re.sub("<.*?>", "", head) for head in re.findall("<th.*?</th>", html)] == [
        "call",
        "model",
        "where",
        "cause",
        "worst",
        "first",
    ]


def test_an_empty_batch_has_no_worst_output() -> None:
    report = nc.check(np.zeros((0, 2, 2, 2)), np.zeros((0, 1, 2, 2)), np.zeros((2, 1, 1, 1)))
    assert report.worst is None
    assert str(report).startswith("INCONCLUSIVE: the batch is empty: there is nothing to compare.")


def test_an_output_that_was_never_written() -> None:
    report = check(np.full_like(right(), np.nan))
    assert (
        report.judgement.reason
        == "360 of 360 outputs are what no order of summation gives, 360 of them NaN or infinite"
    )
    assert report.worst is not None
    assert report.worst.index == (0, 0, 0, 0)
    assert "nothing computed" in report.diagnosis.names


@pytest.mark.parametrize(
    ("kind", "y", "options", "text"),
    [
        (
            ValueError,
            right().transpose(0, 2, 3, 1),
            {},
            r"check: actual has shape (2, 5, 6, 6), but the output of this call has shape",
        ),
        (ValueError, right()[0], {}, "check: actual has shape (6, 5, 6), but the output"),
        (TypeError, right() > 0, {}, "check: actual has dtype bool"),
        (TypeError, right().astype(np.int64), {}, "check: actual is int64, but x and weight are floats"),
        (
            TypeError,
            right().astype(np.float16),
            {},
            'Did you mean model=npconv.judge.Model("float32", output="float16")?',
        ),
        (ValueError, right(), {"groups": 3}, "check: x has 4 channels, which cannot be split evenly into 3 groups"),
        (ValueError, right(), {"model": "float31"}, "check: there is no model 'float31'; there are float64, "),
        (
            TypeError,
            right(),
            {"model": 3},
            "check: model is 3 (int), but must be a name or a Model. Did you mean 'float32'?",
        ),
        (ValueError, right(), {"model": "int32"}, "check: model sums in int32, but x and weight are floats."),
        (ValueError, right()[..., :-1], {"model": "float32"}, "model='float32'"),
    ],
)
def test_bad_input_is_told(kind: type[Exception], y: Array, options: dict[str, Any], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        check(y, **options)


def test_integers_that_do_not_fit_are_told() -> None:
    x, weight = np.ones((1, 1, 3, 3), np.int8), np.ones((1, 1, 3, 3), np.int8)
    with pytest.raises(
        TypeError, match="check: actual is int8, but sums are int64: an output that was scaled or cut is no sum"
    ):
        nc.check(np.full((1, 1, 1, 1), 9, np.int8), x, weight)
    with pytest.raises(
        TypeError, match=r"check: actual is float64, but x and weight are integers; .* x\.astype\(np\.float64\)"
    ):
        nc.check(np.full((1, 1, 1, 1), 9.0), x, weight)
    with pytest.raises(
        ValueError, match=r"check: model sums in float32, but x and weight are integers\. Did you mean model='int32'?"
    ):
        nc.check(np.full((1, 1, 1, 1), 9), x, weight, model="float32")
    assert nc.check(np.full((1, 1, 1, 1), 9, ">i4"), x, weight).verdict is Verdict.EXACT
