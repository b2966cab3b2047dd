"""Files: cases that replay, arrays of the user's, and everything else that a file can be."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npconv.judge.call import checked_call
from npconv.judge.case_files import array_header, check_sizes, free_path, headers, load_array, load_case, save_case
from npconv.judge.model import Model

X, WEIGHT = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), np.ones((2, 1, 2, 2), np.float32)
OPTIONS: dict[str, Any] = {"stride": (1, 2), "padding": ((1, 0), (0, 2)), "dilation": (2, 1), "groups": 2}


class Bomb:
    """An object whose pickle would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("bias", [None, np.array([1, 2], np.float32)])
@pytest.mark.parametrize("y", [None, np.zeros((1, 2, 2, 3), np.float32)])
def test_a_case_comes_back_as_it_was(tmp_path: Path, bias: Any, y: Any) -> None:
    path, model = tmp_path / "case.npz", Model("float32", inputs="bfloat16", skips_padding=True)
    call = checked_call(X, WEIGHT, bias, **OPTIONS)
    save_case(path, call, y, model, function="mine:f", probe="ones", seed="3")
    case = load_case(path)
    assert case.call.geometry == call.geometry
    assert case.model == model
    assert case.words == {"function": "mine:f", "probe": "ones", "seed": "3"}
    for a, b in ((case.call.x, X), (case.call.weight, WEIGHT), (case.call.bias, bias), (case.y, y)):
        assert (a is None) == (b is None)
        assert a is None or (a.tobytes() == b.tobytes() and a.dtype == b.dtype)


def test_a_case_that_others_wrote(tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", x=X, weight=np.ones((1, 2, 1, 1)))
    case = load_case(tmp_path / "theirs.npz")
    assert (case.call.geometry.stride, case.y, case.model, case.words) == ((1, 1), None, None, {})


def test_arrays_are_found_in_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "one.npz", x=X)
    np.savez_compressed(tmp_path / "two.npz", x=X, w=WEIGHT)
    for source in ("x.npy", "one.npz", "one.npz:x", "two.npz:x"):
        assert load_array(f"{tmp_path / source}").tobytes() == X.tobytes()
        assert array_header(f"{tmp_path / source}") == (X.shape, X.dtype)
    np.savez(tmp_path / "none.npz")
    for name, words in {
        "two.npz": r"holds x, w. Did you mean .*two.npz:x\?",
        "none.npz": "holds nothing",
        "two.npz:y": "has no y",
    }.items():
        with pytest.raises(ValueError, match=words):
            load_array(f"{tmp_path / name}")


def test_headers_of_long_shapes_are_read(tmp_path: Path) -> None:
    with (tmp_path / "second.npy").open("wb") as file:
        np.lib.format.write_array(file, X, version=(2, 0))
    assert headers(tmp_path / "second.npy") == {"": (X.shape, X.dtype)}


def test_objects_are_not_read(tmp_path: Path) -> None:
    made, bomb = tmp_path / "made", np.array([Bomb(tmp_path / "made")], object)
    np.save(tmp_path / "bomb.npy", bomb, allow_pickle=True)
    np.savez(tmp_path / "bomb.npz", allow_pickle=True, x=bomb, weight=WEIGHT)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Bomb(made)))
    for name in ("bomb.npy", "bomb.npz", "plain.npy"):
        with pytest.raises(ValueError, match=r"Python objects, which are not read|is no array of NumPy's"):
            load_array(str(tmp_path / name))
    with pytest.raises(ValueError, match=r"x\.npy in .*bomb\.npz holds Python objects"):
        load_case(tmp_path / "bomb.npz")
    assert not made.exists()


def test_what_is_no_file_of_arrays_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "empty.npy").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("x.npy", "not an array")
    for name in ("text.npy", "empty.npy", "text.npz"):
        with pytest.raises(ValueError, match="is no array of NumPy's"):
            headers(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        headers(tmp_path / "nothing.npy")
    np.savez(tmp_path / "other.npz", a=X)
    with pytest.raises(ValueError, match=r"has no x and no weight; it holds a"):
        load_case(tmp_path / "other.npz")


def test_sizes_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    # A header that promises more than any machine has, and a body that is not there.
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (1, 2, 10**7, 10**7)}
    )
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("x.npy", buffer.getvalue())
    np.savez(tmp_path / "weight.npz", WEIGHT)
    shapes = {"x": array_header(str(tmp_path / "huge.npz")), "weight": (WEIGHT.shape, WEIGHT.dtype)}
    with pytest.raises(MemoryError, match="check"):
        check_sizes(shapes, {"groups": 2})


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("x", (1, 3, 3, 4), "check: x has 3 channels"),
        ("bias", (3,), r"check: bias has shape \(3,\), but x and weight give \(2,\)"),
        ("y", (1, 2, 3, 3), r"check: y has shape \(1, 2, 3, 3\), but x and weight give \(1, 2, 2, 3\)"),
    ],
)
def test_shapes_have_to_fit(name: str, shape: tuple[int, ...], words: str) -> None:
    kind = np.dtype("float32")
    shapes = {"x": (X.shape, kind), "weight": (WEIGHT.shape, kind), "bias": ((2,), kind), "y": ((1, 2, 2, 3), kind)}
    check_sizes(shapes, OPTIONS)
    with pytest.raises(ValueError, match=words):
        check_sizes({**shapes, name: (shape, kind)}, OPTIONS)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "case.npz"
    for expected in ("case.npz", "case-2.npz", "case-3.npz"):
        free = free_path(path)
        assert free.name == expected
        free.touch()
