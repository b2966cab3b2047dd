"""Pictures of a run, for each type on each number of threads: ratio per layer, roofline, cost along each sweep."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.bars import geometric_mean, place, ratios_of
from bench.layers import KINDS, Layer
from bench.rows import OURS, Row
from bench.sets import SWEEPS

# Okabe and Ito (2008), "Color universal design": told apart by everyone. A marker says the same as its colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v")
GREY = "#666666"
# Ratios that get a line of the grid.
TICKS = (0.125, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 16, 32, 64)
# Rows that are named in the picture.
NAMED = 3
DPI = 150


def draw(
    rows: Sequence[Row], folder: Path, prefix: str = "", kinds: Sequence[str] = ("ratio", "roofline", "cost")
) -> list[Path]:
    """Write the pictures of some kinds that can be drawn of rows, and return their files, whose names begin with `prefix`."""
    import matplotlib as mpl

    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for dtype, threads in sorted({(row.dtype, row.threads) for row in rows}):
        here = [row for row in rows if (row.dtype, row.threads) == (dtype, threads)]
        for name, figure in figures(here, f"{dtype}, {threads} thread{'s' if threads > 1 else ''}", kinds):
            files.append(folder / f"{prefix}{name}-{dtype}-{threads}.png")
            figure.savefig(files[-1], dpi=DPI)
    return files


def figures(rows: Sequence[Row], what: str, kinds: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield name and figure of each picture."""
    if "ratio" in kinds and any(row.ratio is not None for row in rows):
        yield "ratio", ratio(rows, what)
    if "roofline" in kinds:
        yield "roofline", roofline(rows, what)
    if "cost" in kinds and all(any(name in row.names for row in rows) for name in SWEEPS):
        yield "cost", cost(rows, what)


def new_figure(rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes, with a quiet grid."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6 if rows == 1 else 9), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def ratio(rows: Sequence[Row], what: str) -> Any:
    """Draw the best peer's time divided by ours, the rows of each class from the lowest to the highest."""
    figure, (ax,) = new_figure()
    begin = 0
    for kind, colour, marker in zip(KINDS, COLOURS, MARKERS, strict=True):
        of_kind = sorted(
            (row for row in rows if row.layer.kind == kind and row.ratio is not None), key=lambda row: row.ratio or 0
        )
        if not of_kind:
            continue
        ratios = ratios_of(of_kind)
        mean = geometric_mean(ratios)
        end = begin + len(ratios)
        label = f"{kind}: {len(ratios)} rows, geometric mean {mean:.2f}"
        ax.scatter(range(begin, end), ratios, s=14, color=colour, marker=marker, label=label)
        ax.plot([begin - 0.5, end - 0.5], [mean, mean], color=colour, linewidth=1.2)
        begin = end + 2
    ax.axhline(1, color=GREY, linewidth=1.2, linestyle="--")
    ax.set_yscale("log", base=2)
    low, high = ax.get_ylim()
    ax.set_yticks([tick for tick in TICKS if low <= tick <= high])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xticks([])
    ax.set_xlabel("layers, by class and ratio")
    ax.set_ylabel("best peer's time / ours (above 1 we are faster)")
    lowest = sorted((row for row in rows if row.ratio is not None), key=lambda row: row.ratio or 0)[:NAMED]
    named = "; ".join(f"{row.ratio:.2f} {place(row)}" for row in lowest)
    ax.set_title(f"Ratio per layer, {what}\nlowest: {named}", loc="left", fontsize=10)
    ax.legend(frameon=False, fontsize=8)
    return figure


def roofline(rows: Sequence[Row], what: str) -> Any:
    """Draw our speed over FLOP per byte, under the roofs of the multiply-adds and of the copies.

    Notes
    -----
    Williams, Waterman and Patterson (2009), "Roofline: an insightful visual performance model".
    """
    figure, (ax,) = new_figure()
    for kind, colour, marker in zip(KINDS, COLOURS, MARKERS, strict=True):
        of_kind = [row for row in rows if row.layer.kind == kind]
        if of_kind:
            speeds = [row.speed / 1e9 for row in of_kind]
            ax.scatter(list(map(intensity, of_kind)), speeds, s=14, color=colour, marker=marker, label=kind)
    peak = float(np.median([row.peak for row in rows]))
    over = np.geomspace(min(map(intensity, rows)) / 1.5, max(map(intensity, rows)) * 1.5, 200)
    bandwidths = {row.bandwidth for row in rows}
    for bandwidth, style in zip(sorted({max(bandwidths), min(bandwidths)}, reverse=True), ("-", ":"), strict=False):
        label = f"{peak / 1e9:.0f} GF/s and copies of {bandwidth / 1e9:.0f} GB/s"
        ax.plot(over, np.minimum(peak, over * bandwidth) / 1e9, color=GREY, linewidth=1.2, linestyle=style, label=label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.set_xlabel("FLOP per byte of x, weight and y, a multiply-add being two")
    ax.set_ylabel("GF/s")
    ax.set_title(f"Roofline, {what}", loc="left", fontsize=10)
    ax.legend(frameon=False, fontsize=8)
    return figure


def intensity(row: Row) -> float:
    """Return the FLOP per byte that has to be moved."""
    return row.layer.flop / row.layer.traffic(row.dtype)


def cost(rows: Sequence[Row], what: str) -> Any:
    """Draw the time of each engine against channels, groups, image size and batch."""
    figure, axes = new_figure(2, 2)
    labels = list(dict.fromkeys(label for row in rows for label in row.timings))
    for ax, name in zip(axes, SWEEPS, strict=True):
        along = sorted((row for row in rows if name in row.names), key=lambda row: size(row.layer, name))
        for label, colour, marker in zip(labels, COLOURS, MARKERS, strict=False):
            points = [
                (size(row.layer, name), row.timings[label].median * 1e6)
                for row in along
                if label in row.timings and row.timings[label].right
            ]
            width = 2 if label == OURS else 1
            ax.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, linewidth=width, label=label)
        sizes = [size(row.layer, name) for row in along]
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, list(map(str, sizes)))
        ax.set_yscale("log")
        ax.set_xlabel(name)
        ax.set_ylabel("microseconds")
        ax.set_title(like(along[0].layer, name), loc="left", fontsize=9)
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"Cost, {what}", fontsize=10)
    return figure


def size(layer: Layer, sweep: str) -> int:
    """Return what differs along a sweep."""
    g = layer.geometry
    return {"channels": g.C, "groups": g.groups, "image size": g.H, "batch": g.N}[sweep]


def like(layer: Layer, sweep: str) -> str:
    """Return what is the same along a sweep."""
    g = layer.geometry
    parts = {
        "channels": f"{g.C} channels",
        "groups": f"{g.groups} group{'s' if g.groups > 1 else ''}",
        "image size": f"{g.H}x{g.W}",
        "batch": f"{g.N} image{'s' if g.N > 1 else ''}",
    }
    return ", ".join([f"{g.KH}x{g.KW}", *(text for name, text in parts.items() if name != sweep)])
