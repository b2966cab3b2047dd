"""Layout of `npconv.kernels.depthwise`: the window of rows, the planes that share a tile, the lanes that are real."""

from math import gcd
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.depthwise import depthwise
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts.layout import Array, Layout, NotServedError, as_given, axis_spans, simplified, table

# Sums in flight that hide the latency of a multiply-add (4 cycles, 2 a cycle), with something to spare.
ENOUGH_SUMS = 20


def depthwise_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None, bands: int = 1
) -> Layout:
    """Lay out rows that stream past a window of accumulator rows; `tile` may force its numbers of planes and vectors."""
    g = simplified(geometry)
    (top, _), (left, _) = g.padding
    (sh, sw), (dh, dw) = g.stride, g.dilation
    if g.group_channels > 1:
        raise NotServedError(
            f"method 'depthwise' serves one input channel per group, but x has {g.C} channels in {g.groups} groups = "
            f"{g.group_channels} per group. Use method='direct' or groups={g.C}."
        )
    # Tap kh of an output reads the row that tap kh - phases reads `classes` outputs further down.
    classes, phases = dh // gcd(sh, dh), min(sh // gcd(sh, dh), g.KH)
    rows, lanes, integer = -(-g.KH // phases), target().lanes(dtype.itemsize), dtype.kind == "i"
    # Integers are slow with or without registers to spare, so they are never refused.
    most = max((v for v in range(1, 9) if fits(rows, v, sw, integer=integer)), default=int(integer))
    if most == 0:
        raise NotServedError(
            f"method 'depthwise' keeps {rows} rows of accumulators for a kernel of {g.KH} rows, more than this CPU has "
            "registers for. Use method='direct'."
        )
    vectors_of_row = -(-g.OW // lanes)
    vectors = -(-vectors_of_row // -(-vectors_of_row // most))
    # Narrow rows leave the multipliers waiting for each other's sums: several planes at once keep them busy.
    shared = [
        p
        for p in (2, 4)
        if g.C % p == 0 and rows * p * vectors <= ENOUGH_SUMS and fits(rows, p * vectors, sw, integer=integer)
    ]
    planes = max(shared, default=1) if g.group_filters == 1 else 1
    planes, vectors = tile or (planes, vectors)
    stripes = -(-g.OW // (vectors * lanes))
    steps = -(-g.OH // classes)
    band_steps = -(-steps // min(bands, steps))
    bands = -(-steps // band_steps)
    multiplier = g.group_filters
    sets = lane_sets(axis_spans(g)[1], g.OW, stripes * vectors, vectors, lanes)
    units = g.N * g.C // planes * bands
    sizes = (
        units, bands, band_steps, g.C, multiplier, classes, g.H, g.W, g.OH, g.OW, g.KW, phases, g.KH, sh, sw, dh, dw, top, left,
    )  # fmt: skip

    def pack(weight: Array) -> Array:
        """Return [channel][phase][kw][row of the tile], the newest output's tap, kh = phase, in the last row."""
        taps = np.zeros((g.O, rows * phases, g.KW), weight.dtype)
        taps[:, : g.KH] = weight.reshape(g.O, g.KH, g.KW)
        return np.ascontiguousarray(taps.reshape(g.O, rows, phases, g.KW)[:, ::-1].transpose(0, 2, 3, 1)).reshape(-1)

    steps_of_class = [-(-(g.OH - row_class) // classes) for row_class in range(min(classes, g.OH))]
    streams = sum(-(-steps // band_steps) for steps in steps_of_class)
    computed = (g.OH + (rows - 1) * streams) * stripes * vectors * lanes
    idle = g.N * g.O * (computed - g.OH * g.OW)
    each = g.KH * g.KW * max(vectors / 2, vectors / rows, 4 / rows / planes) + 10
    each += g.KW * vectors * 2 if left else 0
    window = RegisterTile(rows, vectors, lanes, planes, min(sw, 2))
    return Layout(
        "depthwise", depthwise, window, (planes, vectors), (window, sizes, table(sets)), pack, as_given, units, 0, idle, 0,
        g.N * g.O * g.OH * stripes * each,
    )  # fmt: skip


def fits(rows: int, vectors: int, stride: int, *, integer: bool) -> bool:
    """Return whether a window stays in registers.

    Two rows of inputs: LLVM reads the next while it multiplies the last. Where masks are no registers of their own, a set of lanes
    takes a vector register, and a gather's addresses and masks take several.
    """
    others = 0 if target().vector_bytes == 64 else 5 if stride == 1 else 6
    return target().fits(rows, vectors, integer=integer, inputs=2, others=others)


def lane_sets(spans: list[tuple[int, int]], OW: int, vectors: int, group: int, lanes: int) -> list[int]:
    """Return the sets of lanes, as bits, of a row of vectors: for each `group` of them and tap the real ones, then those kept."""

    def between(v: int, first: int, last: int) -> int:
        return sum(1 << lane for lane in range(lanes) if first <= v * lanes + lane < last)

    real = [
        between(v, first, last)
        for start in range(0, vectors, group) for first, last in spans for v in range(start, start + group)
    ]  # fmt: skip
    return real + [between(v, 0, OW) for v in range(vectors)]
