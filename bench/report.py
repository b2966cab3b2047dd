"""What a benchmark hands over, and how it is shown: tables by rich on a terminal, plain text elsewhere, and JSON."""

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first `words` columns are words, the others numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """What was asked, what was measured, and whether it is enough: None where nobody judges."""

    asked: str
    measured: str
    met: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The result of one benchmark.

    Attributes
    ----------
    name : str
        The command.
    tables : list of Table
        For readers.
    bars : list of Bar
        What it had to reach.
    notes : list of str
        What a reader has to know about the numbers.
    faults : list of str
        Wrong results; a benchmark of wrong results is none.
    data : dict
        For programs.
    """

    name: str
    tables: list[Table] = dataclasses.field(default_factory=list)
    bars: list[Bar] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)


VERDICTS = {True: "pass", False: "miss", None: "not judged"}


def bars_table(bars: Sequence[Bar]) -> Table:
    """Return the bars as a table."""
    rows = [(bar.asked, bar.measured, VERDICTS[bar.met]) for bar in bars]
    return Table("Bars", ["bar", "measured", "verdict"], rows, words=3)


def show(report: Report) -> None:
    """Print a report."""
    tables = [*report.tables, *([bars_table(report.bars)] if report.bars else [])]
    lines = [*report.notes, *(f"WRONG: {fault}" for fault in report.faults)]
    if sys.stdout.isatty() and importlib.util.find_spec("rich"):
        show_rich(tables, lines)
    else:
        print("\n\n".join(["", *map(plain, tables), *(["\n".join(lines)] if lines else [])]))


def show_rich(tables: Sequence[Table], lines: Sequence[str]) -> None:
    """Print with colours and rules."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console()
    colours = {"pass": "green", "miss": "red"}
    for table in tables:
        grid = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
        for i, column in enumerate(table.columns):
            grid.add_column(column, justify="left" if i < table.words else "right")
        for row in table.rows:
            grid.add_row(*row, style=colours.get(row[-1]))
        console.print(grid)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def plain(table: Table) -> str:
    """Return a table as text, words to the left and numbers to the right."""
    columns = list(zip(table.columns, *table.rows, strict=True))
    for i, column in enumerate(columns):
        width = max(map(len, column))
        columns[i] = tuple(cell.ljust(width) if i < table.words else cell.rjust(width) for cell in column)
    lines = [table.title, *("  ".join(line).rstrip() for line in zip(*columns, strict=True))]
    return "\n".join(lines)


def write_json(path: Path, reports: Sequence[Report]) -> None:
    """Write what programs may want to read: for each report its data, bars, notes and faults."""
    document = [
        {
            "name": report.name,
            **report.data,
            "bars": [{**dataclasses.asdict(bar), "verdict": VERDICTS[bar.met]} for bar in report.bars],
            "notes": report.notes,
            "faults": report.faults,
        }
        for report in reports
    ]
    path.write_text(json.dumps(document, indent=1) + "\n")


def progress(text: str) -> None:
    """Say on stderr what is being done: on a terminal in one line, written again and again, elsewhere in lines."""
    sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()


def progress_ends() -> None:
    """Clear the line of the terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
