"""The documentation's page on performance, from the files of runs: what a reader compares, first what was missed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import pictures
from bench.bars import geometric_mean, on_threads, place, ratios_of
from bench.layers import KINDS
from bench.records import RecordsError
from bench.report import Bar, Table, bars_table, markdown
from bench.rows import OURS, Row
from bench.sets import SWEEPS, sweeps
from bench.summary import means_table

FOLDER = Path("docs/performance")
# Rows that are shown on the page itself, from the lowest ratio on.
LOWEST_ROWS = 20
# What the reader is told of a run, in words.
MACHINE = ("processor", "cores", "CPU", "registers", "Python", "NumPy", "Numba", "LLVM", "npconv", "source")
PICTURES = {
    "ratio": "The ratio of each layer, by class.",
    "roofline": "The speed of each layer over its FLOP per byte, under the roofs of multiply-adds and of copies.",
    "cost": "The time of each engine against channels, groups, image size and batch.",
}
VERDICTS = {"pass": "met", "miss": "**missed**", "not judged": "not judged"}
# Reports whose tables are made anew, from rows, or stand on a page of their own.
OF_ROWS = ("twelve", "networks", "sweeps", "calls")
LADDER = "ladder"


@dataclass(slots=True)
class Results:
    """What the files of runs hold: of two rows or reports of the same the later counts, but for bars that it did not judge."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[Any, Row] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[Path]) -> "Results":
        """Read files."""
        found = cls()
        for file in files:
            try:
                lines = [json.loads(line) for line in file.read_text().splitlines()]
                run = {**lines[0]["run"], "begun": lines[0]["begun"]}
                found.runs.append(run)
                for line in lines[1:]:
                    if "row" in line:
                        row = Row.of(line["row"])
                        found.rows[row.key] = row
                    else:
                        report = {**line["report"], "run": run}
                        found.reports[report["name"]] = joined(found.reports.get(report["name"]), report)
            except (OSError, ValueError, TypeError, KeyError, IndexError) as fault:
                raise RecordsError(f"{file} is no record of a benchmark: {fault}") from None
        return found

    def of_form(self, form: str) -> list[Row]:
        """Return the rows that were computed in one form, but for those of sweeps."""
        found = [row for row in self.rows.values() if row.form == form]
        return [row for row in found if not row.names or set(row.names) - set(SWEEPS)]

    def of_sweeps(self) -> list[Row]:
        """Return the rows of all sweeps, for each type and number of threads of which none is missing."""
        along = sweeps()
        found: dict[tuple[str, int], list[Row]] = {}
        for row in self.rows.values():
            if row.layer in along and row.form == "prepared":
                # A layer of a network is not measured again for a sweep.
                found.setdefault((row.dtype, row.threads), []).append(replace(row, names=along[row.layer]))
        return [row for rows in found.values() if len(rows) == len(along) for row in rows]


def joined(before: dict[str, Any] | None, report: dict[str, Any]) -> dict[str, Any]:
    """Return a report with what one before of the same name found: bars that this one does not judge, and whatever was wrong."""
    if before is None:
        return report
    bars = {bar["asked"]: bar for bar in before["bars"]}
    bars.update((bar["asked"], bar) for bar in report["bars"] if bar["met"] is not None or bar["asked"] not in bars)
    faults, notes = (list(dict.fromkeys([*before[part], *report[part]])) for part in ("faults", "notes"))
    return {**report, "bars": list(bars.values()), "faults": faults, "notes": notes}


def write(files: Sequence[Path], folder: Path) -> list[Path]:
    """Write the parts of the page, and a page for each class of layers, into a folder, and return what was written."""
    results = Results.of(files)
    folder.mkdir(parents=True, exist_ok=True)
    written = [put(folder / "_summary.md", summary(results, folder))]
    classes = {kind: [row for row in results.of_form("prepared") if row.layer.kind == kind] for kind in KINDS}
    written += [put(folder / f"{kind}-layers.md", class_page(kind, rows)) for kind, rows in classes.items() if rows]
    if LADDER in results.reports:
        written.append(put(folder / "_ladder.md", ladder(results, folder)))
    return written


