"""What the rows of a run say: the mean of each class, the lowest rows, the bars, what is wrong."""

from collections.abc import Callable, Iterator, Sequence

from bench.bars import bits_faults, each_row, geometric_mean, place, ratios_of, together
from bench.calls import calls
from bench.clock import INTERRUPTED
from bench.layers import KINDS
from bench.report import Bar, Report, Table
from bench.rows import OURS, Row, rows_table

# Rows that are shown even where the others are not.
LOWEST_ROWS = 12

# What each set of layers is held to.
BARS: dict[str, Callable[..., list[Bar]]] = {
    "twelve": each_row,
    "networks": together,
    "calls": calls,
    "sweeps": lambda rows, judged: [],
}


def summarise(report: Report, rows: Sequence[Row], named: str, *, judged: bool) -> None:
    """Add to a report of a set of layers its tables, its bars and its faults."""
    report.tables.append(means_table(rows))
    lowest = sorted((row for row in rows if row.ratio is not None), key=lambda row: row.ratio or 0)[:LOWEST_ROWS]
    if len(rows) > LOWEST_ROWS and lowest:
        report.tables.append(rows_table("The lowest rows", lowest))
    report.tables.append(rows_table(f"All rows; ratio = best peer / {OURS}", list(rows)))
    report.bars.extend(BARS[named](rows, judged=judged))
    report.faults.extend(
        f"{place(row)}, {row.dtype}, on {row.threads}: off by {row.ours.error:.3g} bounds"
        for row in rows
        if not row.ours.right
    )
    report.faults.extend(bits_faults(rows))
    report.notes.extend(busy(rows))
    report.notes.extend(
        f"{label} is off by {timing.error:.3g} bounds in {place(row)}, {row.dtype}, and no peer there."
        for row in rows
        for label, timing in row.timings.items()
        if label != OURS and not timing.right
    )


def busy(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a note, if somebody else was at work too."""
    shares = [(timing.interrupted, label, row) for row in rows for label, timing in row.timings.items()]
    disturbed = {row for share, _, row in shares if share > INTERRUPTED}
    if disturbed:
        share, label, row = max(shares, key=lambda of: of[0])
        yield (
            f"The machine was busy: in {len(disturbed)} of {len(rows)} rows more than {INTERRUPTED:.0%} of an engine's calls were "
            f"interrupted, at worst {share:.0%} of {label}'s in {place(row)}, {row.dtype}. They are left out where others were not."
        )


def means_table(rows: Sequence[Row]) -> Table:
    """Return the geometric mean of the ratios of each class, of each type on each number of threads."""
    lines = []
    for dtype, threads in sorted({(row.dtype, row.threads) for row in rows}):
        here = [row for row in rows if (row.dtype, row.threads) == (dtype, threads)]
        for kind in (*KINDS, "all"):
            of_kind = [row for row in here if kind in (row.layer.kind, "all")]
            if not of_kind:
                continue
            ratios = ratios_of(of_kind)
            void = sum(not row.ours.right for row in of_kind)
            found = [f"{geometric_mean(ratios):.2f}", f"{min(ratios):.2f}"] if ratios else ["-", "-"]
            behind = str(sum(ratio < 1 for ratio in ratios))
            lines.append([kind, dtype, str(threads), str(len(of_kind)), *found, behind, str(void)])
    columns = ["class", "dtype", "threads", "rows", "geometric mean", "lowest", "below 1", "void"]
    return Table("Ratio, the best peer's time divided by ours", columns, lines, words=2)
