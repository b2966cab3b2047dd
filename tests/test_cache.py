"""The disk cache: a second process starts fast, an edited kernel never runs stale code, and nothing that is wrong with it matters."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import npconv
from npconv.kernels import compile as compiler
from processes import COMPILED, JIT, printed, run_python, start_python

# The smallest kernel, one that calls others, and what Python enters it by.
CALLED_BY_SHUFFLE = {
    "npconv.kernels.entry.enter",
    "npconv.kernels.tile.copy",
    *(f"npconv.kernels.work.{name}" for name in ("next_unit", "rest", "wait")),
}

CALL = """
import numpy as np
import npconv as nc
print(nc.channel_shuffle(np.arange(80.0).reshape(1, 4, 4, 5), 2)[0, :, 3].astype(int).tolist())
"""
RIGHT = "[[15, 16, 17, 18, 19], [55, 56, 57, 58, 59], [35, 36, 37, 38, 39], [75, 76, 77, 78, 79]]\n"
STATISTICS = """
from npconv.kernels.shuffle import shuffle
print(sum(shuffle.stats.cache_hits.values()), sum(shuffle.stats.cache_misses.values()))
"""


def run(code: str, folder: Path, **environment: str) -> str:
    """Run code in a process that compiles, with a cache below a folder, and return what it printed."""
    return run_python(code, NUMBA_CACHE_DIR=str(folder), **COMPILED, **environment)


def files(folder: Path) -> dict[Path, int]:
    """Return the stored code below a folder, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert run(CALL + STATISTICS, tmp_path) == RIGHT + "0 1\n"
    stored = files(tmp_path)
    assert stored
    assert run(CALL + STATISTICS, tmp_path) == RIGHT + "1 0\n"
    assert files(tmp_path) == stored


def test_the_import_compiles_nothing_and_leaves_numba_alone(tmp_path: Path) -> None:
    imported = "import sys, npconv; print('numba' in sys.modules, 'llvmlite' in sys.modules)"
    assert run(imported, tmp_path) == "False False\n"
    everything = """
import npconv.functional
from numba.core.dispatcher import Dispatcher
from npconv.kernels import columns, depthwise, direct, im2col, naive, shuffle, tile
rooms = (columns, depthwise, direct, im2col, naive, shuffle, tile)
kernels = [value for room in rooms for value in vars(room).values() if isinstance(value, Dispatcher)]
print(len(kernels) > 10, any(kernel.signatures for kernel in kernels))
"""
    assert run(everything, tmp_path) == "True False\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("room", "line", "edited"),
    [
        ("tile.py", "store(target, t + i, load(tile, source, s + i))", "store(target, t + i, load(tile, source, s))"),
        # A code generator: the bytecode of every kernel stays as it is.
        ("lowering.py", "low = at(args[2])", "low = at(builder.sub(args[2], ir.Constant(INT64, 1)))"),
    ],
    ids=["a called kernel", "a code generator"],
)
def test_an_edited_room_never_runs_stale_code(tmp_path: Path, room: str, line: str, edited: str) -> None:
    # Narrow registers, so that most elements are moved by whole ones.
    environment = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PYTHONPATH": str(tmp_path)}
    shutil.copytree(Path(npconv.__file__).parent, tmp_path / "npconv")
    assert run(CALL, tmp_path / "cache", **environment) == RIGHT
    source = tmp_path / "npconv" / "kernels" / room
    assert source.read_text().count(line) == 1
    source.write_text(source.read_text().replace(line, edited))
    assert run(CALL, tmp_path / "cache", **environment) != RIGHT