def put(file: Path, parts: Iterable[str]) -> Path:
    """Write paragraphs to a file."""
    file.write_text("\n\n".join(parts) + "\n")
    return file


def summary(results: Results, folder: Path) -> Iterator[str]:
    """Yield the paragraphs of the page."""
    yield "## The machine"
    yield markdown(conditions(results.runs))
    bars = [Bar(bar["asked"], bar["measured"], bar["met"]) for of in results.reports.values() for bar in of["bars"]]
    faults = [fault for of in results.reports.values() for fault in of["faults"]]
    if bars:
        yield "## What was asked, and what was reached"
        missed = sum(bar.met is False for bar in bars)
        judged = sum(bar.met is not None for bar in bars)
        yield f"{judged - missed} of {len(bars)} bars were met, {missed} missed and {len(bars) - judged} not judged."
        if not judged:
            yield "**This was a quick run, which shows that everything runs and what the page looks like. It judges nothing.**"
        table = bars_table(sorted(bars, key=lambda bar: bar.met is not False))
        yield markdown(Table(table.title, table.columns, [[*row[:-1], VERDICTS[row[-1]]] for row in table.rows], 3))
    if faults:
        yield "Wrong results:\n\n" + "\n".join(f"- {fault}" for fault in faults)
    for form, title in (("prepared", "Layers"), ("call", "Functional calls")):
        if rows := results.of_form(form):
            yield from layers(rows, form, title, folder)
    if along := results.of_sweeps():
        yield "## Cost along one size"
        yield from shown(along, folder, "sweep-", "cost")
    for name, report in results.reports.items():
        if name not in (*OF_ROWS, LADDER):
            yield f"## {name.capitalize()}"
            yield from (markdown_of(table) for table in report["tables"])
    remarks = {
        name: [note for note in of["notes"] if not note.startswith("Picture: ")] for name, of in results.reports.items()
    }
    if any(remarks.values()):
        yield "## Remarks of the runs"
        yield "\n".join(f"- {name}: {note}" for name, notes in remarks.items() for note in dict.fromkeys(notes))


