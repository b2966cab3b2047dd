"""The ladder as a picture: a bar for each rung, on a logarithmic scale, below the peak."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.pictures import COLOURS, DPI, GREY


def draw(rungs: Sequence[Mapping[str, Any]], file: Path) -> Path:
    """Write the picture of rungs, as a report holds them, to a file, and return it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("agg")
    names = [rung["name"].replace("_", " ") for rung in rungs]
    speeds = [rung["flops"] / 1e9 for rung in rungs]
    peak = float(np.median(rungs[0]["peak_flops"])) / 1e9
    figure = Figure(figsize=(9, 0.42 * len(rungs) + 1.1), layout="constrained")
    ax = figure.subplots()
    places = np.arange(len(rungs))[::-1]
    ax.barh(places, speeds, height=0.62, color=COLOURS[0])
    ax.axvline(peak, color=GREY, linewidth=1.2, linestyle="--")
    for place, rung in zip(places, rungs, strict=True):
        ax.text(peak * 1.3, place, f"{rung['flops'] / 1e9:.3g} GF/s, {share_text(rung['share_of_peak'])}", va="center")
    ax.set_xscale("log")
    ax.set_xlim(min(speeds) / 1.5, peak * 30)
    ax.set_xticks([10.0**n for n in range(-2, 3)])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel(f"GF/s of one core, a multiply-add being two; dashed: the peak, {peak:.0f}")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=DPI)
    return file


def share_text(share: float) -> str:
    """Return a share in percent, in two digits however small it is."""
    return f"{float(f'{100 * share:.2g}'):g} %"
