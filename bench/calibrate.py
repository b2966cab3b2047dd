"""What the cores can do at best: multiply-adds among registers, and copies."""

import functools
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bench.layers import Array
from npconv.kernels.compile import from_python
from npconv.kernels.registers import RegisterTile, accumulators, fma, get, load, put, splat, store
from npconv.kernels.targets import target

# Two multiply-adds a cycle, each done after four cycles: eight chains keep a core busy. Twelve do so with room to spare
# and fit sixteen registers.
ROWS, VECTORS = 6, 2
# A call of about a millisecond falls between two interruptions of the core; the best of many is what the core can do.
ROUNDS = 200_000
BYTES = 2**26
# Bytes that a copy reads and writes, from the cache nearest to the core to memory.
COPIES = (2**16, 2**19, 2**22, 2**25, 2**28)


@from_python
def multiply_add(tile: RegisterTile, a: Array, y: Array, rounds: int) -> None:
    """y[j] += rounds * a[0] * a[1] for every element of the tile, a multiply-add a round; no loads in between."""
    acc = accumulators(tile, y)
    first = splat(tile, a, 0)
    second = splat(tile, a, 1)
    for j in range(tile.rows * tile.vectors):
        put(acc, j, load(tile, y, j * tile.lanes))
    for _ in range(rounds):
        for j in range(tile.rows * tile.vectors):
            put(acc, j, fma(first, second, get(acc, j)))
    for j in range(tile.rows * tile.vectors):
        store(y, j * tile.lanes, get(acc, j))


@from_python
def copy(tile: RegisterTile, x: Array, y: Array, rounds: int) -> None:
    """y[i] = x[i], so many rounds; whole vectors. As fast as `np.copyto`, and it keeps no other thread waiting."""
    for _ in range(rounds):
        for i in range(0, x.size, tile.lanes):
            store(y, i, load(tile, x, i))


@dataclass(frozen=True, slots=True)
class Roof:
    """What a number of cores reached at once.

    Attributes
    ----------
    peaks : dict
        FLOP per second of each type, a multiply-add being two.
    copies : dict
        Bytes read and written per second, by how many a copy reads and writes.
    """

    peaks: dict[str, float]
    copies: dict[int, float]

    def copy(self, traffic: int) -> float:
        """Return the bytes per second of the copy that moves nearly as much as a layer."""
        return self.copies[min(self.copies, key=lambda size: abs(math.log(size / traffic)))]


class Calibration:
    """Measures the cores that it is pinned to, all of them at work at once."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)

    def roof(self, dtypes: Sequence[str], seconds: float) -> Roof:
        """Return what the cores reach in so many seconds for each loop."""
        peaks = {dtype: self.peak(dtype, seconds) for dtype in dtypes}
        return Roof(peaks, {size: self.bandwidth(size, seconds) for size in COPIES})

    def peak(self, dtype: str, seconds: float) -> float:
        """Return the FLOP per second, a multiply-add being two."""
        lanes = target().lanes(np.dtype(dtype).itemsize)
        tile = RegisterTile(ROWS, VECTORS, lanes)
        runs = []
        for _ in range(self.threads):
            a, y = np.full(2, 2.0**-16, dtype), np.zeros(ROWS * VECTORS * lanes, dtype)
            runs.append(functools.partial(multiply_add, tile, a, y, ROUNDS))
        return sum(2 * ROWS * VECTORS * lanes * ROUNDS / best for best in self.best_times(runs, seconds))

    def bandwidth(self, size: int, seconds: float) -> float:
        """Return the bytes read and written per second when the cores share a copy of some size."""
        tile = RegisterTile(1, 1, target().lanes(4))
        # A core reads and writes whole vectors.
        items = size // (2 * 4 * self.threads * tile.lanes) * tile.lanes
        rounds = max(1, BYTES // size)
        runs = []
        for _ in range(self.threads):
            x, y = np.ones(items, np.float32), np.ones(items, np.float32)
            runs.append(functools.partial(copy, tile, x, y, rounds))
        return sum(2 * 4 * items * rounds / best for best in self.best_times(runs, seconds))

    def best_times(self, runs: Sequence[Callable[[], None]], seconds: float) -> list[float]:
        """Return the shortest time of a call of each run, of all that fit in so many seconds, side by side."""
        # Compiled, and its pages touched.
        for run in runs:
            run()
        end = time.perf_counter() + seconds
        return list(self.pool.map(functools.partial(best_time, end), runs))


def best_time(end: float, run: Callable[[], None]) -> float:
    """Return the shortest time of a call in seconds, but for the first and the last: there the others may be idle."""
    times: list[float] = []
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:-1])
