"""Arrays in files: a case that can be judged again, and whatever arrays a user has. Nothing in a file is ever executed.

Headers are read first, so that a file of another kind, of objects or of a size that does not fit costs no memory.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np

from npconv.arguments import complaint
from npconv.geometry import conv2d_geometry
from npconv.judge.call import Call, checked_call
from npconv.judge.model import Model
from npconv.memory import Array, DType, check_room

# What a case file holds, beside the arrays y, x, weight and bias.
OPTIONS = ("stride", "padding", "dilation", "groups")
WORDS = ("function", "probe", "seed")


@dataclass(frozen=True, slots=True, eq=False)
class CaseFile:
    """A case read from a file.

    Parameters
    ----------
    call : Call
        What was asked for.
    y : ndarray or None
        What came of it, if anything did.
    model : Model or None
        Arithmetic that was claimed.
    words : dict of str
        Where it comes from: function, probe, seed.
    """

    call: Call
    y: Array | None
    model: Model | None
    words: dict[str, str]


def save_case(path: Path, call: Call, y: Array | None, model: Model | None = None, **words: str) -> None:
    """Write a case, from which `load_case` makes it again.

    Parameters
    ----------
    path : path
        File to write, which ends in .npz.
    call : Call
        What was asked for.
    y : ndarray or None
        What came of it.
    model : Model, optional
        Arithmetic that was claimed.
    **words : str
        Where it comes from: function, probe, seed.

    Examples
    --------
    >>> import tempfile
    >>> call = checked_call(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), stride=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_case(Path(folder) / "case.npz", call, np.zeros((1, 1, 1, 1)), probe="ones")
    ...     case = load_case(Path(folder) / "case.npz")
    >>> case.call.geometry.stride, case.y.tolist(), case.words
    ((2, 2), [[[[0.0]]]], {'probe': 'ones'})
    """
    claimed = None if model is None else json.dumps(asdict(model))
    arrays = {"x": call.x, "weight": call.weight, "bias": call.bias, "y": y}
    facts: dict[str, Any] = {**arrays, **call.options, "model": claimed, **words}
    np.savez(path, allow_pickle=False, **{name: value for name, value in facts.items() if value is not None})


def load_case(path: Path) -> CaseFile:
    """Read a case.

    Parameters
    ----------
    path : path
        A file of `save_case`, or any .npz with the arrays x and weight, and y, bias, stride, padding, dilation and groups
        where they are not as usual.

    Returns
    -------
    CaseFile
        The case, its shapes and options checked.

    Raises
    ------
    ValueError
        If the file is no such archive, holds Python objects, or its arrays do not fit together.
    OSError
        If it cannot be read.
    """
    shapes = headers(path)
    missing = [name for name in ("x", "weight") if name not in shapes]
    if missing:
        raise ValueError(f"{path} has no {' and no '.join(missing)}; it holds {', '.join(shapes) or 'nothing'}")
    arrays = {name: _read(path, name) for name in (*OPTIONS, *WORDS, "model") if name in shapes}
    options: dict[str, Any] = {name: arrays[name].tolist() for name in OPTIONS if name in arrays}
    check_sizes({name: shapes[name] for name in ("x", "weight", "bias", "y") if name in shapes}, options)
    x, weight, bias, y = (_read(path, name) if name in shapes else None for name in ("x", "weight", "bias", "y"))
    words = {name: str(arrays[name]) for name in WORDS if name in arrays}
    model = Model(**json.loads(str(arrays["model"]))) if "model" in arrays else None
    return CaseFile(checked_call(x, weight, bias, **options), y, model, words)


def load_array(source: str) -> Array:
    """Read one array: a .npy file, the only array of a .npz file, or ``file.npz:name``.

    Raises
    ------
    ValueError
        If the file is of another kind, holds Python objects, or does not say which array is meant.
    OSError
        If it cannot be read.
    """
    path, name = array_source(source)
    # Its header first: nothing is read of a file of objects.
    if name not in headers(path):
        raise ValueError(f"{path} has no {name}")
    return _read(path, name)


def array_header(source: str) -> tuple[tuple[int, ...], DType]:
    """Return the shape and type of what `load_array` would read."""
    path, name = array_source(source)
    return headers(path)[name]


def array_source(source: str) -> tuple[Path, str]:
    """Return the file of an array, and its name there, which is empty in a .npy file.

    >>> array_source("arrays.npz:x")
    (PosixPath('arrays.npz'), 'x')
    """
    file, colon, name = source.rpartition(".npz:")
    if colon:
        return Path(f"{file}.npz"), name
    path = Path(source)
    names = list(headers(path))
    if len(names) != 1:
        raise ValueError(f"{path} holds {', '.join(names) or 'nothing'}. Did you mean {path}:{(names or ['x'])[0]}?")
    return path, names[0]


def headers(path: Path) -> dict[str, tuple[tuple[int, ...], DType]]:
    """Return shape and type of each array of a file, without reading the arrays."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return {"": _header(path, "", file)}
    with zipfile.ZipFile(path) as archive:
        found = {}
        for member in archive.namelist():
            with archive.open(member) as file:
                found[member.removesuffix(".npy")] = _header(path, member, file)
        return found


def check_sizes(shapes: Mapping[str, tuple[tuple[int, ...], DType]], options: Mapping[str, Any]) -> None:
    """Raise what `npconv.conv2d` would raise of arrays of such shapes, or an error if there is no room for one."""
    for name, (shape, dtype) in shapes.items():
        check_room("check", name, shape, dtype)
    x, weight = shapes["x"][0], shapes["weight"][0]
    geometry = conv2d_geometry(x, weight, **options, operation="check")
    for name, due in {"bias": (geometry.O,), "y": geometry.y_shape}.items():
        if name in shapes and shapes[name][0] != due:
            fault = ValueError(
                f"{name} has shape {shapes[name][0]}, but x and weight give {due}. Did you mix up two files?"
            )
            raise complaint("check", fault, options, x=x, weight=weight)


def _header(path: Path, name: str, file: IO[bytes]) -> tuple[tuple[int, ...], DType]:
    """Read what a .npy file begins with."""
    where = f"{name} in {path}" if name else str(path)
    try:
        major = np.lib.format.read_magic(file)[0]
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except ValueError as fault:
        raise ValueError(f"{where} is no array of NumPy's: {fault}") from None
    if dtype.hasobject:
        raise ValueError(f"{where} holds Python objects, which are not read: a file could run what it likes")
    return shape, dtype


def _read(path: Path, name: str) -> Array:
    """Read an array whose header was looked at."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        array: Array = loaded[name]
        return array


def free_path(path: Path) -> Path:
    """Return a path, or the first one with a number behind it that no file has yet.

    >>> free_path(Path("no such folder") / "case.npz").name
    'case.npz'
    """
    tries = (path if i == 1 else path.with_stem(f"{path.stem}-{i}") for i in count(1))
    return next(path for path in tries if not path.exists())
