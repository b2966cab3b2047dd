"""How far a run is, on stderr: a bar by rich on a terminal that has it, elsewhere a line for each step."""

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """Yield what begins the next of so many steps and says which it is."""
    steps = itertools.count()
    if sys.stderr.isatty() and importlib.util.find_spec("rich"):
        with bar(total) as update:
            # The step that begins is not done.
            yield lambda text: update(text, next(steps))
    else:
        yield lambda text: print(f"{next(steps) + 1}/{total} {text}", file=sys.stderr, flush=True)


@contextmanager
def bar(total: int) -> Iterator[Callable[[str, int], None]]:
    """Show a bar, with the time that it took and that it will take, and yield what changes it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    text = TextColumn("{task.description}", markup=False)
    columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), text
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("", total=total)
        yield lambda description, completed: display.update(task, description=description, completed=completed)
