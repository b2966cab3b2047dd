"""A network taken through the kernels, layer by layer: what was executed beside what was planned and what closed forms say."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from npconv.arguments import complaint
from npconv.counts import OpCount
from npconv.networks.catalogue import network
from npconv.networks.layer import Layer
from npconv.networks.network import Network
from npconv.plan import plan_conv2d


@dataclass(frozen=True, slots=True)
class LayerRun:
    """One layer that was executed, as often as it runs for one image.

    Parameters
    ----------
    layer : Layer
        The layer; ``layer.counts`` are its closed forms.
    method : str
        The method that ran.
    executed : OpCount
        What the loops counted.
    planned : OpCount
        What the plan predicted, idle lanes and moved elements included.
    result : int
        Sum of all outputs. Inputs and weights are ones, so each output is the number of its real taps, and the sum that
        of the useful products.
    seconds : float
        Time of the convolutions, without that of planning and packing.

    Examples
    --------
    >>> import npconv as nc
    >>> layer = nc.networks.Layer("conv", (1, 1, 3, 3), (1, 1, 3, 3), padding=((1, 1), (1, 1)))
    >>> done = nc.networks.run(nc.networks.Network("one", (layer,)))
    >>> only, = done.layers
    >>> only.executed.mul, only.result, only.agrees
    (49, 49, True)
    """

    layer: Layer
    method: str
    executed: OpCount
    planned: OpCount
    result: int
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether executed = planned = closed form, field by field, and the result holds each useful product once.

        Closed forms know of no idle lanes and no copies; those of the execution are compared with the plan's.
        """
        counts, idle, moved = self.executed, self.executed.idle_mul, self.executed.moved
        beside = OpCount(idle_mul=idle, idle_add=counts.idle_add, moved=moved)
        return counts == self.planned == self.layer.counts + beside and self.result == counts.mul


