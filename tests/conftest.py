"""Hypothesis profiles: a deterministic one for every run, and a long one that explores.

``pytest --hypothesis-profile=long`` or ``NPCONV_EXAMPLES=20000 pytest`` draw as many geometries as you can wait for.
"""

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("bounds")

EXAMPLES = os.environ.get("NPCONV_EXAMPLES")

# No deadline: the first call of a kernel compiles it.
settings.register_profile("default", max_examples=500, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("long", max_examples=int(EXAMPLES or 20_000), deadline=None, print_blob=True)
settings.load_profile("long" if EXAMPLES else "default")
