"""That counting is free: the kernels with and without their counters, call by call in turn, on the same memory."""

import dataclasses
import importlib
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import npconv as nc
from bench.clock import INTERRUPTED, Clock, seconds_of
from bench.intervals import interval
from bench.layers import Array, Layer
from bench.progress import progress
from bench.report import Bar, Report, Table
from bench.strip import write_package
from bench.worker import working
from npconv.kernels.calls import TileKernel
from npconv.kernels.entry import Entry
from npconv.layouts import Layout
from npconv.memory import aligned
from npconv.workspace import Workspace

UNCOUNTED = "uncounted"
# Seconds for each layer in a round; rounds follow one another until so many seconds have passed, and at least a few.
SLICE = 0.03
DURATION, QUICK_DURATION = 150, 5
FEWEST_ROUNDS = 5
# A step of the progress.
ROUNDS_TOLD = 10
BAR = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One call of a kernel, just as a plan makes it, and the same call without counters.

    Both read and write the same arrays, so that nothing differs but the machine code: no address, no alignment.
    """

    counted: Callable[[], None]
    uncounted: Callable[[], None]
    workspace: Workspace
    # With the tables that a job holds the addresses of.
    entries: tuple[Entry, Entry]

    @classmethod
    def of(cls, layout: Layout, x: Array, weight: Array, y: Array) -> "Call":
        """Return the pair of a layout's kernels, tile kernels too, and of their twins in the package without counters."""
        parts = tuple(
            TileKernel(twin(part.function), part.tile, part.dtype) if isinstance(part, TileKernel) else part
            for part in layout.parts
        )
        workspace = Workspace.of(1, layout.scratch, layout.dtype)
        operands = x, layout.pack(weight), np.empty(0, layout.dtype), y
        entries = layout.entry, dataclasses.replace(layout, kernel=twin(layout.kernel), parts=parts).entry
        counted, uncounted = (partial(of.enter, (of.job, workspace.own[0], operands, operands)) for of in entries)
        return cls(counted, uncounted, workspace, entries)

    def run(self, kernel: Callable[[], None]) -> float:
        """Run one of the two kernels and return its seconds."""
        # Units of work that were claimed, and what was tallied, which a plan sets to zero too; no arithmetic is counted here.
        self.workspace.counters.fill(0)
        return seconds_of(kernel)


def twin(kernel: Any) -> Any:
    """Return the same kernel of the package without counters."""
    function = kernel.py_func
    module = importlib.import_module(f"{UNCOUNTED}.{function.__module__.rpartition('.')[2]}")
    return getattr(module, function.__name__)


