"""How Sphinx builds the documentation: ``sphinx-build -W docs docs/_build``."""

import sys
import tomllib
from pathlib import Path

import npconv

sys.path.append(str(Path(__file__).parent))

project = "npconv"
author = "The npconv developers"
copyright = "2026, The npconv developers"
version = release = npconv.__version__

extensions = [
    "computed",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
# Parts of pages, which `python -m bench page` writes.
exclude_patterns = ["_build", "engines.md", "performance/_*"]
html_theme = "furo"
html_title = f"npconv {version}"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Single backticks in a docstring link to what they name, where that is documented.
default_role = "py:obj"
autodoc_member_order = "bysource"
# The type slot of each parameter says more than its annotation.
autodoc_typehints = "none"
numpydoc_show_class_members = False

_pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
_validation = _pyproject["tool"]["numpydoc_validation"]
numpydoc_validation_checks = set(_validation["checks"])
numpydoc_validation_exclude = set(_validation["exclude"])
