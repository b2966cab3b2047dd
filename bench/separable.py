"""Depthwise separable convolution: one call beside our own two, beside PyTorch's two, and beside the pointwise part alone."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.bars import geometric_mean, on_threads
from bench.engines import InferenceMode, PyTorch
from bench.judge import UNIT_ROUNDOFF, Judge, by_taps
from bench.layers import Array, Layer
from bench.progress import progress
from bench.report import Bar, Report
from bench.rows import OURS
from bench.speed import Pace, present
from bench.timed import Timed
from bench.trials import Trial, mean_bar, time_trial, trials_table
from bench.worker import working

OF_TWO, OF_PYTORCH = 1.3, 1.8
FUSED, TWO, POINTWISE = "separable_conv2d", "two calls", "pointwise alone"
# Ratios of a trial: whose time is divided by whose.
RATIOS = {
    "of two calls": (TWO, FUSED),
    "of PyTorch": (PyTorch.label, FUSED),
    "if depthwise were free": (TWO, POINTWISE),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A depthwise convolution, and the pointwise one that reads its output."""

    depthwise: Layer
    pointwise: Layer

    @property
    def name(self) -> str:
        """The pair in a few words."""
        return f"{self.depthwise.name} -> {self.pointwise.geometry.O}"

    def arrays(self, dtype: str) -> tuple[Array, Array, Array]:
        """Return x and both weights."""
        return *self.depthwise.arrays(dtype), self.pointwise.arrays(dtype)[1]


class Separable(Timed):
    """Our own ways to compute a pair; lives in a worker."""

    def prepare(self, pair: Pair, dtype: str) -> dict[str, Array]:
        """Take up a pair."""
        import npconv as nc

        nc.set_num_threads(self.threads)
        g = pair.depthwise.geometry
        between = np.zeros(g.y_shape, dtype)
        options: dict[str, Any] = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation}

        def ready(x: Array, depthwise: Array, pointwise: Array) -> dict[str, Callable[[], Array]]:
            return {
                FUSED: lambda: nc.separable_conv2d(x, depthwise, pointwise, **options),
                TWO: lambda: nc.pointwise_conv2d(nc.depthwise_conv2d(x, depthwise, **options), pointwise),
                POINTWISE: lambda: nc.pointwise_conv2d(between, pointwise),
            }

        return self.take_up(pair.arrays(dtype), ready)


class PyTorchSeparable(InferenceMode):
    """A pair in PyTorch, in its two memory layouts; lives in a worker."""

    def prepare(self, pair: Pair, dtype: str) -> dict[str, Array]:
        """Take up a pair."""
        import torch

        g = pair.depthwise.geometry
        (top, bottom), (left, right) = g.padding

        def ready(*arrays: Array) -> dict[str, Callable[[], Any]]:
            image, *filters = map(torch.from_numpy, arrays)
            # Its conv2d pads both ends of an axis alike. What it cannot do costs nothing here.
            image = torch.nn.functional.pad(image, (left, right, top, bottom))
            return {
                "contiguous": variant(torch.contiguous_format, image, *filters),
                "channels last": variant(torch.channels_last, image, *filters),
            }

        def variant(memory_format: Any, *tensors: Any) -> Callable[[], Any]:
            x, depthwise, pointwise = (tensor.to(memory_format=memory_format) for tensor in tensors)
            conv2d = torch.nn.functional.conv2d
            return lambda: conv2d(conv2d(x, depthwise, None, g.stride, 0, g.dilation, g.groups), pointwise)

        return self.take_up(pair.arrays(dtype), ready)


class PairJudge(Judge):
    """As `Judge`, of a pair: what the first convolution may be off by goes through the second, and its own error is added."""

    def prepare_pair(self, pair: Pair, dtype: str) -> None:
        """Take up a pair."""
        second = pair.arrays(dtype)[-1]
        super().prepare(pair.depthwise, dtype)
        between, off = self._y, self._allowed
        g = pair.pointwise.geometry
        magnitudes = abs(second).astype(np.float64)
        self._y = by_taps(g, between, second.astype(between.dtype))
        S = by_taps(g, (abs(between) + off).astype(np.float64), magnitudes)
        # The judge's own roundoff is far below; a hundredth more allows for it.
        self._allowed = 1.01 * (by_taps(g, off.astype(np.float64), magnitudes) + g.K * UNIT_ROUNDOFF[dtype] * S)


