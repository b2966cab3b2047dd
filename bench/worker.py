"""A process of its own for each engine: pinned to its cores, asleep unless it is asked something."""

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

# Every library that brings threads of its own asks one of these how many.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Waking up takes some of it; a shorter slumber tells nothing.
SHORTEST_WAIT = 0.02


class WorkerError(RuntimeError):
    """A worker has ended before its time; what it died of stands above, on stderr."""


class Worker:
    """An object that lives in another process, where `call` runs its methods.

    Parameters
    ----------
    home : str
        Module and class, "bench.engines:PyTorch".
    threads : int
        Threads that the object may use, and cores that its process is pinned to.
    own_cache : bool
        Whether kernels are compiled afresh, into a temporary folder, and leave nothing in the user's cache.

    Attributes
    ----------
    idle_load : float
        Share of a core that the process used while it had nothing to do, at worst: near 1 for each thread that spins.
    """

    def __init__(self, home: str, threads: int, *, own_cache: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._home = home
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, home, threads, own_cache), daemon=True)
        self._process.start()
        theirs.close()
        self.idle_load = 0.0

    def call(self, method: str, *arguments: Any) -> Any:
        """Return what a method of the object returns."""
        try:
            self._connection.send((method, arguments))
            answer, load = self._connection.recv()
        except (EOFError, OSError):
            raise WorkerError(f"{self._home} ended when it was asked to {method}") from None
        self.idle_load = max(self.idle_load, load)
        return answer

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


@contextlib.contextmanager
def working(home: str, threads: int = 1, *, own_cache: bool = False) -> Iterator[Worker]:
    """Start a worker, and end it."""
    worker = Worker(home, threads, own_cache=own_cache)
    try:
        yield worker
    finally:
        worker.close()


def cores(threads: int) -> list[int]:
    """Return the cores that workers are pinned to, all of them to the same: the last of this process's own."""
    return sorted(os.sched_getaffinity(0))[-threads:] if hasattr(os, "sched_getaffinity") else []


def serve(connection: Connection, home: str, threads: int, own_cache: bool) -> None:
    """Answer requests until the other end closes; with each answer goes the load of this process while it waited."""
    if pinned := cores(threads):
        os.sched_setaffinity(0, pinned)
    # Whoever interrupts the run interrupts its main process; that ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    with contextlib.ExitStack() as stack:
        if own_cache:
            # Before Numba is imported: it reads this once.
            os.environ["NUMBA_CACHE_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
        module, _, name = home.partition(":")
        worker = getattr(importlib.import_module(module), name)(threads)
        gc.disable()
        while True:
            slept, worked = time.perf_counter(), time.process_time()
            try:
                method, arguments = connection.recv()
            except EOFError:
                return
            waited = time.perf_counter() - slept
            load = (time.process_time() - worked) / waited if waited > SHORTEST_WAIT else 0.0
            answer = getattr(worker, method)(*arguments)
            # Whoever asked may have been interrupted meanwhile.
            with contextlib.suppress(BrokenPipeError):
                connection.send((answer, load))