def conditions(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Return machine, versions and pace; where runs differ, all that they had."""
    rows = []
    engines = {label: version for run in runs for label, version in run["engines"].items() if label != OURS}
    for name in (*MACHINE, "rounds", "seconds", "begun"):
        values = dict.fromkeys(str(run[name]) for run in runs if name in run)
        rows.append([LABELS.get(name, name), "; ".join(values)])
    return Table("Machine", ["", ""], [*rows, *([label, version] for label, version in engines.items())], words=2)


LABELS = {
    "registers": "vector registers",
    "source": "digest of npconv's source",
    "rounds": "rounds",
    "seconds": "seconds of each variant in a round",
    "begun": "begun (UTC)",
}


def layers(rows: list[Row], form: str, title: str, folder: Path) -> Iterator[str]:
    """Yield what rows of one form say: means, pictures, the lowest ratios."""
    yield f"## {title}"
    table = means_table(rows)
    yield f"{table.title}; above 1 {OURS} is faster."
    yield markdown(table)
    yield from shown(rows, folder, "" if form == "prepared" else f"{form}-", "ratio")
    if form == "prepared":
        yield from shown(rows, folder, "", "roofline")
    lowest = sorted((row for row in rows if row.ratio is not None), key=lambda row: row.ratio or 0)[:LOWEST_ROWS]
    if lowest:
        yield f"The {len(lowest)} rows with the lowest ratio:"
        yield markdown(compact(lowest))


def told(rows: Sequence[Row]) -> str:
    """Return in words what a picture of ratios shows."""
    sentences = []
    for dtype, threads in sorted({(row.dtype, row.threads) for row in rows}):
        ratios = ratios_of(row for row in rows if (row.dtype, row.threads) == (dtype, threads))
        if ratios:
            behind = sum(ratio < 1 for ratio in ratios)
            sentences.append(
                f"{dtype} {on_threads(threads)}: {len(ratios)} rows, geometric mean {geometric_mean(ratios):.2f}, from {min(ratios):.2f} "
                f"to {max(ratios):.2f}, {behind} below 1."
            )
    return " ".join(sentences)


def shown(rows: Sequence[Row], folder: Path, prefix: str, kind: str) -> Iterator[str]:
    """Yield the pictures of one kind, each with what it shows in words, for readers who do not see it."""
    for file in pictures.draw(rows, folder, prefix, (kind,)):
        dtype, threads = file.stem.split("-")[-2:]
        here = [row for row in rows if (row.dtype, row.threads) == (dtype, int(threads))]
        yield f"![{PICTURES[kind]} {told(here)}]({folder.name}/{file.name})"


def compact(rows: Iterable[Row]) -> Table:
    """Return rows as a table for a page: ours and the best peer's time, ratio, shares of both roofs, error."""
    lines = []
    for row in rows:
        peer, ratio = row.best_peer or "-", "void" if not row.ours.right else f"{row.ratio:.2f}" if row.ratio else "-"
        between = "..".join(f"{end:.2f}" for end in row.ratio_interval or ())
        theirs = f"{row.timings[peer].median * 1e6:.1f}" if peer in row.timings else "-"
        numbers = [
            f"{row.speed / 1e9:.1f}",
            f"{row.share_of_peak:.0%}",
            f"{row.share_of_copy:.0%}",
            f"{row.ours.error:.2g}",
        ]
        times = [f"{row.ours.median * 1e6:.1f}", theirs]
        lines.append([place(row), peer, row.dtype, str(row.threads), *times, ratio, between, *numbers])
    words = ["layer", "best peer", "dtype", "threads"]
    numbers = [f"{OURS} us", "peer us", "ratio", "95 %", "GF/s", "of peak", "of copy", "error/bound"]
    return Table("Rows", [*words, *numbers], lines, words=3)


def class_page(kind: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the page of one class of layers: every row, from the lowest ratio on."""
    yield f"# {kind.capitalize()} layers"
    yield told(rows) or "No peer took part."
    for dtype, threads in sorted({(row.dtype, row.threads) for row in rows}):
        here = [row for row in rows if (row.dtype, row.threads) == (dtype, threads)]
        yield f"## {dtype}, {on_threads(threads)}"
        table = compact(sorted(here, key=lambda row: row.ratio or 0))
        kept = [i for i, name in enumerate(table.columns) if name not in ("dtype", "threads")]
        lines = [[line[i] for i in kept] for line in table.rows]
        yield markdown(Table(table.title, [table.columns[i] for i in kept], lines, words=2))


def markdown_of(table: Mapping[str, Any]) -> str:
    """Return a table of a report as Markdown, under its title."""
    return f"### {table['title']}\n\n{markdown(Table(**table))}"


def ladder(results: Results, folder: Path) -> Iterator[str]:
    """Yield the table and the picture of the ladder, and where they were measured."""
    from bench.ladder.picture import draw, share_text

    report = results.reports[LADDER]
    rungs = report["rungs"]
    yield from (markdown(Table(**table)) for table in report["tables"])
    yield "\n".join(f"- {note}" for note in report["notes"] if not note.startswith("Picture: "))
    run = report["run"]
    versions = ", ".join(f"{name} {run[name].split()[0]}" for name in ("Python", "NumPy", "Numba", "LLVM"))
    yield f"Measured on {run['processor']}, with {versions}."
    file = draw(rungs, folder / "ladder.png")
    steps = ", ".join(f"{rung['name'].replace('_', ' ')} {share_text(rung['share_of_peak'])}" for rung in rungs)
    yield f"![A bar for each rung, on a logarithmic scale. Shares of the peak: {steps}.]({folder.name}/{file.name})"
