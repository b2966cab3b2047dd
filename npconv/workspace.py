"""What a kernel writes to besides its result, for each thread, and how threads run one kernel together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from npconv.helpers import Progress, share
from npconv.kernels.tile import DESK, THREAD
from npconv.kernels.work import LINE
from npconv.memory import address_of, aligned

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Workspace:
    """What one call of a kernel writes to besides its result.

    Attributes
    ----------
    counters : ndarray, shape (threads + 1 + threads, LINE)
        A cache line for the next of each thread's units, one for the number of threads that have ended, and one for what each counted.
    own : list of tuple
        For each thread what a kernel is given last: the counters, the thread's tally, its scratch and a read-only view of it.
    progress : Progress
        Where threads write down how far they are.
    """

    counters: Array
    own: list[tuple[Array, ...]]
    progress: Progress

    @classmethod
    def of(cls, num_threads: int, scratch: int = 0, dtype: np.dtype[Any] | None = None) -> "Workspace":
        """Return a workspace for so many threads, with so many elements of scratch for each of them."""
        counters = aligned((num_threads + 1 + num_threads, LINE), np.dtype(np.int64))
        shared = counters[: num_threads + 1].reshape(-1)
        own: list[tuple[Array, ...]] = []
        for tally in counters[num_threads + 1 :]:
            memory: tuple[Array, ...] = ()
            if scratch and dtype:
                written = aligned((scratch,), dtype)
                packed = written.view()
                packed.flags.writeable = False
                memory = written, packed
            own.append((shared, tally, *memory))
        address = address_of(counters)
        return cls(counters, own, Progress(counters, address, address + num_threads * LINE * counters.itemsize))

    @classmethod
    def spare(cls, unused: list["Workspace"], *made_of: Any) -> "Workspace":
        """Return one of the workspaces that no call uses now, or a new one if there is none; whoever is done with it puts it there."""
        # Taking from a list is one step, which no other thread comes between.
        try:
            return unused.pop()
        except IndexError:
            return cls.of(*made_of)

    def run(self, kernel: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Run a kernel in as many threads as this was made for."""
        self.counters.fill(0)
        if len(self.own) == 1:
            kernel(*arguments, *self.own[0])
            return

        def task(thread: int, desk: int) -> None:
            own = self.own[thread]
            own[1][THREAD], own[1][DESK] = thread, desk
            kernel(*arguments, *own)

        share(task, len(self.own), self.progress)

    def tallied(self) -> list[int]:
        """Return what all threads counted together."""
        total: list[int] = self.counters[1 + len(self.own) :].sum(axis=0).tolist()
        return total