class Pairs:
    """Runs kernels with and without counters; lives in a worker that compiles both afresh."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.clock = Clock()
        self.calls: list[Call] = []
        with tempfile.TemporaryDirectory() as folder:
            self.removed = write_package(Path(folder), UNCOUNTED)
            sys.path.insert(0, folder)
            for module in (Path(folder) / UNCOUNTED).glob("[a-z]*.py"):
                importlib.import_module(f"{UNCOUNTED}.{module.stem}")
            sys.path.remove(folder)

    def statements_removed(self) -> int:
        """Return how many statements the counters are."""
        return self.removed

    def prepare(self, layer: Layer, dtype: str) -> dict[str, Any]:
        """Take up a layer; return whether both kernels write the same bits, and what each tallied."""
        x, weight = layer.arrays(dtype)
        plan = nc.plan_conv2d(x.shape, weight, **layer.options, num_threads=1)
        y = aligned(layer.geometry.y_shape, np.dtype(dtype))
        call = Call.of(plan.layout, x, weight, y)
        outputs, tallies = [], []
        for kernel in (call.counted, call.uncounted):
            y.fill(np.nan)
            call.run(kernel)
            outputs.append(y.tobytes())
            tallies.append(call.workspace.tallied())
        self.calls.append(call)
        return {"method": plan.method, "same_bits": outputs[0] == outputs[1], "tallies": tallies}

    def time(self, i: int, seconds: float) -> tuple[float, float]:
        """Return for layer i the median log ratio, time with counters over time without, and the median time with."""
        call = self.calls[i]
        runs = partial(call.run, call.counted), partial(call.run, call.uncounted)
        counted, uncounted = self.clock.pairs(*runs, seconds).T
        return float(np.median(np.log(counted / uncounted))), float(np.median(counted))

    def interrupted(self) -> float:
        """Return which share of all pairs was interrupted."""
        return self.clock.interrupted_share()


def measure(layers: Sequence[Layer], dtype: str, *, quick: bool) -> Report:
    """Compare both kernels on all layers and hold the difference of the layers together to the bar."""
    report = Report("counting")
    rounds: list[list[tuple[float, float]]] = []
    with working("bench.counting:Pairs", own_cache=True) as worker:
        removed = worker.call("statements_removed")
        checks = []
        with progress(len(layers)) as step:
            for layer in layers:
                step(f"counting: compiling {layer.name}")
                checks.append(worker.call("prepare", layer, dtype))
        start = time.perf_counter()
        duration = QUICK_DURATION if quick else DURATION
        with progress(math.ceil(duration / (SLICE * len(layers) * ROUNDS_TOLD))) as step:
            while time.perf_counter() - start < duration or len(rounds) < FEWEST_ROUNDS:
                if len(rounds) % ROUNDS_TOLD == 0:
                    step(f"counting: round {len(rounds) + 1}")
                rounds.append([worker.call("time", i, SLICE) for i in range(len(layers))])
        interrupted = worker.call("interrupted")
    for layer, check in zip(layers, checks, strict=True):
        report.faults.extend(f"{layer.name}: {fault}" for fault in faults(check))
    logs, times = np.moveaxis(np.array(rounds), 2, 0)
    rows = [difference(logs[:, i : i + 1]) for i in range(len(layers))]
    together = difference(logs)
    columns = ["layer", "method", "us", "difference", "95 %"]
    lines = [
        [layer.name, check["method"], f"{np.median(of) * 1e6:.1f}", *percent(*row)]
        for layer, check, of, row in zip(layers, checks, times.T, rows, strict=True)
    ]
    title = f"{dtype}: time with counters against time without, {len(rounds)} rounds"
    report.tables.append(Table(title, columns, [*lines, ["all together", "", "", *percent(*together)]], words=2))
    low, high = together[1:]
    asked = f"{dtype}: counting is free, 95 % interval within {BAR:.0%} over the layers together"
    met = None if quick else low >= -BAR and high <= BAR
    report.bars.append(Bar(asked, " in ".join(percent(*together)), met))
    report.notes.append(f"Without counters the kernels are {removed} statements shorter.")
    if interrupted > INTERRUPTED:
        report.notes.append(f"The machine was busy: {interrupted:.0%} of the pairs were interrupted and not used.")
    report.data.update(
        dtype=dtype,
        statements_removed=removed,
        interrupted=interrupted,
        together=together,
        rows=[
            {"layer": layer.name, "method": check["method"], "difference": row, "log_ratios": of.round(6).tolist()}
            for layer, check, row, of in zip(layers, checks, rows, logs.T, strict=True)
        ],
    )
    return report


def faults(check: dict[str, Any]) -> list[str]:
    """Return what is wrong with a pair."""
    counted, uncounted = check["tallies"]
    found = []
    if not check["same_bits"]:
        found.append("the outputs differ without counters")
    if not any(counted):
        found.append("the kernel with counters counts nothing")
    if any(uncounted):
        found.append(f"the kernel without counters counts: {uncounted}")
    return found


def difference(logs: Array) -> tuple[float, float, float]:
    """Return the relative difference and its 95 % interval: the mean over layers of the median log ratio of a round.

    Parameters
    ----------
    logs : ndarray, shape (rounds, layers)
        Logarithms of time with counters over time without.
    """
    middle = float(np.median(logs, axis=0).mean())
    low, high = interval(lambda picks: np.median(logs[picks], axis=1).mean(axis=1), len(logs))
    return float(np.expm1(middle)), float(np.expm1(low)), float(np.expm1(high))


def percent(middle: float, low: float, high: float) -> tuple[str, str]:
    """Return a difference and its interval as text."""
    return f"{middle:+.2%}", f"{low:+.2%}..{high:+.2%}"
