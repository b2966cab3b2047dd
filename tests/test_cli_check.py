"""`npconv check`: what it takes, what it prints, and how it ends."""

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from command_line import piped, refused
from functions_under_test import right, upside_down
from npconv import cli, console
from npconv.commands.check import padding
from npconv.judge import apart
from npconv.judge.call import Call, checked_call
from npconv.judge.case_files import load_case, save_case
from npconv.judge.trial import Outcome, attempt

HERE = Path(__file__).parent / "functions_under_test.py"


class Near:
    """Stands in for `Apart`: the same function, in this process, which is there at once."""

    def __init__(self, load: Any, name: str, seconds: float) -> None:
        self.f, self.seconds = load(name), seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        pass

    def __call__(self, call: Call) -> Outcome:
        """Call it."""
        return attempt(self.f, call, self.seconds)


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Run functions in this process, in a folder that holds nothing."""
    monkeypatch.setattr(apart, "Apart", Near)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, Any]:
    """Save the operands and the right output of one call, and return them."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 4, 6, 7), (6, 2, 3, 3), (6,)))
    options: dict[str, Any] = {"stride": 2, "padding": ((0, 1), (2, 3)), "groups": 2}
    y = right(x, w, b, **options)
    for name, array in {"x": x, "w": w, "b": b, "y": y}.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "all.npz", x=x, w=w, b=b, y=y)
    return {"y": y, "x": x, "weight": w, "bias": b, **options}


FLAGS = ("--stride", "2", "--padding", "0:1x2:3", "--groups", "2")


def test_a_right_function_ends_with_0(near: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", f"{HERE}:right", "--cases", "60", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{HERE}:right: WITHIN_BOUND\n  60 cases judged")
    assert "seed 4" in out
    assert list(near.iterdir()) == []


