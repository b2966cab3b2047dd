"""Channel shuffle: beside a copy of as many bytes, beside PyTorch, and folded into the grouped convolution before it."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.bars import on_threads
from bench.clock import Clock, seconds_of
from bench.counting import difference, percent
from bench.engines import InferenceMode, PyTorch
from bench.layers import Array, Layer, product
from bench.progress import progress
from bench.report import Bar, Report, Table
from bench.rows import OURS
from bench.speed import Pace, present
from bench.timed import Timed
from bench.trials import Trial, each_bar, time_trial, trials_table
from bench.worker import Worker, working

OF_COPY, OF_PYTORCH, FUSED_WITHIN = 0.85, 1.5, 0.02
COPY = "copy"
# Ratios of a trial: whose time is divided by whose.
RATIOS = {
    "of copy": (COPY, "channel_shuffle"),
    "of x.copy()": ("x.copy()", "channel_shuffle"),
    "of PyTorch": (PyTorch.label, "channel_shuffle"),
}
NETWORKS = ("shufflenet-v1-g3", "shufflenet-v1-g8")
# As many as pass through a server at once, and images as large as photographs.
LARGER = (((8, 240, 28, 28), 3), ((1, 240, 112, 112), 3), ((1, 512, 112, 112), 8), ((8, 512, 56, 56), 8))
# Seconds for a pair of plans in a round: their difference has to be known to a fraction of a percent.
SLICE = 0.03


class Shuffles(Timed):
    """Our own shuffle; lives in a worker."""

    def prepare(self, shape: tuple[int, ...], groups: int) -> dict[str, Array]:
        """Take up a shape."""
        import npconv as nc

        nc.set_num_threads(self.threads)
        return self.take_up(
            (numbered(shape),), lambda x: {"channel_shuffle": lambda: nc.channel_shuffle(x, groups), "x.copy()": x.copy}
        )


class PyTorchShuffles(InferenceMode):
    """The shuffle as it is written with PyTorch; lives in a worker."""

    def prepare(self, shape: tuple[int, ...], groups: int) -> dict[str, Array]:
        """Take up a shape."""
        import torch

        N, C, H, W = shape

        def shuffled(x: Any) -> Any:
            return x.view(N, groups, C // groups, H, W).transpose(1, 2).contiguous().view(N, C, H, W)

        return self.take_up((numbered(shape),), lambda x: {"view": partial(shuffled, torch.from_numpy(x))})


WORKERS: dict[str, type[Timed]] = {OURS: Shuffles, PyTorch.label: PyTorchShuffles}


class Fused(Timed):
    """Plans of one grouped convolution, one of which shuffles its channels on the way to memory; lives in a worker."""

    def prepare(self, layer: Layer, dtype: str) -> bool:
        """Take up a layer, and return whether the shuffled result has the right bits."""
        import npconv as nc

        x, weight = layer.arrays(dtype)
        groups = layer.geometry.groups
        self.clock = Clock()
        y = np.empty(layer.geometry.y_shape, dtype)
        for name, shuffle in (("fused", groups), ("plain", 1)):
            plan = nc.plan_conv2d(x.shape, weight, **layer.options, shuffle_groups=shuffle, num_threads=self.threads)
            self.variants[name] = partial(plan, x, out=y)
        fused, plain = (self.variants[name]().copy() for name in ("fused", "plain"))
        return bool(np.array_equal(fused, shuffled(plain, groups)))

    def pairs(self, seconds: float) -> tuple[float, float]:
        """Return the median log ratio, time with a shuffle over time without, and the median time with."""
        runs = partial(seconds_of, self.variants["fused"]), partial(seconds_of, self.variants["plain"])
        fused, plain = self.clock.pairs(*runs, seconds).T
        return float(np.median(np.log(fused / plain))), float(np.median(fused))


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A convolution that shuffles, against one that does not: the log ratio of each round, and the median seconds."""

    name: str
    threads: int
    log_ratios: Array
    seconds: float

    @property
    def adds(self) -> tuple[float, float, float]:
        """What the shuffle adds, relatively, and the 95 % interval."""
        return difference(self.log_ratios[:, None])

    def data(self) -> dict[str, Any]:
        """Return it for JSON."""
        log_ratios = self.log_ratios.round(6).tolist()
        return {"layer": self.name, "threads": self.threads, "seconds": self.seconds, "log_ratios": log_ratios}


