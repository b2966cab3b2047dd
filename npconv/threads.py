"""How many threads a convolution may use, and the pool that lends them.

Kernels release the GIL and claim their units of work from a shared counter, so a helper is welcome at any time and never waited for:
one that has not begun when the caller is done is cancelled. The pool is made of Python threads, not of a compiler's runtime: it can be
entered from many threads at once, and a forked child, which inherits none of them, simply starts its own.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import SupportsIndex

from npconv.arguments import index

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
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


def share(task: Callable[[int], None], num_threads: int) -> None:
    """Run ``task(0)`` here and ``task(1)``, ``task(2)``, ... in helpers; return when all that began have ended."""
    if num_threads == 1:
        task(0)
        return
    helpers: list[Future[None]] = []

    def begin(i: int) -> None:
        helper = helpers[i - 1]
        if helper.set_running_or_notify_cancel():
            try:
                task(i)
            except BaseException as failure:
                helper.set_exception(failure)
            else:
                helper.set_result(None)

    # Where no thread can be started, as while the interpreter shuts down, the work is done here alone. The pool may keep such
    # work for later, so what says whether it may still begin is ours.
    with contextlib.suppress(RuntimeError):
        for i in range(1, num_threads):
            helpers.append(Future())
            _helpers().submit(begin, i)
    try:
        task(0)
    finally:
        # All of them, also where one has failed: none may still write when the caller goes on.
        failures = [helper.exception() for helper in helpers if not helper.cancel()]
        for failure in filter(None, failures):
            raise failure


def _helpers() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="npconv")
        return _pool


def _forget_pool() -> None:
    """Drop the pool in a forked child: its threads stayed with the parent."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
