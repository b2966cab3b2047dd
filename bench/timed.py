"""What lives in a worker and is timed there; and rounds in which they take turns, so that a machine that drifts is as unkind to all."""

import gc
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np

from bench.clock import Clock, seconds_of
from bench.layers import Array

Who = TypeVar("Who", bound=Hashable)
Answer = TypeVar("Answer")


class Timed:
    """Calls that compute the same, or parts of it, in variants that are timed one by one.

    Attributes
    ----------
    variants : dict
        The calls, by name.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.clock = Clock()
        self.variants: dict[str, Callable[[], Any]] = {}
        # Some libraries read the arrays by address and do not keep them.
        self.arrays: tuple[Array, ...] = ()

    def take_up(
        self, arrays: tuple[Array, ...], ready: Callable[..., dict[str, Callable[[], Any]]]
    ) -> dict[str, Array]:
        """Let go of what was there, make calls of some arrays ready, and return what each variant computes."""
        self.clock = Clock()
        self.variants = {}
        gc.collect()
        self.arrays = arrays
        self.variants = ready(*arrays)
        return {name: np.array(run()) for name, run in self.variants.items()}

    def time(self, seconds: float) -> dict[str, float]:
        """Run each variant for so many seconds, warmed up, and return its median seconds for one call."""
        return {
            name: float(np.median(self.clock.sample(partial(seconds_of, run), seconds)))
            for name, run in self.variants.items()
        }

    def interrupted(self) -> float:
        """Return which share of the timed calls was interrupted."""
        return self.clock.interrupted_share()


def in_turns(timers: Mapping[Who, Callable[[float], Answer]], rounds: int, seconds: float) -> dict[Who, list[Answer]]:
    """Return what each timer, given so many seconds, answers round by round; each round begins with the next of them."""
    answers: dict[Who, list[Answer]] = {who: [] for who in timers}
    order = list(timers)
    for i in range(rounds):
        first = i % len(order)
        for who in order[first:] + order[:first]:
            answers[who].append(timers[who](seconds))
    return answers
