"""What a kernel writes to besides its result, for each thread, and how threads run one kernel together."""

from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from npconv.helpers import Progress, share
from npconv.kernels.entry import Entry, written_down
from npconv.kernels.tile import DESK, THREAD
from npconv.kernels.work import LINE
from npconv.memory import address_of, aligned

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Arrays: TypeAlias = tuple[Array, ...]

# What a call tallied that nobody counts.
NOTHING = [0] * LINE


@dataclass(frozen=True, slots=True)
class Workspace:
    """What one call of a kernel writes to besides its result.

    Attributes
    ----------
    counters : ndarray, shape (threads + 1 + threads, LINE)
        A cache line for the next of each thread's units, one for the number of threads that have ended, and one for what each counted.
    counted : memoryview
        The bytes of the counters.
    none : bytes
        As many zeros.
    given : list of tuple
        For each thread what a kernel is given last: the counters, the thread's tally, its scratch and a read-only view of it.
    own : list
        The same, written down, after the counters if a thread is alone: it sets them to zero itself. After none of them, if it is not.
    alone : ndarray of int64, optional
        What is written down for a thread that is alone.
    progress : Progress
        Where threads write down how far they are.
    """

    counters: Array
    counted: memoryview
    none: bytes
    given: list[tuple[Array, ...]]
    own: list[Any]
    alone: Any
    progress: Progress

    @classmethod
    def of(cls, num_threads: int, scratch: int = 0, dtype: np.dtype[Any] | None = None) -> "Workspace":
        """Return a workspace for so many threads, with so many elements of scratch for each of them."""
        counters = aligned((num_threads + 1 + num_threads, LINE), np.dtype(np.int64))
        shared = counters[: num_threads + 1].reshape(-1)
        given: list[tuple[Array, ...]] = []
        for tally in counters[num_threads + 1 :]:
            memory: tuple[Array, ...] = ()
            if scratch and dtype:
                written = aligned((scratch,), dtype)
                packed = written.view()
                packed.flags.writeable = False
                memory = written, packed
            given.append((shared, tally, *memory))
        zeros = counters.reshape(-1)[: counters.size if num_threads == 1 else 0]
        address = address_of(counters)
        progress = Progress(counters, address, address + num_threads * LINE * counters.itemsize)
        own = [written_down((zeros, *each)) for each in given]
        return cls(
            counters,
            counters.data.cast("B"),
            bytes(counters.nbytes),
            given,
            own,
            own[0] if num_threads == 1 else None,
            progress,
        )

    def run(self, entry: Entry, operands: Arrays) -> None:
        """Run a kernel in as many threads as this was made for: operands to read and one to write, C-contiguous, of any axes."""
        if len(self.own) > 1:
            self.counted[:] = self.none
            share(partial(self._run_thread, entry, operands), len(self.own), self.progress)
        else:
            entry.enter((entry.job, self.own[0], operands, operands))

    def _run_thread(self, entry: Entry, operands: Arrays, thread: int, desk: int) -> None:
        """Run a kernel as one of the threads, which is a helper if it has a desk."""
        tally = self.given[thread][1]
        tally[THREAD], tally[DESK] = thread, desk
        entry.enter((entry.job, self.own[thread], operands, operands))

    def tallied(self) -> list[int]:
        """Return what all threads counted together."""
        total: list[int] = self.counters[1 + len(self.own) :].sum(axis=0).tolist()
        return total


class Workspaces:
    """Workspaces that are alike, as many as calls ran at once.

    Parameters
    ----------
    num_threads : int
        Threads that run a kernel together.
    scratch : int, optional
        Elements of scratch for each of them.
    dtype : numpy.dtype, optional
        Type of these elements.
    unused : list of Workspace, optional
        Where they wait for the next call; those of others who have the same list serve as well.
    """

    def __init__(
        self,
        num_threads: int,
        scratch: int = 0,
        dtype: np.dtype[Any] | None = None,
        unused: list[Workspace] | None = None,
    ) -> None:
        self._made_of = num_threads, scratch, dtype
        self.unused = [] if unused is None else unused

    def run(self, entry: Entry, operands: Arrays, counted: bool) -> list[int]:
        """Run a kernel as `Workspace.run` does; return what it tallied if that is `counted`."""
        # To take from a list is one step, which no other thread comes between.
        try:
            workspace = self.unused.pop()
        except IndexError:
            workspace = Workspace.of(*self._made_of)
        workspace.run(entry, operands)
        tallied = workspace.tallied() if counted else NOTHING
        self.unused.append(workspace)
        return tallied