@dataclass(frozen=True, slots=True)
class NetworkRun:
    """A network that was executed; print it for the table of its layers.

    Parameters
    ----------
    network : Network
        The network.
    layers : tuple of LayerRun
        Its layers.
    seconds : float
        Time of it all, planning and packing included.

    Examples
    --------
    >>> import npconv as nc
    >>> layer = nc.networks.Layer("conv", (1, 1, 3, 3), (1, 1, 3, 3), padding=((1, 1), (1, 1)))
    >>> done = nc.networks.run(nc.networks.Network("one", (layer,)))
    >>> done.agrees, done.executed == done.planned
    (True, True)
    """

    network: Network
    layers: tuple[LayerRun, ...]
    seconds: float

    @property
    def executed(self) -> OpCount:
        """What the loops counted, of all layers."""
        return sum((run.executed for run in self.layers), OpCount())

    @property
    def planned(self) -> OpCount:
        """What the plans predicted, of all layers."""
        return sum((run.planned for run in self.layers), OpCount())

    @property
    def agrees(self) -> bool:
        """Whether executed = planned = closed form in every layer."""
        return all(run.agrees for run in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as what `json.dumps` takes.

        Returns
        -------
        dict
            ``network``, ``agrees``, ``seconds``, and ``layers``, each with its counts.

        Examples
        --------
        >>> import npconv as nc
        >>> layer = nc.networks.Layer("conv", (1, 1, 3, 3), (1, 1, 3, 3), padding=((1, 1), (1, 1)))
        >>> done = nc.networks.run(nc.networks.Network("one", (layer,)))
        >>> done.to_json()["layers"][0]["closed_form"]["padding_mul"]
        32
        """
        layers = [
            {
                "name": run.layer.name,
                "times": run.layer.times,
                "method": run.method,
                "executed": asdict(run.executed),
                "planned": asdict(run.planned),
                "closed_form": asdict(run.layer.counts),
                "result": run.result,
                "agrees": run.agrees,
                "seconds": run.seconds,
            }
            for run in self.layers
        ]
        return {"network": self.network.name, "agrees": self.agrees, "seconds": self.seconds, "layers": layers}

    def __str__(self) -> str:
        width = max(map(len, ("layer", *(run.layer.name for run in self.layers))))
        head = f"{'layer':<{width}}  {'method':<9}  {'useful':>14}  {'on padding':>13}  {'idle':>13}  {'additions':>14}     ms"
        lines = [
            f"{run.layer.name:<{width}}  {run.method:<9}  {_columns(run.executed, run.seconds, run.agrees)}"
            for run in self.layers
        ]
        computing = sum(run.seconds for run in self.layers)
        lines.append(f"{'all':<{width}}  {'':<9}  {_columns(self.executed, computing, self.agrees)}")
        wrong = [run.layer.name for run in self.layers if not run.agrees]
        said = f"not in {', '.join(wrong)}" if wrong else "in every layer"
        return "\n".join(
            [head, *lines, f"executed = planned = closed form: {said} ({self.seconds:.2f} s with planning and packing)"]
        )


Watcher: TypeAlias = Callable[[LayerRun, int, int], None]


def run(net: str | Network, *, num_threads: int | None = None, progress: bool | Watcher = True) -> NetworkRun:
    """Take every convolution (cross-correlation) of a network through the kernels, with its real shapes and in float32.

    Parameters
    ----------
    net : str or Network
        The network, or its name as `network` takes it.
    num_threads : int, optional
        Threads to use at most, by default `get_num_threads`.
    progress : bool or callable, default True
        Whether a bar shows how far it is, where standard error is a terminal and rich is installed. A function is called
        after each layer with its `LayerRun`, how many are done, and how many there are.

    Returns
    -------
    NetworkRun
        For each layer what was executed, planned and computed, and whether all three agree.

    Raises
    ------
    TypeError
        If an option is of the wrong type.
    ValueError
        If no network has that name, or a layer is one that no kernel serves.

    Notes
    -----
    Images and filters are ones and biases zeros. Then each output is the number of its real taps, and the outputs of a
    layer sum up to its useful products: a witness that does not look at any counter. A layer that runs twice for one
    image is run twice. What stands between convolutions is left out.

    Examples
    --------
    >>> import npconv as nc
    >>> layer = nc.networks.Layer("conv", (1, 1, 3, 3), (1, 1, 3, 3), padding=((1, 1), (1, 1)))
    >>> done = nc.networks.run(nc.networks.Network("one", (layer,)))
    >>> done.agrees, done.executed.mul == done.layers[0].result == 9 + 4 * 6 + 4 * 4
    (True, True)
    """
    net = network(net) if isinstance(net, str) else net
    unserved = next((layer.name for layer in net.layers if layer.transposed), None)
    if unserved is not None:
        rule = (
            f"{unserved} is transposed, and no kernel here executes that. Did you mean the closed forms, Layer.counts?"
        )
        raise complaint("run", ValueError(rule), {"net": net.name})
    runs: list[LayerRun] = []
    begin = time.perf_counter()
    with _watched(net, progress) as watcher:
        for number, layer in enumerate(net.layers, 1):
            runs.append(_run_layer(layer, num_threads))
            watcher(runs[-1], number, len(net.layers))
    return NetworkRun(net, tuple(runs), time.perf_counter() - begin)


def _run_layer(layer: Layer, num_threads: int | None) -> LayerRun:
    """Execute one layer on ones, as often as it runs."""
    # Of one element: the plan packs a copy, and a second one of the 400 MB of a fully connected layer is saved.
    weight = np.broadcast_to(np.float32(1), layer.weight_shape)
    plan = plan_conv2d(
        layer.x_shape,
        weight,
        np.zeros(layer.y_shape[1], np.float32) if layer.bias else None,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        num_threads=num_threads,
    )
    x = np.ones(layer.x_shape, np.float32)
    begin = time.perf_counter()
    done = [plan(x, return_counts=True) for _ in range(layer.times)]
    seconds = time.perf_counter() - begin
    executed = sum((counts for _, counts in done), OpCount())
    result = sum(int(y.sum(dtype=np.float64)) for y, _ in done)
    return LayerRun(layer, plan.method, executed, layer.times * plan.counts, result, seconds)


@contextmanager
def _watched(net: Network, progress: bool | Watcher) -> Iterator[Watcher]:
    """Give the function to call after each layer."""
    if callable(progress):
        yield progress
    elif progress and find_spec("rich"):
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(net.name, total=len(net.layers))
            yield lambda _run, number, _total: bar.update(task, completed=number)
    else:
        yield lambda _run, _number, _total: None


def _columns(counts: OpCount, seconds: float, agrees: bool) -> str:
    """Return the numbers of one row."""
    numbers = f"{counts.mul:>14,}  {counts.padding_mul:>13,}  {counts.idle_mul:>13,}  {counts.executed_add:>14,}"
    return f"{numbers}  {seconds * 1e3:>5.1f}{'' if agrees else '  differs'}"
