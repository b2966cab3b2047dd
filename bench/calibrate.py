"""What one core can do at best: multiply-adds among registers, and copies."""

import functools
import time
from collections.abc import Callable

import numpy as np

from bench.layers import Array
from npconv.kernels.compile import driver
from npconv.kernels.registers import RegisterTile, accumulators, fma, get, load, put, splat, store
from npconv.kernels.targets import target

# Two multiply-adds a cycle, each done after four cycles: eight chains keep a core busy. Twelve do so with room to spare
# and fit sixteen registers.
ROWS, VECTORS = 6, 2
# A call of about a millisecond falls between two interruptions of the core; the best of many is what the core can do.
ROUNDS = 200_000
SECONDS = 0.4
# As large as the largest images of the twelve layers; and beyond most caches.
COPIES = {"in cache": 3 * 2**20, "in memory": 2**27}


@driver
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


class Calibration:
    """Measures the core that it is pinned to."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def peak(self, dtype: str) -> float:
        """Return the FLOP per second of one core, a multiply-add being two."""
        lanes = target().lanes(np.dtype(dtype).itemsize)
        tile = RegisterTile(ROWS, VECTORS, lanes)
        a, y = np.full(2, 2.0**-16, dtype), np.zeros(ROWS * VECTORS * lanes, dtype)
        return 2 * y.size * ROUNDS / best_time(lambda: multiply_add(tile, a, y, ROUNDS))

    def copies(self) -> dict[str, float]:
        """Return the bytes read and written per second when an array of some size is copied."""
        speeds = {}
        for place, size in COPIES.items():
            arrays = np.ones(size, np.uint8), np.ones(size, np.uint8)
            speeds[place] = 2 * size / best_time(functools.partial(np.copyto, *arrays))
        return speeds


def best_time(run: Callable[[], None]) -> float:
    """Return the shortest time of a call, in seconds, of all that fit in a moment."""
    run()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
