"""No kernel reads or writes outside its arrays: guard pages around every one of them, and a bounds check with code of its own."""

import os
import signal
import subprocess
import sys

import pytest

from processes import TESTS, run_python

pytestmark = pytest.mark.kernels

RUN = [sys.executable, "-W", "error", str(TESTS / "guarded_calls.py")]
# Plain Python is slow, and its twins refuse every step outside in any test.
GEOMETRIES = "3" if os.environ.get("NUMBA_DISABLE_JIT") == "1" else "80"


def test_every_array_of_a_call_stays_between_its_guard_pages() -> None:
    done = subprocess.run([*RUN, GEOMETRIES], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "no step outside\n"), done.stderr


def test_a_step_on_a_guard_page_ends_the_process() -> None:
    done = subprocess.run([*RUN, "0", "step outside"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGSEGV


def test_checked_code_and_unchecked_code_have_folders_of_their_own() -> None:
    code = "from npconv.kernels.compile import cache_folder; print(cache_folder())"
    folders = {run_python(code, NUMBA_BOUNDSCHECK=check) for check in ("0", "1")}
    assert len(folders) == 2
