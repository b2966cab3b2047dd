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
    from npconv.networks.execution import run

__all__ = ["NETWORKS", "Layer", "Network", "Published", "Totals", "network", "run", "totals"]


def __getattr__(name: str) -> Any:
    # Needs NumPy and Numba, and is imported where it is asked for.
    if name == "run":
        return import_module("npconv.networks.execution").run
    raise AttributeError(f"module 'npconv.networks' has no attribute {name!r}")
