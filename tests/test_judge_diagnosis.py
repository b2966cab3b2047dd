"""What the judge says of a wrong output: one cause, ties with what separates them, or none; and of a right one, what it could not show."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faulty import KERNELS, Kernel, narrow
from npconv.judge import reading as reading_module
from npconv.judge.audit import Audit, audit
from npconv.judge.call import Call, checked_call
from npconv.judge.diagnosis import Cause, Diagnosis, causes
from npconv.judge.fault import Fault
from npconv.judge.faults import FAMILIES, FAULTS
from npconv.judge.model import MODELS, Model, model_of
from npconv.judge.oracle import expected
from npconv.judge.precision import PRECISIONS
from npconv.judge.reading import plain, same
from npconv.judge.separation import described, separating
from npconv.judge.verdict import Verdict, judge

Arrays = tuple[Any, Any, Any]
FAULT = {fault.name: fault for fault in FAULTS}
OPTIONS: Any = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 3}


def call_of(x_shape: Any, weight_shape: Any, dtype: str = "float32", seed: int = 0, **options: Any) -> Call:
    rng = np.random.default_rng(seed)
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, weight_shape, weight_shape[:1]))
    return checked_call(x, weight, bias, **options)


def diagnosed(y: Any, call: Call, model: Any = None) -> Diagnosis:
    claimed = model_of(model, call)
    judgement = judge(y, expected(call, claimed), claimed)
    assert judgement.verdict == Verdict.WRONG
    return causes(y, call, claimed, judgement)


def audited(x: Any, weight: Any, bias: Any = None, **options: Any) -> Audit:
    call = checked_call(x, weight, bias, **options)
    model = model_of(None, call)
    return audit(call, model, expected(call, model))


@pytest.fixture
def call() -> Call:
    return call_of((2, 6, 7, 8), (6, 2, 3, 3), **OPTIONS)


def test_names_are_unique_and_sentences_whole() -> None:
    known = [(fault.name, fault.sentence) for fault in (*FAULTS, *PRECISIONS)] + [
        (each.name, each.sentence) for each in FAMILIES
    ]
    assert len(dict(known)) == len(known) > 100
    assert all(sentence.endswith(".") and sentence[0].isupper() for _, sentence in known)


def test_what_is_lost_to_rounding_reads_what_is_right(call: Call) -> None:
    assert [fault.reading(plain(call)) for fault in PRECISIONS] == [None] * len(PRECISIONS)


def test_a_right_output_has_no_cause(call: Call) -> None:
    model = MODELS["float32"]
    y = Kernel()(call)
    assert causes(y, call, model, judge(y, expected(call, model), model)) == Diagnosis()


def test_a_cause_is_told_in_a_sentence(call: Call) -> None:
    diagnosis = diagnosed(KERNELS["kernel flipped in y"](call), call)
    assert diagnosis.names == ("kernel flipped in y",)
    assert str(diagnosis) == "kernel flipped in y: The rows of each filter are read from last to first."


TWO_AT_ONCE = {
    "flipped, without bias": replace(KERNELS["kernel flipped in y"], bias=KERNELS["bias missing"].bias),
    "groups reversed, padding swapped": replace(
        KERNELS["groups reversed"], column=KERNELS["pad sides swapped in x"].column
    ),
    "transposed, inputs in bfloat16": replace(
        KERNELS["kernel transposed"], load=KERNELS["inputs rounded to bfloat16"].load
    ),
    "stride ignored, last row left out": replace(
        KERNELS["stride ignored"], of_y=KERNELS["last output row dropped"].of_y
    ),
    "first channel dropped, ReLU": replace(KERNELS["first channel dropped"], store=KERNELS["ReLU applied"].store),
    "batch reversed, next group's weights": replace(
        KERNELS["batch reversed"], of_weight=KERNELS["next group's weights"].of_weight
    ),
    "NHWC output, bias shifted": replace(KERNELS["NHWC output taken for NCHW"], bias=KERNELS["bias shifted"].bias),
    "replicated edge, accumulated in float16": replace(
        KERNELS["replicate padding"], add=KERNELS["accumulated in float16"].add
    ),
}


@pytest.mark.parametrize("pair", TWO_AT_ONCE)
def test_two_mistakes_at_once_are_wrong_and_have_no_single_name(call: Call, pair: str) -> None:
    diagnosis = diagnosed(TWO_AT_ONCE[pair](call), call)
    assert diagnosis.names == ()
    assert str(diagnosis) == f"No single mistake of the {diagnosis.known} known explains this output."
    assert diagnosis.known > 100


def test_a_tie_is_proven_and_told_apart(call: Call) -> None:
    diagnosis = diagnosed(KERNELS["pad sides swapped in y"](call), call)
    (cause,) = diagnosis.causes
    assert set(cause.names) == {"pad sides swapped in y", "input shifted by one row up"}
    assert same(FAULT[cause.names[0]].terms(plain(call)), FAULT[cause.names[1]].terms(plain(call)))
    ((name, geometry),) = cause.separating()
    assert name == cause.names[1]
    assert geometry is not None
    assert (
        f"is the same as {name} on this geometry, proven for any data; {described(geometry)} tells them apart."
        in str(diagnosis)
    )


def test_data_can_leave_two_causes() -> None:
    call = checked_call(np.ones((2, 1, 3, 3), "f4"), np.arange(9, dtype="f4").reshape(1, 1, 3, 3))
    y = KERNELS["last tap dropped"](call)
    diagnosis = diagnosed(y, call)
    assert {"last tap dropped", "last product dropped"} & set(diagnosis.names)
    assert len(diagnosis.causes) > 1
    assert "On this data, " in str(diagnosis)
    assert "other data would tell." in str(diagnosis)


def test_mistakes_that_never_differ_have_no_geometry_between_them() -> None:
    fault = FAULT["kernel flipped in y"]
    assert separating(fault, replace(fault, name="upside down")) is None
    text = str(Diagnosis((Cause(fault, (replace(fault, name="upside down"),), 0.0),), 1))
    assert text.endswith("That is the same as upside down on this geometry, proven for any data.")


def test_a_mistake_is_told_from_none_at_all() -> None:
    harmless = Fault("harmless", "Nothing is wrong.", "kernel", lambda right: right)
    geometry = separating(FAULT["bias missing"], harmless)
    assert geometry is not None
    assert described(geometry) == "x (1, 1, 1, 1), weight (1, 1, 1, 1)"


def test_sums_too_many_to_sort_are_not_said_to_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of((1, 2, 1, 5), (3, 2, 1, 3), padding=((0, 0), (1, 2)))
    one, other = (
        FAULT[name].terms(plain(call))
        for name in ("pad sides swapped in x", "input shifted by one column to the right")
    )
    assert same(one, other)
    two = replace(other, rows=other.rows.copy(), channels=other.channels[:, ::-1], weight=other.weight[:, ::-1])
    assert same(one, two)
    monkeypatch.setattr(reading_module, "_PROVABLE", 0)
    assert not same(one, two)


@pytest.mark.parametrize("form", ["bfloat16", "float16"])
def test_narrow_arithmetic_shows_in_the_bits(call: Call, form: str) -> None:
    assert f"accumulated in {form}" in diagnosed(KERNELS[f"accumulated in {form}"](call), call).names
    assert f"outputs rounded to {form}" in diagnosed(KERNELS[f"outputs rounded to {form}"](call), call).names


def test_a_small_error_everywhere_is_not_taken_for_narrow_arithmetic(call: Call) -> None:
    y = Kernel()(call)
    y += np.float32(1e-3) * np.random.default_rng(1).standard_normal(y.shape).astype("f4")
    assert diagnosed(y, call).names == ()


def test_float64_summed_in_float32() -> None:
    call = call_of((2, 3, 5, 6), (4, 3, 3, 3), "float64", padding=1)
    assert diagnosed(KERNELS["accumulated in float32"](call), call).names[-1] == "accumulated in float32"
    y = KERNELS["inputs rounded to float32"](call)
    assert diagnosed(y, call).names == ("inputs rounded to float32",)


def test_float16_beyond_its_range() -> None:
    call = call_of((1, 3, 5, 6), (4, 3, 3, 3))
    call = replace(call, x=call.x * np.float32(1e5))
    diagnosis = diagnosed(KERNELS["inputs rounded to float16"](call), call)
    assert "inputs rounded to float16, out of its range" in diagnosis.names


@pytest.mark.parametrize("model", ["mixed_bfloat16", "tf32", "float16", Model("float32", flushes_subnormals=True)])
def test_structure_is_named_under_any_model(call: Call, model: Any) -> None:
    claimed = model_of(model, call)
    y = KERNELS["groups reversed"](call)
    if claimed.inputs:
        y = replace(
            KERNELS["groups reversed"],
            load=lambda v: narrow(str(claimed.inputs), v),
            load_weight=lambda v: narrow(str(claimed.inputs), v),
        )(call)
    if claimed.output:
        y = narrow(claimed.output, y)
    assert "groups reversed" in diagnosed(y, call, model).names


def test_structure_is_named_in_spite_of_winograd() -> None:
    call = call_of((2, 6, 7, 8), (6, 2, 3, 3), groups=3, padding=((1, 0), (1, 1)))
    y = KERNELS["groups reversed"](call)
    off = y + 20 * expected(call, MODELS["float32"]).bound * np.where(y > 0, 1, -1)
    assert diagnosed(off.astype("f4"), call).names == ()
    assert "groups reversed" in diagnosed(off.astype("f4"), call, "winograd").names
    assert "last kernel row dropped" in diagnosed(KERNELS["last kernel row dropped"](call), call, "winograd").names


def test_float16_data() -> None:
    call = call_of((2, 4, 5, 6), (6, 2, 3, 3), "float16", groups=2)
    wide = replace(
        call,
        x=call.x.astype("f4"),
        weight=call.weight.astype("f4"),
        bias=None if call.bias is None else call.bias.astype("f4"),
    )
    assert diagnosed(KERNELS["kernel transposed"](wide).astype("f2"), call).names == ("kernel transposed",)


def test_a_tap_that_is_skipped_takes_no_colour_from_a_dye() -> None:
    call = call_of((2, 4, 6, 7), (6, 2, 3, 3), groups=2, padding=1)
    call.x[1, 2, 3, 3] = np.nan
    assert diagnosed(KERNELS["last tap dropped"](call), call).names == ("last tap dropped",)


def test_integers_left_unwritten() -> None:
    rng = np.random.default_rng(0)
    call = checked_call(rng.integers(-9, 9, (2, 4, 5, 6)), rng.integers(-9, 9, (6, 4, 3, 3)))
    y = Kernel()(call)
    y[:, :, -1] = np.iinfo(np.int64).min
    assert diagnosed(y, call).names == ("last output row dropped",)


def test_a_zero_point_is_read_off_integers() -> None:
    rng = np.random.default_rng(0)
    call = checked_call(
        rng.integers(-9, 9, (2, 4, 5, 6)).astype("i1"), rng.integers(-9, 9, (6, 4, 3, 3)).astype("i1"), padding=1
    )
    shifted = replace(call, x=call.x.astype("i4") + 77)
    assert diagnosed(Kernel()(shifted), call).names == ("zero point 77 not subtracted",)
    assert diagnosed(replace(Kernel(), padding=-77)(call), call).names == ("padding of -77",)


def test_a_small_case_takes_less_than_30_ms(call: Call) -> None:
    y = KERNELS["kernel flipped in y and x"](call)
    model = MODELS["float32"]

    def seconds() -> float:
        start = time.process_time()
        due = expected(call, model)
        causes(y, call, model, judge(y, due, model))
        return time.process_time() - start

    # Of this process, and the fastest of many: other processes only ever make it slower.
    assert min(seconds() for _ in range(30)) < 0.030


# What a right output does not prove.

X = np.random.default_rng(0).standard_normal((2, 6, 7, 8)).astype("f4")
W = np.random.default_rng(1).standard_normal((6, 2, 3, 3)).astype("f4")
B = np.random.default_rng(2).standard_normal(6).astype("f4")
FLIPS = {"kernel flipped in y", "kernel flipped in x", "kernel flipped in y and x"}
GROUPS = {
    "groups ignored",
    "groups off by one",
    "groups reversed",
    "groups interleaved",
    "channels interleaved",
    "next group's weights",
}


def test_full_data_shows_what_the_geometry_has_room_for() -> None:
    found = audited(X, W, B, **OPTIONS)
    assert all(fault.of_geometry for fault in found.unseen)
    assert not FLIPS & set(found.names)
    assert str(found).startswith(
        f"Of {found.known} known mistakes, {found.known - len(found.unseen)} would have been noticed on this data."
    )
    assert "Not noticed, since there is no dilation: dilation axes swapped, dilation ignored" in str(found)


def test_ones_show_little() -> None:
    found = audited(np.ones_like(X), np.ones_like(W), np.ones_like(B), **OPTIONS)
    of_weights, of_image = found.reasons["the weights are constant"], found.reasons["the image is constant"]
    assert set(of_weights) > FLIPS | {"O and I exchanged", "OHWI weights read as OIHW", "next group's weights"}
    assert set(of_image) > (GROUPS - {"next group's weights"}) | {"batch 0 repeated", "NHWC image read as NCHW"}
    assert "bias shifted" in found.reasons["the bias is constant"]
    assert "ReLU applied" in found.reasons["no output is negative"]
    assert "accumulated in float16" in found.names
    # What ones do show: how many taps met the image.
    assert not {"padding ignored", "last tap dropped", "bias missing"} & set(found.names)


def test_constant_weights_hide_how_they_are_read() -> None:
    found = audited(X, np.full_like(W, 0.3), B, **OPTIONS)
    assert set(found.reasons["the weights are constant"]) > FLIPS
    assert "groups reversed" not in found.names


def test_symmetric_kernels_hide_flips() -> None:
    even = W + W[:, :, ::-1]
    found = audited(X, even + even[..., ::-1], B, **OPTIONS)
    assert set(found.reasons["the weights are the same when they are read like that"]) == FLIPS


def test_one_group_hides_groups() -> None:
    found = audited(X, np.random.default_rng(3).standard_normal((6, 6, 3, 3)).astype("f4"), B)
    assert GROUPS <= set(found.reasons["there is one group"])


def test_small_integers_hide_narrow_inputs() -> None:
    rng = np.random.default_rng(4)
    x, weight = (rng.integers(-255, 256, shape).astype("f4") for shape in (X.shape, W.shape))
    found = audited(x, weight, B, **OPTIONS)
    assert "inputs rounded to bfloat16" in found.reasons["every operand is a number of bfloat16 already"]
    assert "inputs rounded to tf32 or float16" in found.reasons["every operand is a number of tf32 already"]
    assert "accumulated in bfloat16" not in found.names
    tiny = audited(*(rng.integers(-1, 2, a.shape).astype("f4") for a in (X, W)), **OPTIONS)
    assert "accumulated in bfloat16" in tiny.reasons["every output is a number of bfloat16, within its bound"]
    assert "inputs and outputs rounded to float16" in tiny.names


def test_long_sums_hide_narrow_inputs() -> None:
    rng = np.random.default_rng(5)
    found = audited(*(rng.standard_normal(shape).astype("f4") for shape in ((1, 512, 3, 4), (2, 512, 3, 3))))
    why = "sums are so long that their bound is wider than what rounding the operands changes"
    assert "inputs rounded to tf32 or float16" in found.reasons[why]


@pytest.mark.parametrize(
    ("x", "weight", "bias", "name", "why"),
    [
        (X, W, 0 * B, "bias missing", "the bias is zero"),
        (X, W, 0 * B + 1, "bias shifted", "the bias is constant"),
        (X, W, None, "bias missing", "there is no bias"),
        (X, W, B * np.float32(1e-9), "bias shifted", "its effect on this data is within the bound"),
        (0 * X, W, None, "sign flipped", "every output is zero"),
        (X[:, :, :1], W[:, :, :1], B, "kernel flipped in y", "the kernel is a single row or column"),
        (
            X[:, :4],
            W[:4],
            None,
            "channel shuffle inverse",
            "a shuffle of as many groups as each has channels undoes itself",
        ),
        (np.tile(X[:1], (2, 1, 1, 1)), W, B, "batch 0 repeated", "its effect on this data is within the bound"),
        (
            np.tile(X[:1, :, :1, :1], (2, 1, 7, 7)),
            W,
            B,
            "H and W of the image exchanged",
            "the image is the same when it is read like that",
        ),
        (X.astype("i4"), W.astype("i4"), None, "wrapped at 32 bits", "no output is as large"),
    ],
)
def test_reasons(x: Any, weight: Any, bias: Any, name: str, why: str) -> None:
    found = audited(x, weight, bias, groups=x.shape[1] // weight.shape[1])
    assert name in found.reasons[why]