def test_damaged_code_is_compiled_again(tmp_path: Path) -> None:
    run(CALL, tmp_path)
    for damage in ("truncated", "empty", "nonsense", "changed"):
        for path in files(tmp_path):
            code = bytearray(path.read_bytes())
            code[500::1000] = bytes(byte ^ 0x55 for byte in code[500::1000])
            # A pickle of something else is whole, and no code.
            damaged: dict[str, bytes] = {
                "truncated": bytes(code[: len(code) // 2]),
                "empty": b"",
                "nonsense": b"\x80\x04N.",
                "changed": bytes(code),
            }
            path.write_bytes(damaged[damage])
        assert run(CALL + STATISTICS, tmp_path) == RIGHT + "0 1\n", damage
    # What was compiled has taken the place of what was damaged.
    assert run(CALL + STATISTICS, tmp_path) == RIGHT + "1 0\n"


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    # No user can make a folder below a file, nor the administrator one in /proc.
    for folder in (tmp_path / "file" / "below", locked, Path("/proc/npconv")):
        assert run(CALL, folder) == RIGHT


def test_a_folder_that_is_gone_costs_only_time(tmp_path: Path) -> None:
    gone = "import shutil; from npconv.kernels.compile import cache_folder; shutil.rmtree(cache_folder())\n"
    assert run(gone + CALL, tmp_path) == RIGHT
    assert files(tmp_path) == {}


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    both = [start_python(CALL, NUMBA_CACHE_DIR=str(tmp_path), **COMPILED) for _ in range(2)]
    assert [printed(process) for process in both] == [RIGHT, RIGHT]
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"] == []
    assert run(CALL + STATISTICS, tmp_path) == RIGHT + "1 0\n"


def test_code_of_users_and_of_kernels_is_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import numba\n\n@numba.njit(cache=True)\ndef twice(x):\n    return 2 * x\n\nprint(twice(21))\n"
    )
    own = CALL + f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import own\n"
    assert run(own, tmp_path / "cache") == RIGHT + "42\n"
    (ours,) = (tmp_path / "cache").glob("npconv-*")
    assert {path.name.rsplit("-", 1)[0] for path in ours.iterdir()} == {
        "npconv.kernels.shuffle.shuffle",
        *CALLED_BY_SHUFFLE,
    }
    assert [path for path in (tmp_path / "cache").rglob("*own.twice*") if ours not in path.parents] != []
    assert list(ours.parent.rglob("*npconv.kernels*")) == list(ours.glob("*npconv.kernels*"))


def test_folders_long_unused_are_removed_and_others_kept(tmp_path: Path) -> None:
    ages = {"npconv-old": 31, "npconv-recent": 29, "other": 31}
    for name, days in ages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.nbc").write_text("")
        past = time.time() - days * 86400
        os.utime(tmp_path / name, (past, past))
    assert compiler.UNUSED_DAYS == 30
    code = "from npconv.kernels.compile import cache_folder; print(cache_folder().name)"
    name = run(code, tmp_path).strip()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "npconv-recent", "other"])
    # A folder that is used is not old, whenever it was made.
    past = time.time() - 31 * 86400
    os.utime(tmp_path / name, (past, past))
    run(code, tmp_path)
    assert time.time() - (tmp_path / name).stat().st_mtime < 86400


def test_a_kernel_forgets_its_files_when_flushed(tmp_path: Path) -> None:
    flush = CALL + "shuffle._cache.flush(); print(shuffle._cache.cache_path)"
    flush = flush.replace("import npconv as nc", "import npconv as nc\nfrom npconv.kernels.shuffle import shuffle")
    folder = Path(run(flush, tmp_path).splitlines()[1])
    assert {path.name.rsplit("-", 1)[0] for path in files(folder)} == CALLED_BY_SHUFFLE


def test_reading_can_be_switched_off_and_on(tmp_path: Path) -> None:
    run(CALL, tmp_path)
    switched = "from npconv.kernels.shuffle import shuffle\nshuffle._cache.disable()\n"
    assert run(switched + CALL + STATISTICS, tmp_path) == RIGHT + "0 1\n"
    switched += "shuffle._cache.enable()\n"
    assert run(switched + CALL + STATISTICS, tmp_path) == RIGHT + "1 0\n"


def doubled(number: float) -> float:
    return 2 * number


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_code_is_stored_read_ignored_and_removed_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "cache_folder", lambda: tmp_path)

    def hits(kernel: Any) -> int:
        assert kernel(1.5) == 3.0
        found: int = kernel.stats.cache_hits[kernel.signatures[0]]
        return found

    first: Any = compiler.from_python(doubled)
    assert first.stats.cache_path == str(tmp_path)
    assert hits(first) == 0
    (stored,) = files(tmp_path)
    assert hits(compiler.from_python(doubled)) == 1
    stored.write_bytes(stored.read_bytes()[:-1])
    assert hits(compiler.from_python(doubled)) == 0
    fresh: Any = compiler.from_python(doubled)
    fresh._cache.disable()
    assert hits(fresh) == 0
    fresh._cache.enable()
    fresh._cache.flush()
    assert files(tmp_path) == {}


def test_folders_that_nobody_used_for_long_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    old, used = tmp_path / "npconv-old", tmp_path / "npconv-used"
    for folder, days in ((old, compiler.UNUSED_DAYS + 1), (used, compiler.UNUSED_DAYS - 1)):
        folder.mkdir()
        os.utime(folder, times=(time.time() - days * 86400,) * 2)
    own = compiler.cache_folder.__wrapped__()
    assert {path.name for path in tmp_path.iterdir()} == {own.name, used.name}
