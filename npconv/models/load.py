"""What a command is given, told apart: the name of a network, an ONNX file, or a function that makes a module."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from npconv.arguments import complaint
from npconv.models.onnx_file import from_onnx
from npconv.models.torch_module import from_torch
from npconv.networks.catalogue import NETWORKS, network
from npconv.networks.network import Network


def load(target: str, *, input_shape: Sequence[int] | None = None) -> Network:
    """Return the network of a name, of an ONNX file, or of what a function makes.

    Parameters
    ----------
    target : str
        A name such as "resnet-50"; the path of an ONNX file; or ``package.module:factory``, a function without
        arguments that returns a `Network`, a PyTorch module, or a module and what it takes: ``(module, shape)``. The
        working directory is searched for modules first.
    input_shape : sequence of int, optional
        Shape of the input of a file that leaves it open, or of a module that came alone.

    Returns
    -------
    Network
        The network; a `Model` if it was read from a file or a module.

    Raises
    ------
    ModuleNotFoundError
        If what reads a file or a module is not installed.
    OSError
        If a file cannot be opened.
    ValueError
        If there is no such network, module or function; if the function fails or returns anything else; or as
        `from_onnx` and `from_torch`.

    Examples
    --------
    >>> load("mobilenet-v1").products
    568740352
    """
    if target in NETWORKS:
        return network(target)
    if target.endswith(".onnx") or Path(target).is_file():
        return from_onnx(target, input_shape=input_shape)
    if ":" in target:
        return _of_factory(target, input_shape)
    if "." in target or "/" in target:
        fault = f"there is no file {target}, and no network of that name"
        raise _refused(target, f"{fault}. Did you mean package.module:factory, or a path that ends in .onnx?")
    return network(target)


def _of_factory(target: str, input_shape: Sequence[int] | None) -> Network:
    """Return the network of what a function makes."""
    made = _called(target)
    if isinstance(made, Network):
        return made
    module, *inputs = made if isinstance(made, tuple) and made else (made,)
    if not inputs and input_shape is not None:
        inputs = [input_shape]
    # A module is one of PyTorch's only if that has been imported.
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        kind = type(module).__name__
        raise _refused(
            target, f"it returned {kind}, but must return a Network or a PyTorch module. Did you mean to call that?"
        )
    if not inputs:
        fault = f"it returned a {type(module).__name__} alone, and not what that takes"
        raise _refused(target, f"{fault}. Did you mean to give input_shape, or to return (module, (1, 3, 224, 224))?")
    return from_torch(module, *inputs)


def _called(target: str) -> Any:
    """Return what a function returns that is named by its module and its own name."""
    place, _, name = target.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = _imported(target, place)
        factory = getattr(module, name, None)
        if not callable(factory):
            found = "is no function" if hasattr(module, name) else "is not in it"
            names = ", ".join(each for each, thing in vars(module).items() if callable(thing) and each[0] != "_")
            raise _refused(
                target, f"{place} is there, but {name!r} {found}. Did you mean one of: {names or 'nothing'}?"
            )
        return _guarded(target, f"{name}() failed", factory)
    finally:
        sys.path.remove(here)


def _imported(target: str, place: str) -> Any:
    """Return a module."""
    try:
        return _guarded(target, f"importing {place} failed", lambda: import_module(place))
    except ValueError as fault:
        missing = fault.__cause__
        if isinstance(missing, ModuleNotFoundError) and f"{place}.".startswith(f"{missing.name}."):
            rule = f"there is no module {missing.name!r}"
            raise _refused(
                target, f"{rule}. Did you mean one in the working directory, or one to install?"
            ) from missing
        raise


def _guarded(target: str, what: str, call: Callable[[], Any]) -> Any:
    """Return what a call returns; whatever it raises is told in one line."""
    try:
        return call()
    except Exception as fault:
        told = f"{type(fault).__name__}: {fault}".splitlines()[0]
        raise _refused(target, f"{what}, {told}. Did you mean another function?") from fault


def _refused(target: str, rule: str) -> Exception:
    """Return the error of a target, as the user reads it."""
    return complaint("load", ValueError(rule), {"target": target})
