"""Scratch memory for kernels: for each thread, what its layout asks for, and a tally of its own."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from npconv.layouts import Layout

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# Scratch begins on a cache line, and two threads never write to one line.
LINE_BYTES = 64
TALLIES = 8


def aligned(elements: int, dtype: np.dtype[Any]) -> Array:
    """Return uninitialised elements that begin on a cache line and share none with other memory."""
    room = np.empty(elements * dtype.itemsize + 2 * LINE_BYTES, np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    return room[start : start + elements * dtype.itemsize].view(dtype)


@dataclass(frozen=True, slots=True)
class Workspace:
    """What one call of a plan writes to besides its output.

    Attributes
    ----------
    counter : ndarray
        The next unit of work to be claimed.
    tallies : list of ndarray
        What each thread counted.
    scratch : list of tuple
        For each thread its scratch and a read-only view of it, or nothing.
    """

    counter: Array
    tallies: list[Array]
    scratch: list[tuple[Array, ...]]

    @classmethod
    def of(cls, layout: Layout, dtype: np.dtype[Any], num_threads: int) -> "Workspace":
        """Return the workspace of a layout for a number of threads."""
        scratch: list[tuple[Array, ...]] = []
        for _ in range(num_threads):
            if layout.scratch:
                own = aligned(layout.scratch, dtype)
                packed = own.view()
                packed.flags.writeable = False
                scratch.append((own, packed))
            else:
                scratch.append(())
        integers = np.dtype(np.int64)
        return cls(aligned(1, integers), [aligned(TALLIES, integers) for _ in range(num_threads)], scratch)
