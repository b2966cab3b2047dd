"""The disk cache: a second process starts fast, an edited kernel never runs stale code, and nothing that is wrong with it matters."""

import os
import shutil
import time
from pathlib import Path

import pytest

import npconv
from npconv.kernels import compile as compiler
from processes import run_python

CALL = """
import numpy as np
import npconv as nc
print(nc.conv2d(np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2)), method="direct").ravel().tolist())
"""
RIGHT = "[8.0, 12.0, 20.0, 24.0]\n"


def files(folder: Path) -> dict[Path, int]:
    """Return the stored code below a folder, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert run_python(CALL, NUMBA_CACHE_DIR=str(tmp_path)) == RIGHT
    stored = files(tmp_path)
    assert stored
    assert all("npconv.kernels" in path.name for path in stored), "a user's own functions do not belong here"
    show = CALL + "from npconv.kernels.direct import direct; print(len(direct.signatures) == 1)"
    assert run_python(show, NUMBA_CACHE_DIR=str(tmp_path)).startswith(RIGHT + "True")
    assert files(tmp_path) == stored


def test_an_edited_helper_never_runs_stale_code(tmp_path: Path) -> None:
    shutil.copytree(Path(npconv.__file__).parent, tmp_path / "npconv")
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    assert run_python(CALL, **environment) == RIGHT
    # A constant of the code generator: the bytecode of every kernel stays as it is.
    source = tmp_path / "npconv" / "kernels" / "lowering.py"
    text = source.read_text()
    edited = text.replace("return builder.fmul(*args)", "return builder.fadd(*args)")
    assert edited != text
    source.write_text(edited)
    assert run_python(CALL, **environment) == "[9.0, 13.0, 21.0, 25.0]\n"


@pytest.mark.parametrize("damage", ["truncated", "unreadable", "other"])
def test_damaged_code_is_compiled_again(tmp_path: Path, damage: str) -> None:
    run_python(CALL, NUMBA_CACHE_DIR=str(tmp_path))
    for path in files(tmp_path):
        if damage == "other":
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(path.read_bytes()[:1000] if damage == "truncated" else b"\x80nonsense")
    assert run_python(CALL, NUMBA_CACHE_DIR=str(tmp_path)) == RIGHT


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert run_python(CALL, NUMBA_CACHE_DIR=str(tmp_path / "file")) == RIGHT


def test_folders_long_unused_are_removed_and_others_kept(tmp_path: Path) -> None:
    old, recent, foreign = (tmp_path / name for name in ("npconv-old", "npconv-recent", "other"))
    for folder in (old, recent, foreign):
        folder.mkdir()
        (folder / "code.nbc").write_text("")
    past = time.time() - (compiler.UNUSED_DAYS + 1) * 86400
    for folder in (old, foreign):
        os.utime(folder, (past, past))
    code = "from npconv.kernels.compile import cache_folder; print(cache_folder().name)"
    name = run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "npconv-recent", "other"])


def test_a_kernel_forgets_its_files_when_flushed(tmp_path: Path) -> None:
    flush = CALL + "from npconv.kernels.direct import direct; direct._cache.flush(); print(direct._cache.cache_path)"
    folder = Path(run_python(flush, NUMBA_CACHE_DIR=str(tmp_path)).splitlines()[1])
    names = [path.name for path in files(folder)]
    assert names
    assert not [name for name in names if name.startswith("npconv.kernels.direct.direct-")]


def test_nothing_is_compiled_and_numba_not_imported_by_the_import() -> None:
    assert run_python("import sys, npconv; print('numba' in sys.modules, 'llvmlite' in sys.modules)") == "False False\n"
