"""Where commands print: by rich on a terminal, as plain text to a file or a pipe; progress on the error stream."""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from npconv.text import Row

if TYPE_CHECKING:
    from rich.console import Console


def print_rows(rows: Sequence[Row], *, spare: Sequence[str] = (), words: Sequence[str] = ()) -> None:
    """Print rows of text, the first of them the columns' heads: on a terminal by rich, else aligned with spaces.

    The first column and those of `words` begin at the left, the others end at the right. Where a terminal is too
    narrow, the columns of `spare` are left out, the first one first, until the rest fit.
    """
    columns = list(zip(*rows, strict=True))
    console = terminal()
    if console is None:
        print_aligned(columns, words)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    left_out = []
    for name in spare:
        if sum(width_of(column) + 1 for column in columns) <= console.width + 1:
            break
        left_out += [column[0] for column in columns if column[0] == name]
        columns = [column for column in columns if column[0] != name]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for i, (head, *_) in enumerate(columns):
        # Where even that is too narrow a number goes on below, and none is cut off.
        justify: Literal["left", "right"] = "left" if i == 0 or head in words else "right"
        table.add_column(head, justify=justify, style="" if i else "cyan", overflow="fold")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, row))
    console.print(table)
    if left_out:
        print_line(f"left out, as this terminal is narrow: {', '.join(left_out)}", "dim")


def print_aligned(columns: Sequence[Row], words: Sequence[str]) -> None:
    """Print columns of text with nothing but spaces between them."""
    padded = []
    for i, column in enumerate(columns):
        width = width_of(column)
        left = i == 0 or column[0] in words
        padded.append([cell.ljust(width) if left else cell.rjust(width) for cell in column])
    for cells in zip(*padded, strict=True):
        print("  ".join(cells).rstrip())


def width_of(column: Row) -> int:
    """Return how many characters a column needs."""
    return max(map(len, column))


def print_csv(records: Sequence[Mapping[str, Any]]) -> None:
    """Print records of the same names as CSV; sizes are written as 3x5, truth as 1 and 0, nothing as nothing."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows([plain(value) for value in record.values()] for record in records)


def plain(value: Any) -> Any:
    """Return a value as CSV has it.

    >>> plain((3, 5)), plain(((1, 0), (2, 2))), plain(True), plain(7)
    ('3x5', '1x0x2x2', 1, 7)
    """
    if isinstance(value, bool):
        return int(value)
    return "x".join(str(plain(part)) for part in value) if isinstance(value, tuple) else value


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
    """Show what is going on, if the error stream is a terminal and there is rich, and yield what changes it."""
    if find_spec("rich") is None:
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task("")
        yield lambda text: display.update(task, description=text)
