"""A function under test in a process of its own: what never returns is ended, and what brings its process down is reported."""

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from npconv.judge.call import Call
from npconv.judge.trial import Convolution, Outcome, Trouble, attempt, hung, shown_text, takes_out

# What importing an engine may take, on a machine that does other things as well.
SECONDS_TO_LOAD = 300.0
# What a function gets beyond its time to let go by itself, which Python code does.
SECONDS_TO_LET_GO = 1.0


class Apart:
    """A function that runs in a child process; a new child follows one that had to be ended.

    Parameters
    ----------
    load : callable
        ``load(name)`` returns the function; it is called in the child, so it is a function of a module, by name.
    name : str
        What `load` takes.
    seconds : float
        Time of one call.

    Examples
    --------
    >>> import numpy as np
    >>> from npconv.judge.call import checked_call
    >>> from npconv.judge.named import load
    >>> call = checked_call(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)))
    >>> with Apart(load, "builtins:max", 60.0) as function:
    ...     function(call).trouble
    <Trouble.RAISED: 'raised'>
    """

    def __init__(self, load: Callable[[str], Convolution], name: str, seconds: float) -> None:
        self.load, self.name, self.seconds = load, name, seconds
        self.child: tuple[Connection, BaseProcess] | None = None

    def __enter__(self) -> Self:
        self.child = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, call: Call) -> Outcome:
        """Call the function in the child, once."""
        connection, process = self.child = self.child or self._start()
        try:
            connection.send(call)
            if connection.poll(self.seconds + SECONDS_TO_LET_GO):
                outcome: Outcome = connection.recv()
                return outcome
        except (EOFError, ConnectionError):
            process.join()
            self._end()
            return Outcome(trouble=Trouble.DIED, text=f"its process died of {_cause(process.exitcode)}")
        self._end()
        return hung(self.seconds)

    def _start(self) -> tuple[Connection, BaseProcess]:
        """Start a child, and wait until it has loaded the function."""
        # Spawned and not forked: a fork of a process with threads may never run.
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        process = context.Process(target=serve, args=(other, self.load, self.name, self.seconds), daemon=True)
        process.start()
        other.close()
        fault: Exception | None = TimeoutError(f"it took more than {SECONDS_TO_LOAD:g} s to import {self.name}")
        try:
            if connection.poll(SECONDS_TO_LOAD):
                fault = connection.recv()
        except EOFError:
            process.join()
            fault = ValueError(f"importing {self.name}, its process died of {_cause(process.exitcode)}")
        if fault is None:
            return connection, process
        self.child = connection, process
        self._end()
        raise fault

    def _end(self) -> None:
        """End the child, whatever it is doing."""
        if self.child is not None:
            connection, process = self.child
            connection.close()
            process.kill()
            process.join()
            self.child = None


def serve(connection: Connection, load: Callable[[str], Convolution], name: str, seconds: float) -> None:
    """Load a function, and call it for whoever sits at the other end, until nobody does."""
    # What the function prints is no part of a report.
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr), connection:
        # Ctrl-C is for the parent to understand.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            f = load(name)
        except (Exception, SystemExit) as fault:
            connection.send(_portable(fault))
            return
        connection.send(None)
        with_out = takes_out(f)
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                connection.send(attempt(f, connection.recv(), seconds, with_out=with_out))


def _portable(fault: BaseException) -> Exception:
    """Return an exception that any process can read."""
    kind = next((kind for kind in (ModuleNotFoundError, OSError, ValueError) if isinstance(fault, kind)), ValueError)
    return kind(
        shown_text(fault)
        if kind is not ValueError or isinstance(fault, ValueError)
        else f"{type(fault).__name__}: {shown_text(fault)}"
    )


def _cause(code: int | None) -> str:
    """Return what an exit code says."""
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"its own will, with exit code {code}"
