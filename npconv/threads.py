"""How many threads a convolution may use."""

import os
from typing import SupportsIndex

from npconv.arguments import index

_num_threads: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """Return how many threads a convolution uses at most: at first, the CPUs that this process may run on.

    Returns
    -------
    int
        Number of threads, at least 1.

    Examples
    --------
    >>> import npconv as nc
    >>> nc.get_num_threads() >= 1
    True
    """
    return _num_threads


def set_num_threads(n: SupportsIndex) -> None:
    """Set how many threads a convolution uses at most, for plans made from now on; the results do not depend on it.

    Parameters
    ----------
    n : int
        Number of threads, at least 1.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is below 1.

    Examples
    --------
    >>> import npconv as nc
    >>> before = nc.get_num_threads()
    >>> nc.set_num_threads(1)
    >>> nc.get_num_threads()
    1
    >>> nc.set_num_threads(before)
    """
    global _num_threads
    _num_threads = index("set_num_threads", "n", n, 1)
