"""Which method, tile and pieces of work a convolution gets: those that are estimated to take the least time."""

import functools
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.layouts import Layout, NotServedError, lay_out
from npconv.workspace import Workspaces

# Threads take units one by one: of many each, and the last to finish is not late by much; of few, and less is copied or read twice.
UNITS_PER_THREAD = (8, 4, 2, 1)
# Workspaces up to this size outlive their plan, one for each of the most calls that ran at once.
SPARE_BYTES = 1024 * 1024
# Cycles to put an element of the result in its place afterwards, where a shuffle is not done on the way to memory.
CYCLES_OF_A_MOVE = 0.5


# A layout may hold sets of lanes, four megabytes of them at worst and some hundred kilobytes where images have 224 x 224 pixels.
@functools.lru_cache(maxsize=128)
def choose(
    geometry: Geometry, dtype: np.dtype[Any], method: str, num_threads: int, shuffle: int = 1
) -> tuple[Layout, str, int, int]:
    """Return the layout of a geometry, why it was chosen, the threads it is worth, and groups to shuffle in afterwards, 1 if none."""
    units = [1] if num_threads == 1 else [each * num_threads for each in UNITS_PER_THREAD]
    pieces_of_groups = dict.fromkeys(-(-number // max(1, geometry.N * geometry.groups)) for number in units)
    ways: list[tuple[float, Layout, int]] = []
    remarks, refusals = [], []
    for in_store in dict.fromkeys((shuffle, 1)):
        after = shuffle // in_store
        for name in ["im2col", "direct", "filterwise", "depthwise"] if method == "auto" else [method]:
            label = f"{name} and a shuffle" if after > 1 else name
            try:
                layout = min(
                    (lay_out(geometry, dtype, name, pieces, shuffle=in_store) for pieces in pieces_of_groups),
                    key=lambda layout: layout.cycles_of(num_threads),
                )
            except NotServedError as refusal:
                refusals.append(refusal)
                remarks.append(f"{label}: no ({str(refusal).split(',')[0].split('.')[0]})")
            else:
                cycles = layout.cycles_of(num_threads) + (geometry.P * CYCLES_OF_A_MOVE if after > 1 else 0)
                ways.append((cycles, layout, after))
                remarks.append(f"{label} {cycles / 1e6:.3g}")
    if not ways and method == "auto":
        return choose(geometry, dtype, "naive", num_threads, shuffle)
    if not ways:
        raise refusals[-1]
    cycles, best, after = min(ways, key=lambda way: way[0])
    if num_threads > 1 and choose(geometry, dtype, method, 1, shuffle)[0].cycles <= cycles:
        return choose(geometry, dtype, method, 1, shuffle)
    why = f"of the estimates in million cycles the least: {', '.join(remarks)}" if method == "auto" else "as asked for"
    return best, why, min(num_threads, best.units or 1), after


def workspaces_of(layout: Layout, num_threads: int) -> Workspaces:
    """Return the workspaces of a layout: small ones wait for the next plan, too, such as a functional call's."""
    small = layout.scratch * num_threads * layout.dtype.itemsize <= SPARE_BYTES
    return Workspaces(num_threads, layout.scratch, layout.dtype, layout.spare if small else None)
