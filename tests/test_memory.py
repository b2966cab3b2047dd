"""No kernel reads or writes outside its arrays: guard pages around every one of them, and a bounds check with code of its own."""

import signal
import subprocess
import sys
from pathlib import Path

from processes import run_python

RUN = [sys.executable, "-W", "error", str(Path(__file__).parent / "guarded_calls.py")]


def test_every_array_of_a_call_stays_between_its_guard_pages() -> None:
    done = subprocess.run([*RUN, "40"], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "no step outside\n"), done.stderr


def test_a_step_on_a_guard_page_ends_the_process() -> None:
    done = subprocess.run([*RUN, "0", "step outside"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGSEGV


def test_checked_code_and_unchecked_code_have_folders_of_their_own() -> None:
    code = "from npconv.kernels.compile import fingerprint; print(fingerprint())"
    prints = {run_python(code, NUMBA_BOUNDSCHECK=check) for check in ("0", "1")}
    assert len(prints) == 2
