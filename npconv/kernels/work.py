"""How threads share the units of a kernel, and how they wait for one another.

Every thread has units of its own, neighbours, and when they are done it takes what others have left. So a part of an image is mostly
met by the same CPU, call after call, and may still be in its cache.

To wake a thread that sleeps takes longer than many a layer, so threads look for a while before they go to sleep. And a thread that has
just finished would ask for Python's lock at the moment when its caller does; so helpers rest inside their kernel, where nobody holds
that lock, until there is something to do.
"""

from typing import Any, TypeAlias

import numpy as np
from numba.core import config

from npconv.kernels.compile import from_python, kernel
from npconv.kernels.sharing import claim, give_way, pause, peek
from npconv.kernels.tile import DESK, THREAD

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# Counters, one for the units of each thread and one of threads that have found none left, lie in cache lines of their own.
LINE = 8
# How often a helper looks for its next task, some 0.2 ms in all; and how often a caller looks whether its helpers are done, a hundred
# times as long. Plain Python sleeps at once.
HELPER_LOOKS = 1 if config.DISABLE_JIT else 5_000
CALLER_LOOKS = 100 * HELPER_LOOKS
# After so many looks another thread may have the CPU.
LOOKS_AT_A_TIME = 64
# What lies on a helper's desk, by position: how many tasks it was given and how many it took, and the address of what says
# that the newest has begun.
GIVEN, TAKEN, BEGUN = range(3)
BYTES = 8


@kernel
def next_unit(counters: Array, tally: Array, units: int) -> int:
    """Return a unit that no thread has taken, one of `units` or more if there is none."""
    threads = counters.size // LINE - 1
    for i in range(threads):
        of = (tally[THREAD] + i) % threads
        unit: int = units * of // threads + claim(counters, of * LINE)
        if unit < units * (of + 1) // threads:
            return unit
    return units


@kernel
def rest(counters: Array, tally: Array) -> None:
    """Say that this thread has found no units left; then let a helper look on its desk for another task, while its caller goes on.

    A task is ready when its caller has claimed a unit: then it no longer holds Python's lock, which the helper needs to begin.
    """
    desk = tally[DESK]
    claim(counters, counters.size - LINE)
    if desk != 0 and wait(desk + BYTES * GIVEN, peek(desk + BYTES * TAKEN) + 1, HELPER_LOOKS):
        wait(peek(desk + BYTES * BEGUN), 1, HELPER_LOOKS)


@from_python
def wait(address: int, least: int, looks: int) -> bool:
    """Return whether the number at an address was `least` or more at one of so many looks."""
    for look in range(1, looks + 1):
        if peek(address) >= least:
            return True
        if look % LOOKS_AT_A_TIME == 0:
            give_way()
        else:
            pause()
    return False
