"""Where commands print: by rich on a terminal, as plain text to a file or a pipe; progress on the error stream."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from npconv.text import Row

if TYPE_CHECKING:
    from rich.console import Console


def print_rows(rows: Sequence[Row]) -> None:
    """Print rows of text, the first of them the columns' heads: on a terminal by rich, else aligned with spaces."""
    head, *body = rows
    console = terminal()
    if console is None:
        first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
        for label, *cells in rows:
            numbers = (cell.rjust(width) for cell, width in zip(cells, others, strict=True))
            print("  ".join([label.ljust(first), *numbers]).rstrip())
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for i, name in enumerate(head):
        # In a narrow terminal a number goes on below, and none is cut off.
        table.add_column(name, justify="right" if i else "left", style="" if i else "cyan", overflow="fold")
    for row in body:
        table.add_row(*row)
    console.print(table)


def print_line(text: str, style: str = "") -> None:
    """Print one line, in a style if a terminal shows it."""
    console = terminal()
    if console is None:
        print(text)
    else:
        console.print(text, style=style, markup=False, soft_wrap=True)


def terminal() -> "Console | None":
    """Return the terminal that this process prints to, or None where it prints to a file or a pipe, or has no rich."""
    if not sys.stdout.isatty() or find_spec("rich") is None:
        return None
    from rich.console import Console

    return Console(highlight=False)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show what is going on, if the error stream is a terminal, and yield what changes it."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task("")
        yield lambda text: display.update(task, description=text)
