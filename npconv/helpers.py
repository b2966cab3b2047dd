"""Helpers: threads that lend a hand where there is enough to do.

Kernels release the GIL and claim their units of work from shared counters, so a helper is welcome at any time and never waited for:
one that has not begun when the caller is done is not asked any more. Helpers are Python threads, not those of a compiler's runtime: they
can be asked from many threads at once, and a forked child, which inherits none of them, simply starts its own.
"""

import atexit
import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npconv.kernels.work import BEGUN, BYTES, CALLER_LOOKS, GIVEN, TAKEN, wait
from npconv.memory import LINE_BYTES, address_of, aligned

# What a helper is asked to do: ``task(thread, desk)``, with the number of the thread and the address of the helper's desk.
Task: TypeAlias = Callable[[int, int], None]


def current_cpu() -> int | None:
    """Return the number of the CPU that this thread runs on, or None where the system does not tell or threads cannot be kept off it."""
    return int(_sched_getcpu()) if _sched_getcpu else None


_sched_getcpu: Any = getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


class Progress(NamedTuple):
    """How far a task is, as its threads write it down.

    Attributes
    ----------
    memory : ndarray of int64
        What holds both numbers.
    begun : int
        Address of a number that is not 0 once the caller's thread has begun.
    ended : int
        Address of the number of threads that have ended.
    """

    memory: np.ndarray[Any, np.dtype[np.int64]]
    begun: int
    ended: int


class Request:
    """One task for one helper, which either it takes or its caller takes back.

    Parameters
    ----------
    task : callable
        What to do.
    thread : int
        The number of the thread that the helper will be.
    progress : Progress, optional
        Where its threads write down how far they are. A helper that rests may look there until it takes the request: so long it is kept.
    """

    def __init__(self, task: Task, thread: int, progress: Progress | None) -> None:
        self.task = task
        self.thread = thread
        self.progress = progress
        self._free = [True]
        self._failure: SimpleQueue[BaseException | None] = SimpleQueue()

    def take(self) -> bool:
        """Return whether the request is the caller's of this method, who is the first to ask for it."""
        try:
            return self._free.pop()
        except IndexError:
            return False

    def run(self, desk: int) -> None:
        """Do the task, and say so."""
        try:
            self.task(self.thread, desk)
        except BaseException as failure:
            self._failure.put(failure)
        else:
            self._failure.put(None)

    def outcome(self) -> BaseException | None:
        """Wait for the end of the task and return what it raised."""
        return self._failure.get()


class Helper:
    """A thread that does what it is asked to, one request after the other. Between two of them it rests, and in the end it sleeps.

    A kernel that a helper runs is given the address of its desk, where it can see without Python that there is another request: see
    `npconv.kernels.work`, which also says what lies there.
    """

    def __init__(self) -> None:
        self._desk = aligned((LINE_BYTES // 8,), np.dtype(np.int64))
        self._desk.fill(0)
        self.address = address_of(self._desk)
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="npconv", daemon=True)
        self._thread.start()
        self._avoided: int | None = None

    def ask(self, request: Request | None) -> None:
        """Hand a request over; None, and the thread ends."""
        if (cpu := current_cpu()) != self._avoided:
            self._avoid(cpu)
        progress = request.progress if request else None
        # Of a task that writes nothing down it is only known that it was given: that number is not 0.
        self._desk[BEGUN] = progress.begun if progress else self.address + BYTES * GIVEN
        self._requests.put(request)
        self._desk[GIVEN] += 1

    def _avoid(self, cpu: int | None) -> None:
        """Keep the thread off its caller's CPU: a system may wake it there, and then each would wait for the other."""
        self._avoided = cpu
        with contextlib.suppress(OSError):
            others = os.sched_getaffinity(0) - {cpu}
            if others and self._thread.native_id is not None:
                os.sched_setaffinity(self._thread.native_id, others)

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            self._desk[TAKEN] += 1
            if request.take():
                request.run(self.address)
            # While it sleeps, nobody's arrays are kept.
            del request


class Helpers:
    """All helpers of this process: those that have nothing to do can be borrowed."""

    def __init__(self, most: int) -> None:
        self._idle: list[Helper] = []
        self._still_to_start = [True] * most
        atexit.register(self.dismiss)

    def borrow(self, wanted: int) -> list[Helper]:
        """Return at most so many helpers, fewer where others have them or no thread can be started."""
        borrowed: list[Helper] = []
        # Taking from a list is one step, which no other thread comes between.
        with contextlib.suppress(IndexError, RuntimeError):
            while len(borrowed) < wanted:
                borrowed.append(self._idle.pop() if self._idle else self._started())
        return borrowed

    def give_back(self, helpers: list[Helper]) -> None:
        """Let others borrow them."""
        self._idle.extend(helpers)

    def dismiss(self) -> None:
        """End the threads of all that are idle."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().ask(None)

    def _started(self) -> Helper:
        self._still_to_start.pop()
        return Helper()


def share(task: Task, num_threads: int, progress: Progress | None = None) -> None:
    """Run ``task(0, 0)`` here and ``task(1, desk)``, ``task(2, desk)``, ... in helpers; return when all that began have ended.

    Where threads write down that they have ended, nobody waits for what they do afterwards.
    """
    helpers = _helpers.borrow(num_threads - 1)
    requests = [Request(task, thread, progress) for thread in range(1, 1 + len(helpers))]
    try:
        for helper, request in zip(helpers, requests, strict=True):
            helper.ask(request)
        task(0, 0)
    finally:
        # All of them, also where one has failed: none may still write when the caller goes on.
        begun = [request for request in requests if not request.take()]
        written_down = progress is not None and wait(progress.ended, 1 + len(begun), CALLER_LOOKS)
        failures = [] if written_down else [request.outcome() for request in begun]
        _helpers.give_back(helpers)
        for failure in filter(None, failures):
            raise failure


_helpers = Helpers(max(1, (os.cpu_count() or 1) - 1))


def _forget_helpers() -> None:
    """Begin anew in a forked child: its helpers stayed with the parent."""
    global _helpers
    _helpers = Helpers(max(1, (os.cpu_count() or 1) - 1))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
