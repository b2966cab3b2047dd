"""Seconds of a call, unless the core was taken away meanwhile: such a call times somebody else."""

import itertools
import resource
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from bench.layers import Array

Result = TypeVar("Result")

# Caches, branch predictors and a core that dozed are awake after this long.
WARM_UP = 0.003
# Calls that have to come through uninterrupted, and how many times as long as asked it may take them.
FEWEST = 3
PATIENCE = 20
# Readers are told where more than this share of the calls was interrupted.
INTERRUPTED = 0.02


class Clock:
    """Times calls, and keeps account of those that were interrupted.

    Attributes
    ----------
    calls, interrupted : int
        Calls that were timed, and how many of these were interrupted.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.interrupted = 0

    def sample(self, run: Callable[[], Result], seconds: float) -> list[Result]:
        """Return the results of the calls that fit in so many seconds after a warm-up, without the interrupted ones.

        Where none came through in `PATIENCE` times as long, all are returned.
        """
        start = time.perf_counter()
        while time.perf_counter() < start + WARM_UP:
            run()
        whole: list[Result] = []
        broken: list[Result] = []
        start = time.perf_counter()
        while time.perf_counter() - start < (seconds if len(whole) >= FEWEST else PATIENCE * seconds):
            before = interruptions()
            result = run()
            (whole if interruptions() == before else broken).append(result)
        self.calls += len(whole) + len(broken)
        self.interrupted += len(broken)
        return whole or broken

    def pairs(self, one: Callable[[], float], other: Callable[[], float], seconds: float) -> Array:
        """Return the seconds of calls of both, shape (pairs, 2): in turns one first and the other first, so that no order favours one."""
        order = itertools.cycle((False, True))

        def pair() -> tuple[float, float]:
            if next(order):
                second = other()
                return one(), second
            return one(), other()

        return np.array(self.sample(pair, seconds))

    def interrupted_share(self) -> float:
        """Return which share of the calls was interrupted."""
        return self.interrupted / max(1, self.calls)


def interruptions() -> int:
    """Return how often the core has been taken away from this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def seconds_of(run: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
