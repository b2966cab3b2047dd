"""The runner: it finds what is wrong, makes it small, names it, and survives whatever a function does."""

import json
import signal
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from functions_under_test import hangs, right, upside_down
from npconv.geometry import conv2d_geometry
from npconv.judge import apart
from npconv.judge.apart import Apart, serve
from npconv.judge.call import Call, checked_call
from npconv.judge.case_files import load_case
from npconv.judge.formats import rounded
from npconv.judge.named import load
from npconv.judge.run import Limits, Run
from npconv.judge.runner import check_function
from npconv.judge.shapes import likely_reading
from npconv.judge.trial import Outcome, Trouble, attempt, takes_out
from npconv.judge.verdict import Verdict

HERE = Path(__file__).parent / "functions_under_test.py"


def a_call(**options: Any) -> Call:
    rng = np.random.default_rng(0)
    x, weight = rng.integers(1, 9, (2, 4, 5, 7)).astype(np.float32), rng.integers(1, 9, (6, 2, 3, 2)).astype(np.float32)
    return checked_call(
        x, weight, np.arange(6, dtype=np.float32), **{"stride": (2, 1), "padding": 1, "groups": 2, **options}
    )


def test_a_right_function_is_found_right() -> None:
    summary = check_function(right, cases=150)
    assert summary.verdict is Verdict.WITHIN_BOUND
    assert summary.findings == ()
    assert sum(summary.verdicts.values()) == 150
    assert summary.verdicts["EXACT"] > 50
    assert (summary.skipped, summary.unseen, summary.types) == (0, (), ())
    summary.raise_if_wrong()


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint8", "int32"])
def test_other_types(dtype: str) -> None:
    def wide(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
        kind = {"f": np.promote_types(dtype, np.float32), "i": np.int64, "u": np.int64}[np.dtype(dtype).kind]
        y = right(x.astype(kind), weight.astype(kind), bias, **options)
        return y.astype(np.float16) if dtype == "float16" else y

    summary = check_function(wide, dtype=dtype, cases=100)
    assert summary.verdict in (Verdict.WITHIN_BOUND, Verdict.EXACT), str(summary)


def test_a_mistake_is_named_small_and_saved(tmp_path: Path) -> None:
    summary = check_function(upside_down, save=tmp_path / "case.npz")
    assert summary.verdict is Verdict.WRONG
    (finding,) = summary.findings
    assert finding.names == ("pad sides swapped in y",)
    assert finding.count == summary.failures > 9
    g = finding.case.geometry
    assert (g.N, g.C, g.O, g.KH, g.KW, g.W, g.stride, g.dilation) == (1, 1, 1, 1, 1, 1, (1, 1), (1, 1))
    text = str(summary)
    assert f"pad sides swapped in y ({finding.count} cases)" in text
    assert f"again: npconv check {tmp_path / 'case.npz'}" in text
    assert json.loads(json.dumps(summary.to_json()))["findings"][0]["names"] == ["pad sides swapped in y"]
    assert "pad sides swapped in y" in summary._repr_html_()
    with pytest.raises(AssertionError, match="pad sides swapped in y"):
        summary.raise_if_wrong()
    case = load_case(tmp_path / "case.npz")
    assert case.y is not None
    assert finding.report is not None
    assert case.call.geometry == g
    assert (case.call.x.tobytes(), case.y.tobytes()) == (finding.call.x.tobytes(), finding.report.actual.tobytes())
    assert case.model == summary.model
    assert case.words == {"function": "upside_down", "probe": finding.case.probe.name, "seed": "0"}


def test_the_same_seed_finds_the_same() -> None:
    first, second = (check_function(upside_down, seed=5, cases=60) for _ in range(2))
    assert (first.verdicts, str(first.findings[0].case)) == (second.verdicts, str(second.findings[0].case))
    assert check_function(right, seed=6, cases=300).verdicts != check_function(right, seed=5, cases=300).verdicts


def test_two_mistakes_on_different_geometries_are_two_findings() -> None:
    def both(x: Any, weight: Any, bias: Any, *, padding: Any, groups: int, **options: Any) -> Any:
        if groups > 1:
            weight = weight[:, :, ::-1]
        return upside_down(x, weight, bias if groups == 1 else None, padding=padding, groups=groups, **options)

    summary = check_function(both, cases=110, keep_going=True)
    names = {name for finding in summary.findings for name in finding.names}
    assert {"pad sides swapped in y", "bias missing", "kernel flipped in y"} <= names
    assert summary.failures > 20


def test_a_narrow_format_is_named_though_one_output_could_be_anything() -> None:
    def narrow(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
        return rounded(right(x, weight, bias, **options), "bfloat16").astype(np.float32)

    # On a single output a number that was left there explains it as well; but not that other probes passed.
    summary = check_function(narrow, cases=30)
    assert [finding.names for finding in summary.findings] == [("outputs rounded to bfloat16",)]


def test_flushed_subnormals_are_named_and_nothing_else() -> None:
    def flushed(array: Any) -> Any:
        return None if array is None else np.where(np.abs(array) < np.finfo("f").tiny, np.float32(0), array)

    summary = check_function(lambda x, w, b, **o: flushed(right(flushed(x), flushed(w), flushed(b), **o)), cases=150)
    assert [finding.names for finding in summary.findings] == [("subnormals flushed to zero",)]


def test_an_unknown_mistake_is_still_wrong() -> None:
    summary = check_function(
        lambda x, weight, bias, **options: np.sin(right(x, weight, bias, **options)) * 3 + 0.5, cases=40
    )
    assert summary.findings[0].names == ("no known mistake",)


def test_what_is_refused_is_skipped_and_said() -> None:
    def plain(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
        if dilation != (1, 1):
            raise NotImplementedError("dilation 1 alone")
        if groups > 1:
            raise NotImplementedError
        return right(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)

    summary = check_function(plain, cases=100)
    assert summary.verdict is Verdict.WITHIN_BOUND
    assert summary.skipped > 0
    assert summary.unseen == ("dilation", "groups")
    assert "skipped, as it refused them: dilation 1 alone" in str(summary)
    assert "never judged: dilation, groups" in str(summary)


def test_a_function_that_refuses_everything_is_not_asked_for_ever() -> None:
    def refuses(*arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    summary = check_function(refuses, cases=3)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert "0 cases judged on 0 geometries: none" in str(summary)


def test_time_ends_a_run() -> None:
    start = time.monotonic()
    summary = check_function(right, time=0.3)
    assert time.monotonic() - start < 5
    assert sum(summary.verdicts.values()) > 0


def test_progress_is_told() -> None:
    lines: list[str] = []
    check_function(right, cases=5, progress=lines.append)
    assert lines[0] == "right: 1 cases judged, 0 failed"


@pytest.mark.parametrize(
    ("options", "text"),
    [({"cases": 0}, "cases is 0"), ({"time": -1.0}, "time is -1.0"), ({"timeout": 0}, "timeout is 0")],
)
def test_numbers_have_to_make_sense(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"check_function: {text}, but must be above 0"):
        check_function(right, **options)


def test_what_cannot_be_called_or_convolved_is_refused() -> None:
    with pytest.raises(TypeError, match=r"check_function: f is 3 \(int\), which cannot be called"):
        check_function(cast("Any", 3))
    with pytest.raises(TypeError, match="complex64"):
        check_function(right, dtype="complex64")
    with pytest.raises(ValueError, match="no model 'float31'"):
        check_function(right, model="float31")


def raises(*arguments: Any, **options: Any) -> Any:
    raise KeyError("a long story " * 50)


TROUBLES: dict[str, tuple[Any, Trouble, str]] = {
    "raises": (raises, Trouble.RAISED, "it raised KeyError: 'a long story"),
    "leaves": (lambda *a, **o: sys.exit(3), Trouble.RAISED, "it raised SystemExit: 3"),
    "hangs": (hangs, Trouble.HUNG, "it had not returned after 0.2 s"),
    "nothing": (
        lambda *a, **o: None,
        Trouble.WRONG_TYPE,
        "it returned None, where an array is due. Did you mean return np.asarray(y)?",
    ),
    "list": (
        lambda x, w, b, **o: right(x, w, b, **o).tolist(),
        Trouble.WRONG_TYPE,
        "... (list), where an array is due",
    ),
    "integers": (
        lambda x, w, b, **o: right(x, w, b, **o).astype(int),
        Trouble.WRONG_TYPE,
        "it returned int64, where float32 is due.",
    ),
    "halves": (
        lambda x, w, b, **o: right(x, w, b, **o).astype("e"),
        Trouble.WRONG_TYPE,
        "it returned float16, where float32 is due.",
    ),
    "shape": (
        lambda x, w, b, **o: np.moveaxis(right(x, w, b, **o), 1, 3),
        Trouble.WRONG_SHAPE,
        "did you mean y.transpose(0, 3, 1, 2)?",
    ),
    "its input": (
        lambda x, w, b, **o: np.lib.stride_tricks.as_strided(x, (2, 6, 3, 8)),
        Trouble.VIEW,
        "it returned its own input x",
    ),
    "writes x": (lambda x, w, b, **o: x.fill(0) or right(x, w, b, **o), Trouble.WROTE, "it wrote to its input x"),
    "writes weight": (
        lambda x, w, b, **o: w.fill(0) or right(x, w, b, **o),
        Trouble.WROTE,
        "it wrote to its input weight",
    ),
    "writes bias": (lambda x, w, b, **o: b.fill(0) or right(x, w, b, **o), Trouble.WROTE, "it wrote to its input bias"),
    "refuses": (lambda *a, **o: (_ for _ in ()).throw(NotImplementedError("no")), Trouble.UNSUPPORTED, "no"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_troubles_are_told_apart(name: str) -> None:
    f, trouble, text = TROUBLES[name]
    outcome = attempt(f, a_call(), 0.2)
    assert (outcome.y, outcome.trouble) == (None, trouble)
    assert text in outcome.text
    assert len(outcome.text) < 400


@pytest.mark.parametrize("name", [name for name in TROUBLES if name not in ("refuses", "its input")])
def test_a_run_reports_troubles(name: str) -> None:
    f, trouble, _ = TROUBLES[name]
    summary = check_function(f, cases=20, timeout=0.2)
    assert "again: " not in str(summary)
    assert summary.verdict is Verdict.WRONG
    assert (str(trouble),) in {finding.names for finding in summary.findings}
    assert summary.to_json()["findings"][0]["file"] is None


def test_a_hanging_function_is_called_once() -> None:
    assert check_function(hangs, timeout=0.1).failures == 1


def test_an_alarm_that_was_set_before_is_set_again() -> None:
    before = signal.getsignal(signal.SIGALRM)
    attempt(hangs, a_call(), 0.05)
    assert signal.getsignal(signal.SIGALRM) is before


def test_other_threads_have_no_limit_and_still_judge() -> None:
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(attempt(right, a_call(), 1e-9)))
    thread.start()
    thread.join()
    assert found[0].y is not None


def test_out_is_full_of_what_no_convolution_gives() -> None:
    def forgets_the_last(x: Any, weight: Any, bias: Any, *, out: Any, **options: Any) -> None:
        y = right(x, weight, bias, **options)
        out[..., :-1] = y[..., :-1]

    assert takes_out(forgets_the_last)
    assert not takes_out(upside_down)
    assert not takes_out(dict)
    y = attempt(forgets_the_last, a_call(), 9.0, with_out=True).y
    assert y is not None
    assert np.isnan(y[..., -1]).all()
    summary = check_function(forgets_the_last, cases=100)
    assert summary.findings[0].names == ("last output column dropped",)
    integers = check_function(lambda x, weight, bias, out, **options: None, dtype="int32", cases=20)
    assert integers.verdict is Verdict.WRONG


def test_a_wider_type_is_judged_and_said() -> None:
    summary = check_function(lambda x, w, b, **o: right(x.astype(float), w, b, **o), cases=60)
    assert summary.verdict is Verdict.WITHIN_BOUND
    assert "its outputs are float64" in str(summary)


def test_int32_sums_are_taken_as_such() -> None:
    def narrow(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
        return right(
            x.astype(np.int32), weight.astype(np.int32), None if bias is None else bias.astype(np.int32), **options
        )

    assert check_function(narrow, dtype="int32", cases=60).verdict is Verdict.EXACT


G = conv2d_geometry((2, 2, 9, 12), (3, 2, 3, 2), stride=(2, 3), padding=((2, 1), (0, 3)), dilation=(1, 2))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 5, 5, 3), "(N, OH, OW, O)"),
        ((2, 3, 4, 4), "without padding"),
        ((2, 3, 5, 4), "the first side alone"),
        ((2, 3, 10, 13), "without stride"),
        ((2, 3, 4, 7), "strides exchanged"),
        ((2, 3, 6, 5), "rounded up"),
        ((7,), ""),
    ],
)
def test_shapes_are_read(shape: tuple[int, ...], words: str) -> None:
    read = likely_reading(shape, G)
    assert words in read
    assert bool(read) == bool(words)


def test_shapes_of_one_image() -> None:
    g = conv2d_geometry((1, 2, 9, 12), (3, 2, 3, 2))
    assert "y[None]" in likely_reading((3, 7, 11), g)
    assert "swapaxes" in likely_reading((1, 3, 11, 7), g)


def test_apart_ends_what_never_returns_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS_TO_LET_GO", 0.1)
    with Apart(load, f"{HERE}:hangs_in_compiled_code", 0.3) as subject:
        for _ in range(2):
            outcome = subject(a_call())
            assert outcome.trouble is Trouble.HUNG


@pytest.mark.parametrize(("function", "words"), [("dies", "SIGSEGV"), ("leaves", "exit code 7")])
def test_apart_survives(function: str, words: str) -> None:
    with Apart(load, f"{HERE}:{function}", 30.0) as subject:
        summary = Run(subject, f"{HERE}:{function}", np.dtype("float32"), None, 0, Limits()).summary(
            None, lambda text: None
        )
    assert summary.findings[0].names == ("died",)
    assert words in summary.findings[0].text


def test_apart_says_what_cannot_be_loaded() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), Apart(load, "no_such_module:f", 1.0):
        pass


def test_apart_gives_up_on_what_takes_too_long_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS_TO_LOAD", 0.0)
    with pytest.raises(TimeoutError, match="more than 0 s to import"), Apart(load, f"{HERE}:right", 1.0):
        pass


def test_apart_says_that_a_module_brought_its_process_down(tmp_path: Path) -> None:
    (tmp_path / "falls.py").write_text("import os\nos._exit(5)\n")
    with (
        pytest.raises(ValueError, match="its process died of its own will, with exit code 5"),
        Apart(load, f"{tmp_path / 'falls.py'}:f", 1.0),
    ):
        pass


def test_apart_hands_outputs_over() -> None:
    with Apart(load, f"{HERE}:right", 30.0) as subject:
        y = subject(a_call()).y
    assert y is not None
    assert y.tobytes() == right(a_call().x, a_call().weight, a_call().bias, **a_call().options).tobytes()


def test_apart_can_be_left_before_it_was_used() -> None:
    Apart(load, "never started", 1.0).__exit__(None, None, None)


def served(name: str, *calls: Call) -> list[Any]:
    """Serve in this process, at the other end of a pipe, and return all that comes back."""
    ours, theirs = Pipe()
    for call in calls:
        ours.send(call)
    # With nobody left to read from, serving ends once all calls were answered.
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.extend(iter(lambda: _received(ours, len(calls) + 1 - len(answers)), END))
    )
    thread.start()
    before = signal.getsignal(signal.SIGINT)
    try:
        serve(theirs, load, name, 5.0)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    return answers


