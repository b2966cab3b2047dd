"""How much memory a large layer takes at its peak, in a fresh process for each way to compute it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.engines import PyTorch
from bench.layers import Layer
from bench.progress import progress
from bench.report import Bar, Report, Table
from bench.speed import present

LARGE, QUICK_LARGE = Layer.square(64, 64, 3, 1024), Layer.square(64, 64, 3, 256)
SMALL = Layer.square(64, 64, 3, 64)
MOST = 1.25
# Linux: to write 5 to the first sets the high water mark in the second back to what is in memory now.
RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")

# What the library itself takes is there before: a layer like this one, only smaller, has loaded its kernels.
PROGRAM = """
import json
import numpy as np

def in_memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

{before}
{small}
library = in_memory("VmRSS:")
x, weight = np.ones({x_shape}, np.float32), np.ones({weight_shape}, np.float32)
arrays = in_memory("VmRSS:")
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")
{call}
print(json.dumps({{"library": library, "arrays": arrays, "peak": in_memory("VmHWM:")}}))
"""
WAYS = {
    "conv2d": ("import npconv as nc; nc.set_num_threads({threads})", "y = nc.conv2d(x, weight, padding=1)"),
    "a plan": (
        "import npconv as nc",
        "plan = nc.plan_conv2d(x.shape, weight, padding=1, num_threads={threads}); y = plan(x)",
    ),
    PyTorch.label: (
        "import torch; torch.set_num_threads({threads})",
        "with torch.inference_mode(): y = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(weight), padding=1)",
    ),
}


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes in memory: of the library before there were arrays, with the input and the weights, and at most during the call."""

    library: int
    arrays: int
    peak: int

    def of(self, layer: Layer) -> float:
        """Return what input, output and workspace took at the peak, in units of input plus output."""
        g = layer.geometry
        return (self.peak - self.library) / (4 * (g.N * g.C * g.H * g.W + g.P))


def program(layer: Layer, way: str, threads: int) -> str:
    """Return the program that computes a layer in some way and prints what it took."""
    before, call = (text.format(threads=threads) for text in WAYS[way])
    g = SMALL.geometry
    small = (
        f"x, weight = np.ones({g.x_shape}, np.float32), np.ones({g.weight_shape}, np.float32)\n{call}\ndel x, weight, y"
    )
    return PROGRAM.format(
        before=before, small=small, call=call, x_shape=layer.geometry.x_shape, weight_shape=layer.geometry.weight_shape
    )


def peak(layer: Layer, way: str, threads: int, cache: str) -> Peak:
    """Return what a fresh process took; kernels that are in the cache already are not compiled in it."""
    command = [sys.executable, "-c", program(layer, way, threads)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Peak(**json.loads(result.stdout))


def measure(labels: Sequence[str], threads: Sequence[int], *, quick: bool) -> Report:
    """Measure each way on each number of threads, and hold ours to the bar."""
    report = Report("memory")
    if not (RESET.exists() and STATUS.exists()):
        report.notes.append(f"Memory is not measured: this system has no {RESET}.")
        return report
    layer = QUICK_LARGE if quick else LARGE
    peers = present([label for label in labels if label == PyTorch.label], report)
    ways = [way for way in WAYS if way != PyTorch.label or way in peers]
    peaks: dict[tuple[str, int], Peak] = {}
    with tempfile.TemporaryDirectory() as cache, progress(len(ways) * len(threads)) as step:
        for way in ways:
            for n in threads:
                step(f"memory: {way} on {n}")
                # The first compiles.
                peak(layer, way, n, cache)
                peaks[way, n] = peak(layer, way, n, cache)
    report.tables.append(table(layer, peaks))
    report.bars.append(bar(layer, peaks, judged=not quick))
    report.data["peaks"] = [{"way": way, "threads": n, **asdict(of)} for (way, n), of in peaks.items()]
    return report


def table(layer: Layer, peaks: Mapping[tuple[str, int], Peak]) -> Table:
    """Return what each way took, in MiB."""
    rows = [
        [way, str(n), *(f"{size / 2**20:.0f}" for size in (of.library, of.arrays, of.peak)), f"{of.of(layer):.3f}"]
        for (way, n), of in peaks.items()
    ]
    columns = ["way", "threads", "library MiB", "with input MiB", "peak MiB", "(peak - library) / (input + output)"]
    return Table(f"{layer.name}, float32: memory of a fresh process", columns, rows)


def bar(layer: Layer, peaks: Mapping[tuple[str, int], Peak], *, judged: bool) -> Bar:
    """Return how much our own way that takes most takes."""
    ours = {key: of.of(layer) for key, of in peaks.items() if key[0] != PyTorch.label}
    way, n = max(ours, key=lambda key: ours[key])
    asked = f"{layer.name}: at its peak at most {MOST} times input plus output"
    return Bar(asked, f"{ours[way, n]:.3f}, {way} on {n}", ours[way, n] <= MOST if judged else None)