def pairs(name: str) -> list[Pair]:
    """Return the pairs of a network, in its order."""
    from npconv.networks import NETWORKS

    layers = [Layer(layer.geometry) for layer in NETWORKS[name]().layers if not layer.fully_connected]
    return [
        Pair(first, second)
        for first, second in itertools.pairwise(layers)
        if first.kind == "depthwise"
        and second.kind == "pointwise"
        and second.geometry.groups == 1
        and second.geometry.x_shape == first.geometry.y_shape
    ]


def measure(labels: Sequence[str], threads: Sequence[int], pace: Pace, *, quick: bool) -> Report:
    """Time MobileNetV1's pairs and hold them to the bars."""
    report = Report("separable")
    peers = present([label for label in labels if label == PyTorch.label], report)
    homes = {OURS: "bench.separable:Separable", PyTorch.label: "bench.separable:PyTorchSeparable"}
    measured = pairs("mobilenet-v1")
    if quick:
        measured = measured[-2:]
    trials: list[Trial] = []
    with working("bench.separable:PairJudge") as judge, progress(len(threads) * len(measured)) as step:
        for n in threads:
            with ExitStack() as stack:
                workers = {label: stack.enter_context(working(homes[label], n)) for label in (OURS, *peers)}
                for i, pair in enumerate(measured, 1):
                    step(f"separable: {pair.name}, {on_threads(n)}")
                    judge.call("prepare_pair", pair, "float32")
                    outputs = {label: worker.call("prepare", pair, "float32") for label, worker in workers.items()}
                    report.faults.extend(faults(pair, outputs, functools.partial(judge.call, "worst")))
                    trials.append(time_trial(f"{i}: {pair.name}", n, workers, pace))
    report.tables.append(trials_table("Separable convolutions", trials, RATIOS))
    report.bars.extend(bar for n in threads for bar in bars(trials, n, judged=not quick))
    report.notes.extend(possible(trials, n) for n in threads)
    report.data.update(trials=[trial.data() for trial in trials])
    return report


def faults(pair: Pair, outputs: Mapping[str, Mapping[str, Array]], worst: Callable[[Array], float]) -> Iterator[str]:
    """Yield what is wrong with the outputs of a pair, by worker and variant."""
    if not np.array_equal(outputs[OURS][FUSED], outputs[OURS][TWO]):
        yield f"{pair.name}: one call gives other bits than two"
    for label, of in outputs.items():
        for variant, y in of.items():
            # The pointwise part alone reads zeros, and is there for its time.
            if variant != POINTWISE and not (error := worst(y)) <= 1:
                yield f"{pair.name}: {label}, {variant}, is off by {error:.3g} bounds"


def bars(trials: Sequence[Trial], threads: int, *, judged: bool) -> list[Bar]:
    """Return how one call does on some threads."""
    here = [trial for trial in trials if trial.threads == threads]
    asked = {
        "of two calls": f"separable: geometric mean at least {OF_TWO} of our own two calls, {on_threads(threads)}",
        "of PyTorch": f"separable: geometric mean at least {OF_PYTORCH} of PyTorch's two calls, {on_threads(threads)}",
    }
    return [
        mean_bar(asked["of two calls"], here, RATIOS["of two calls"], OF_TWO, judged=judged),
        mean_bar(asked["of PyTorch"], here, RATIOS["of PyTorch"], OF_PYTORCH, judged=judged),
    ]


def possible(trials: Sequence[Trial], threads: int) -> str:
    """Return which mean would be reached if the depthwise part cost nothing: no fusion can do better."""
    most = [trial.median(TWO) / trial.median(POINTWISE) for trial in trials if trial.threads == threads]
    return (
        f"If the depthwise part cost nothing, one call would be {geometric_mean(most):.2f} of two, {on_threads(threads)}: no fusion of "
        "these two parts can reach more."
    )