def numbered(shape: tuple[int, ...]) -> Array:
    """Return an array whose elements are all different, or nearly so."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def shuffled(x: Array, groups: int) -> Array:
    """Return the definition: y[:, j*groups + i] = x[:, i*(C // groups) + j]."""
    N, C, H, W = x.shape
    return x.reshape(N, groups, C // groups, H, W).swapaxes(1, 2).reshape(x.shape)


def layers() -> list[Layer]:
    """Return the grouped convolutions of ShuffleNet whose channels are shuffled: the first of each unit."""
    from npconv.networks import NETWORKS as BUILDERS

    found = [
        Layer(layer.geometry)
        for name in NETWORKS
        for layer in BUILDERS[name]().layers
        if layer.name.endswith(".reduce") and layer.groups > 1
    ]
    return list(dict.fromkeys(found))


def named(shape: tuple[int, ...], groups: int) -> str:
    """Return a shape in a few words."""
    N, C, H, W = shape
    return f"{N} x {C} channels in {groups} groups, {product(H, W)}"


def measure(labels: Sequence[str], threads: Sequence[int], pace: Pace, *, quick: bool) -> Report:
    """Time shuffles of their own and in a convolution, and hold them to the bars."""
    report = Report("shuffle")
    peers = present([label for label in labels if label == PyTorch.label], report)
    fused = layers()
    shapes = [*dict.fromkeys((layer.geometry.y_shape, layer.geometry.groups) for layer in fused), *LARGER]
    if quick:
        fused, shapes = fused[:2], [shapes[0], LARGER[0]]
    trials, folded = [], []
    with progress(len(threads) * (len(shapes) + len(fused))) as step:
        for n in threads:
            with ExitStack() as stack:
                workers = {
                    label: stack.enter_context(working(f"bench.shuffle:{WORKERS[label].__name__}", n))
                    for label in (OURS, *peers)
                }
                calibration = stack.enter_context(working("bench.calibrate:Calibration", n, own_cache=True))
                for shape, groups in shapes:
                    step(f"shuffle: {named(shape, groups)}, {on_threads(n)}")
                    report.faults.extend(take_up(workers, shape, groups))
                    traffic = 2 * numbered(shape).nbytes
                    copy = {COPY: partial(copy_seconds, calibration, traffic)}
                    trials.append(time_trial(named(shape, groups), n, workers, pace, copy))
            with working("bench.shuffle:Fused", n) as worker:
                for layer in fused:
                    step(f"shuffle: {layer.name} and a shuffle, {on_threads(n)}")
                    if not worker.call("prepare", layer, "float32"):
                        report.faults.append(
                            f"{layer.name}: a shuffle on the way to memory gives other bits than one afterwards"
                        )
                    logs = np.array([worker.call("pairs", SLICE) for _ in range(pace.rounds)])
                    folded.append(Folded(layer.name, n, logs[:, 0], float(np.median(logs[:, 1]))))
    report.tables.extend([trials_table("Channel shuffle", trials, RATIOS), folded_table(folded)])
    report.bars.extend(bar for n in threads for bar in bars(trials, folded, n, judged=not quick))
    report.notes.append(
        f"{COPY}: the calibration's loop, as many bytes into memory that is in use. channel_shuffle makes a new array, as "
        "x.copy() does, which runs on one thread."
    )
    report.data.update(trials=[trial.data() for trial in trials], folded=[of.data() for of in folded])
    return report


def take_up(workers: Mapping[str, Worker], shape: tuple[int, ...], groups: int) -> list[str]:
    """Give workers a shape, and return whose result is wrong."""
    right = shuffled(numbered(shape), groups)
    return [
        f"{label}: wrong channels of {named(shape, groups)}"
        for label, worker in workers.items()
        if not np.array_equal(next(iter(worker.call("prepare", shape, groups).values())), right)
    ]


def copy_seconds(calibration: Worker, traffic: int, seconds: float) -> float:
    """Return the seconds that a copy takes to read and write so many bytes."""
    bandwidth: float = calibration.call("bandwidth", traffic, seconds)
    return traffic / bandwidth


def folded_table(folded: Sequence[Folded]) -> Table:
    """Return what a shuffle adds to a convolution."""
    rows = [[of.name, str(of.threads), f"{of.seconds * 1e6:.1f}", *percent(*of.adds)] for of in folded]
    title = "A grouped convolution that shuffles, against one that does not"
    return Table(title, ["layer", "threads", "us", "difference", "95 %"], rows)


def bars(trials: Sequence[Trial], folded: Sequence[Folded], threads: int, *, judged: bool) -> list[Bar]:
    """Return how shuffles do on some threads."""
    here = [trial for trial in trials if trial.threads == threads]
    there = [of for of in folded if of.threads == threads]
    worst = max(there, key=lambda of: of.adds[0])
    reached = sum(of.adds[0] <= FUSED_WITHIN for of in there)
    asked = f"at least {OF_COPY:.0%} of the speed of a copy, {on_threads(threads)}"
    return [
        each_bar(f"channel shuffle: {asked}", here, RATIOS["of copy"], OF_COPY, judged=judged),
        each_bar(
            f"channel shuffle: every shape at least {OF_PYTORCH} of PyTorch, {on_threads(threads)}",
            here,
            RATIOS["of PyTorch"],
            OF_PYTORCH,
            judged=judged,
        ),
        Bar(
            f"a shuffle on the way to memory adds at most {FUSED_WITHIN:.0%} to a grouped layer, {on_threads(threads)}",
            f"{reached} of {len(there)} layers; the most {worst.adds[0]:+.2%}, {worst.name}",
            reached == len(there) if judged else None,
        ),
    ]
