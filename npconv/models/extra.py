"""Packages that only some readers need."""

from importlib import import_module
from typing import Any


def optional(package: str, what: str) -> Any:
    """Return a package, or say what needs it and how to get it."""
    try:
        return import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        text = f'{what} needs {package}. Install with: pip install "npconv[{package}]"'
        raise ModuleNotFoundError(text, name=package) from None
