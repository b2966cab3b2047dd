"""Python processes of their own: as another CPU, without the compiler, with another cache."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent

# A second switch is needed for each: without it the features of this machine's CPU stay.
AS_AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+sse4.2"}
AS_PLAIN_CPU = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
COMPILED = {"NUMBA_DISABLE_JIT": "0"}
INTERPRETED = {"NUMBA_DISABLE_JIT": "1"}

# Without the JIT a vector takes ten microseconds: fewer and smaller runs, and none of what compiles in a process of its own.
JIT = os.environ.get("NUMBA_DISABLE_JIT") != "1"

# Each tile is compiled once for each type: the ordinary run keeps to a few, and NPCONV_EVERY_TILE takes all, which takes minutes.
EVERY_TILE = os.environ.get("NPCONV_EVERY_TILE") == "1"
SECONDS = 3600 if EVERY_TILE else 300


def compiled_kernels(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test of machine code: it is one of the kernel tests, but for those without the JIT."""
    return pytest.mark.kernels(test) if JIT else test


def start_python(code: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process that runs code beside the tests, whatever it then prints still to be read."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        cwd=TESTS,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> str:
    """Return what a process printed; it must end well, and a signal that ends it is shown as a negative number."""
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, f"ended with {process.returncode}:\n{err}"
    return out


def run_python(code: str, **environment: str) -> str:
    """Run code beside the tests in a process of its own and return what it printed."""
    return printed(start_python(code, **environment))
