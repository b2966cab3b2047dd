"""What a benchmark hands over, and how it is shown: tables by rich on a terminal, plain text elsewhere, Markdown in a file."""

import dataclasses
import importlib.util
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

    def lines(self) -> list[str]:
        """Return notes and faults for readers."""
        return [*self.notes, *(f"WRONG: {fault}" for fault in self.faults)]

    def document(self) -> dict[str, Any]:
        """Return what programs may want to read: data, tables that are no longer than a screen, bars, notes and faults."""
        return {
            "name": self.name,
            **self.data,
            "tables": [dataclasses.asdict(table) for table in self.tables if len(table.rows) <= LONGEST],
            "bars": [{**dataclasses.asdict(bar), "verdict": VERDICTS[bar.met]} for bar in self.bars],
            "notes": self.notes,
            "faults": self.faults,
        }


# Lines of a table that a screen shows.
LONGEST = 40
VERDICTS = {True: "pass", False: "miss", None: "not judged"}


def bars_table(bars: Sequence[Bar]) -> Table:
    """Return the bars as a table."""
    rows = [(bar.asked, bar.measured, VERDICTS[bar.met]) for bar in bars]
    return Table("Bars", ["bar", "measured", "verdict"], rows, words=3)


def show(report: Report) -> None:
    """Print a report; a table that is too long to be read on a screen is left to files."""
    tables = [table for table in report.tables if len(table.rows) <= LONGEST]
    lines = report.lines()
    if len(tables) < len(report.tables):
        lines.append("There are more rows: --markdown FILE shows all.")
    if report.bars:
        tables.append(bars_table(report.bars))
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


def write_markdown(path: Path, reports: Sequence[Report]) -> None:
    """Write the tables, bars, notes and faults of reports as a page."""
    parts = []
    for report in reports:
        parts.append(f"# {report.name}")
        tables = [*([bars_table(report.bars)] if report.bars else []), *report.tables]
        parts.extend(f"## {table.title}\n\n{markdown(table)}" for table in tables)
        parts.extend("\n".join(f"- {line}" for line in lines) for lines in [report.lines()] if lines)
    path.write_text("\n\n".join(parts) + "\n")


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    rule = ["---" if i < table.words else "---:" for i in range(len(table.columns))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (table.columns, rule, *table.rows))
