"""Hypothesis profiles: the same geometries in every run, or as many new ones as you can wait for.

``NPCONV_EXAMPLES=20000 pytest`` draws so many, always the same; ``pytest --hypothesis-profile=long`` draws others each time.
"""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# After the installed packages: the benchmarks are read from the repository, npconv from wherever it is installed.
sys.path.append(str(Path(__file__).parents[1]))

pytest.register_assert_rewrite("bounds")

EXAMPLES = os.environ.get("NPCONV_EXAMPLES")

# No deadline: the first call of a kernel compiles it.
settings.register_profile(
    "default", max_examples=int(EXAMPLES or 500), derandomize=True, deadline=None, print_blob=True
)
settings.register_profile("long", max_examples=int(EXAMPLES or 20_000), deadline=None, print_blob=True)
settings.load_profile("default")


def pytest_collection() -> None:
    """Where coverage watches the tests, leave the processes that they start alone; by now the workers that run them have been started."""
    os.environ.pop("COVERAGE_PROCESS_START", None)
