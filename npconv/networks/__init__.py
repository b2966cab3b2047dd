"""Published architectures, convolution by convolution, with the totals that follow and the figures in print.

A builder reads like its paper's table; it sends a shape through the network and notes each convolution.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from npconv.networks.catalogue import NETWORKS, network
from npconv.networks.layer import Layer
from npconv.networks.network import Network, Published
from npconv.networks.totals import Totals, totals

if TYPE_CHECKING:
    from npconv.models.load import load
    from npconv.models.model import Model
    from npconv.models.onnx_file import from_onnx
    from npconv.models.torch_module import from_torch
    from npconv.networks.execution import run

# Imported where they are asked for: what runs needs NumPy and Numba, and few need what reads models.
_HOMES = {
    "Model": "models.model",
    "from_onnx": "models.onnx_file",
    "from_torch": "models.torch_module",
    "load": "models.load",
    "run": "networks.execution",
}

__all__ = [
    "NETWORKS",
    "Layer",
    "Model",
    "Network",
    "Published",
    "Totals",
    "from_onnx",
    "from_torch",
    "load",
    "network",
    "run",
    "totals",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'npconv.networks' has no attribute {name!r}")
    return getattr(import_module(f"npconv.{_HOMES[name]}"), name)
