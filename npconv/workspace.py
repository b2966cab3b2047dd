"""Scratch memory for kernels: for each thread, what its layout asks for, and a tally of its own."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from npconv.layouts import Layout
from npconv.memory import LINE_BYTES, aligned

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# Two threads never write to one cache line: a tally fills one.
TALLIES = LINE_BYTES // 8


@dataclass(frozen=True, slots=True)
class Workspace:
    """What one call of a plan writes to besides its output.

    Attributes
    ----------
    counters : ndarray, shape (1 + threads, TALLIES)
        In the first row the next unit of work to be claimed, in the others what each thread counted.
    own : list of tuple
        For each thread what a kernel is given last: the claim counter, the thread's tally, its scratch and a read-only view of it.
    """

    counters: Array
    own: list[tuple[Array, ...]]

    @classmethod
    def of(cls, layout: Layout, num_threads: int) -> "Workspace":
        """Return the workspace of a layout for a number of threads."""
        counters = aligned((1 + num_threads, TALLIES), np.dtype(np.int64))
        own: list[tuple[Array, ...]] = []
        for tally in counters[1:]:
            scratch: tuple[Array, ...] = ()
            if layout.scratch:
                written = aligned((layout.scratch,), layout.dtype)
                packed = written.view()
                packed.flags.writeable = False
                scratch = written, packed
            own.append((counters[0, :1], tally, *scratch))
        return cls(counters, own)

    def clear(self) -> None:
        """Set the counters to zero, as a kernel expects them."""
        self.counters.fill(0)

    def tallied(self) -> list[int]:
        """Return what all threads counted together."""
        total: list[int] = self.counters[1:].sum(axis=0).tolist()
        return total
