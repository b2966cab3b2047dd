"""A function by its name: an engine, ``module:function`` or ``file.py:function``."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path
from typing import Any

from npconv.judge.adapters import ENGINES, engine
from npconv.judge.trial import Convolution


def load(name: str) -> Convolution:
    """Import a function.

    Parameters
    ----------
    name : str
        A key of `npconv.judge.adapters.ENGINES`; ``module:function``, where the module is found as Python finds it from this
        folder; or ``path/file.py:function``.

    Returns
    -------
    callable
        The function.

    Raises
    ------
    ValueError
        If the name has another form, or the module lacks it.
    TypeError
        If it cannot be called.
    ModuleNotFoundError
        If there is no such module, or no such file.

    Examples
    --------
    >>> load("npconv.judge.shapes:likely_reading").__name__
    'likely_reading'
    """
    if name in ENGINES:
        return engine(name)
    home, colon, path = name.rpartition(":")
    if not (home and colon and path):
        engines = ", ".join(ENGINES)
        raise ValueError(f"{name!r} is no function; it would be module:function, file.py:function or one of {engines}")
    module = _from_file(Path(home)) if home.endswith(".py") else _from_here(home)
    try:
        function = attrgetter(path)(module)
    except AttributeError:
        functions = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        there = f"there are {', '.join(functions[:9])}" if functions else "it has no functions"
        raise ValueError(f"{home} has no {path}; {there}") from None
    if not callable(function):
        raise TypeError(f"{name} is a {type(function).__name__}, which cannot be called")
    found: Convolution = function
    return found


def _from_here(name: str) -> Any:
    """Import a module, which may lie in the folder that the command was called from."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return import_module(name)


def _from_file(path: Path) -> Any:
    """Import a file, whose folder becomes one that modules are found in, as if Python had been called with it."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModuleNotFoundError(f"there is no file {path}")
    sys.path.insert(0, str(path.parent.resolve()))
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