END = object()


def _received(connection: Any, left: int) -> Any:
    if left:
        try:
            return connection.recv()
        except EOFError:
            pass
    connection.close()
    return END


def test_serving_answers_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    ready, first, second = served(f"{HERE}:prints", a_call(), a_call(padding=0))
    assert ready is None
    assert (first.y.shape, second.y.shape) == ((2, 6, 3, 8), (2, 6, 2, 6))
    captured = capsys.readouterr()
    # Not among what the command prints.
    assert (captured.out, captured.err) == ("", "some words\n" * 2)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("no_such_module:f", ModuleNotFoundError, "No module named 'no_such_module'"),
        ("no_such_file.py:f", ModuleNotFoundError, "there is no file no_such_file.py"),
        (f"{HERE}:no_such_function", ValueError, "has no no_such_function; there are Any, "),
        (f"{HERE}:NOT_A_FUNCTION", ValueError, "TypeError: .*is a int, which cannot be called"),
        ("conv2d", ValueError, "'conv2d' is no function; it would be module:function"),
        ("npconv:", ValueError, "is no function"),
        ("caffe", ValueError, "or one of npconv, torch"),
    ],
)
def test_serving_says_what_cannot_be_loaded(name: str, kind: type[Exception], words: str) -> None:
    (fault,) = served(name)
    with pytest.raises(kind, match=words):
        raise fault


def test_modules_are_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("elsewhere")
    (tmp_path / "found_here.py").write_text("class A:\n    f = staticmethod(max)\n")
    assert load("found_here:A.f") is max
    assert load("found_here:A.f") is max
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ValueError, match="it has no functions"):
        load("empty.py:f")