def test_a_wrong_function_ends_with_1_and_leaves_a_case(near: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = f"{HERE}:upside_down"
    assert cli.main(["check", target, "--cases", "60"]) == 1
    assert "again: npconv check case.npz" in capsys.readouterr().out
    assert cli.main(["check", "case.npz"]) == 1
    assert "pad sides swapped in y" in capsys.readouterr().out
    assert cli.main(["check", target, "--case", "case.npz", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "WRONG"
    assert cli.main(["check", f"{HERE}:right", "--case", "case.npz"]) == 0
    assert cli.main(["check", target, "--cases", "60", "--json", "--all"]) == 1
    summary = json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))
    assert summary["findings"][0]["file"] == "case-2.npz"
    assert load_case(near / "case-2.npz").words["function"] == target


def test_nothing_decided_ends_with_2(near: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (near / "refuses.py").write_text("def f(*arguments, **options):\n    raise NotImplementedError('not today')\n")
    assert cli.main(["check", "refuses.py:f", "--cases", "2"]) == 2
    assert "not today" in capsys.readouterr().out


def test_trouble_with_a_single_case(near: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_case(near / "one.npz", checked_call(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1))), None)
    (near / "bad.py").write_text(
        "def f(*arguments, **options):\n    raise KeyError('oh')\ndef g(*a, **o):\n    raise NotImplementedError\n"
    )
    assert "it raised KeyError: 'oh'" in refused(capsys, "check", "bad.py:f", "--case", "one.npz")
    assert "it refused this case" in refused(capsys, "check", "bad.py:g", "--case", "one.npz")
    assert "holds no output y" in refused(capsys, "check", "one.npz")


def test_an_engine_is_held_to_its_model(
    near: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from npconv.judge import adapters

    found = adapters.ENGINES["openvino-bfloat16"]
    pretended = adapters.Engine("pretended", right, {"npconv": "npconv"}, found.model, "")
    monkeypatch.setitem(adapters.ENGINES, "openvino-bfloat16", pretended)
    cli.main(["check", "openvino-bfloat16", "--cases", "3"])
    assert f"float32, {found.model}; seed 0" in capsys.readouterr().out
    cli.main(["check", "openvino-bfloat16", "--cases", "3", "--model", "float32"])
    assert "float32, sums in float32; seed 0" in capsys.readouterr().out
    cli.main(["check", "openvino-bfloat16", "--cases", "3", "--dtype", "float64"])
    assert "float64, sums in float64; seed 0" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["{}.npy", "all.npz:{}"])
def test_outputs_in_files(
    source: str, arrays: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x, w, b = (str(tmp_path / source.format(name)) for name in "yxwb")
    assert cli.main(["check", y, "-x", x, "-w", w, "--bias", b, *FLAGS]) == 0
    assert "WITHIN_BOUND" in capsys.readouterr().out
    assert cli.main(["check", y, "-x", x, "-w", w, *FLAGS, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "WRONG"


def test_a_mistake_in_a_file_is_named(
    arrays: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del arrays["y"]
    np.save(tmp_path / "wrong.npy", upside_down(**arrays))
    files = [str(tmp_path / f"{name}.npy") for name in ("wrong", "x", "w", "b")]
    assert cli.main(["check", files[0], "-x", files[1], "-w", files[2], "-b", files[3], *FLAGS]) == 1
    assert "pad sides swapped in y" in capsys.readouterr().out


def test_what_does_not_fit_is_refused(
    arrays: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x, w = (str(tmp_path / f"{name}.npy") for name in "yxw")
    np.save(tmp_path / "c.npy", arrays["x"].astype(complex))
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    assert "has shape (2, 6, 3, 5), but x and weight give (2, 6, 4, 5)" in refused(
        capsys, "check", y, "-x", x, "-w", w, "-g2"
    )
    assert "with both -x and -w" in refused(capsys, "check", y, "-x", x)
    assert "complex128" in refused(capsys, "check", y, "-x", str(tmp_path / "c.npy"), "-w", w, *FLAGS)
    assert "Python objects" in refused(capsys, "check", y, "-x", str(tmp_path / "o.npy"), "-w", w)
    assert "there is no file" in refused(capsys, "check", "nothing.npy", "-x", x, "-w", w)
    assert "there is no file" in refused(capsys, "check", "nothing.npz")
    assert "not made of integers" in refused(capsys, "check", y, "-x", x, "-w", w, "-p", "1:ax2")


def test_misuse_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from npconv.judge import adapters

    assert "is no function" in refused(capsys, "check", "what")
    assert "cases is 0" in refused(capsys, "check", "torch", "--cases", "0")
    assert "complex64" in refused(capsys, "check", "torch", "--dtype", "complex64")
    missing = adapters.Engine("missing", right, {"no-such": "no_such_module"}, adapters.ENGINES["torch"].model, "")
    monkeypatch.setitem(adapters.ENGINES, "torch", missing)
    monkeypatch.setattr(apart, "Apart", Near)
    assert 'torch needs no-such. Did you mean python -m pip install "npconv[engines]"?' in refused(
        capsys, "check", "torch"
    )


@pytest.mark.parametrize(
    ("text", "pads"),
    [
        ("1", 1),
        ("1x2", (1, 2)),
        ("same", "same"),
        ("0:1x2:3", ((0, 1), (2, 3))),
        ("0:1x2", ((0, 1), (2, 2))),
        ("0:1", ((0, 1), (0, 1))),
    ],
)
def test_padding_is_read(text: str, pads: Any) -> None:
    assert padding(text) == pads


def test_a_pipe_gets_plain_text_and_no_progress() -> None:
    result = piped("check", f"{HERE}:prints", "--cases", "4", "--save", "nowhere.npz")
    assert result.returncode == 0
    assert result.stdout.startswith(f"{HERE}:prints: ")
    assert result.stderr == "some words\n" * 4


def test_without_rich_there_is_no_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "find_spec", lambda name: None)
    with console.progress() as show:
        show("a line")
    assert capsys.readouterr() == ("", "")
