"""Layout of `npconv.kernels.depthwise`: the window of rows, the planes that share a tile, the lanes that are real."""

from functools import partial
from math import gcd
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.depthwise import depthwise
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts.channelwise import channelwise_layout
from npconv.layouts.layout import MOST_SETS, Array, Layout, NotServedError, as_given, axis_spans, simplified, table

# Sums in flight that hide the latency of a multiply-add (4 cycles, 2 a cycle), with something to spare. With a stride,
# what is read takes registers of its own, and half of them have to do; so do planes of several vectors.
ENOUGH_SUMS = 24
# Cycles of a tap for each vector, whose weight and pixels are read too; and of a vector and all besides from one row of a window to the
# next. Fitted to kernels of 3x3 to 7x7 on images of 14x14 to 56x56.
CYCLES_OF_A_TAP, CYCLES_OF_A_VECTOR, CYCLES_OF_A_STEP = 0.8, 7, 2.5
# Cycles to read a vector of pixels that are one or two apart; of others each lane takes one. Fitted to 3x3 and 5x5 kernels on images
# of 14x14 to 112x112.
CYCLES_OF_A_READ = {1: 1, 2: 5}


def depthwise_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None, pieces: int = 1
) -> Layout:
    """Lay out depthwise convolution with pixels or with channels in the lanes, whichever is estimated to be done sooner.

    `tile` may force (planes, vectors) of the one or (pixels,) or (pixels, 1, pixels of the last) of the other.
    """
    g = geometry
    if g.group_channels > 1:
        raise NotServedError(
            f"method 'depthwise' serves one input channel per group, but x has {g.C} channels in {g.groups} groups = "
            f"{g.group_channels} per group. Use method='direct' or groups={g.C}."
        )
    ways: list[Layout] = []
    refusals = []
    for way in (partial(streamed, pieces=pieces), channelwise_layout):
        if tile is None or (len(tile) == 2) != (way is channelwise_layout):
            try:
                ways.append(way(g, dtype, tile))
            except NotServedError as refusal:
                refusals.append(refusal)
    if not ways:
        raise refusals[0]
    return min(ways, key=lambda layout: layout.cycles)


def streamed(geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None, pieces: int = 1) -> Layout:
    """Lay out rows that stream past a window of accumulator rows; `tile` may force its numbers of planes and vectors."""
    g = simplified(geometry)
    (top, _), (left, _) = g.padding
    (sh, sw), (dh, dw) = g.stride, g.dilation
    # Tap kh of an output reads the row that tap kh - phases reads `classes` outputs further down.
    classes, phases = dh // gcd(sh, dh), min(sh // gcd(sh, dh), g.KH)
    rows, lanes = -(-g.KH // phases), target().lanes(dtype.itemsize)
    planes, vectors = tile or planes_and_vectors(g, rows, lanes, integer=dtype.kind == "i")
    if planes > 1 and (g.C % planes or g.group_filters > 1):
        raise NotServedError(
            f"method 'depthwise' keeps {planes} planes with one filter each in a tile, but x has {g.C} channels with {g.group_filters} "
            "filters each. Use a tile of one plane."
        )
    stripes = -(-g.OW // (vectors * lanes))
    steps = -(-g.OH // classes)
    band_steps = -(-steps // min(pieces, steps))
    bands = -(-steps // band_steps)
    # Strides of one and two are worth kernels of their own.
    step, phases_of_tile = (n if n <= 2 else 0 for n in (sw, phases))
    real, kept = lane_sets(axis_spans(g)[1], g.OW, stripes, vectors, lanes, max(step, 1))
    # Where only the vectors at the ends of a row reach over the image, the others need no sets of lanes.
    every = lane_sets([(0, lanes)], lanes, 1, 1, lanes, max(step, 1))
    inner = all(
        set(sets[1:-1]) <= set(all_of[0]) for of, all_of in zip((real, kept), every, strict=True) for sets in of
    )
    window = RegisterTile(rows, vectors, lanes, planes, step, 1 if inner else vectors, phases_of_tile)
    units = g.N * g.C // planes * bands
    sizes = (
        units, bands, band_steps, g.C, g.group_filters, classes, g.H, g.W, g.OH, g.OW, g.KW, g.KH, sh, sw, dh, dw, top, left,
        phases,
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
    reads = phases * g.KW * vectors * CYCLES_OF_A_READ.get(sw, lanes)
    tap = max(vectors / target().multiply_adds, vectors * CYCLES_OF_A_TAP, 4 / rows / planes)
    each = max(g.KH * g.KW * tap, reads) + vectors * CYCLES_OF_A_VECTOR + CYCLES_OF_A_STEP
    parts = (window, sizes, table(lanes_of for sets in (*real, *kept) for lanes_of in sets))
    cycles = g.N * g.O * (g.OH + (rows - 1) * streams) * stripes * each
    return Layout(
        "depthwise", dtype, depthwise, window, (planes, vectors), parts, pack, as_given, units, 0, idle, 0, cycles
    )  # fmt: skip


def planes_and_vectors(g: Geometry, rows: int, lanes: int, *, integer: bool) -> tuple[int, int]:
    """Return how many planes share a tile and how many vectors of a row it holds, as many as registers allow."""
    stride = g.stride[1]
    # Integers are slow with or without registers to spare, so they are never refused.
    most = max((v for v in range(1, 9) if fits(rows, v, 1, stride, integer=integer)), default=int(integer))
    if most == 0:
        raise NotServedError(
            f"method 'depthwise' keeps {rows} rows of accumulators for a kernel of {g.KH} rows, more than this CPU has "
            "registers for. Use method='direct'."
        )
    vectors_of_row = -(-g.OW // lanes)
    if g.KW * vectors_of_row > MOST_SETS:
        raise NotServedError(
            f"method 'depthwise' writes down which lanes are real for {g.KW} taps of {vectors_of_row} vectors, and allows itself "
            f"{MOST_SETS} in all. Use method='naive'."
        )
    vectors = -(-vectors_of_row // -(-vectors_of_row // most))
    # Narrow rows leave the multipliers waiting for each other's sums: several planes at once keep them busy.
    enough = ENOUGH_SUMS if stride == 1 and vectors == 1 else ENOUGH_SUMS // 2
    shared = [
        p
        for p in (2, 4, 8)
        if g.C % p == 0 and rows * p * vectors <= enough and fits(rows, vectors, p, stride, integer=integer)
    ]
    return max(shared, default=1) if g.group_filters == 1 else 1, vectors


def fits(rows: int, vectors: int, planes: int, stride: int, *, integer: bool) -> bool:
    """Return whether a window stays in registers, with pixels, the next ones, a bias, and weights; `test_targets` reads the machine code.

    Weights that only one vector meets are read when they are needed; otherwise a register holds each. Pixels two apart are read two
    vectors at a time; the addresses and masks of a gather take more. Where masks are no registers of their own, a set of lanes is a vector.
    """
    cpu, reads = target(), planes * vectors
    if cpu.vector_bytes == 64:
        most, reading = (8, 2) if stride == 1 else (6, 10 if stride == 2 else 14)
    else:
        most, reading = {1: (3, 4), 2: (3, 8)}.get(stride, (2, 8))
    weights = rows if reads > 1 else 1 if cpu.fma else 3
    return reads <= most and cpu.fits(rows, reads, integer=integer, inputs=0, others=reading + weights)


def lane_sets(
    spans: list[tuple[int, int]], OW: int, stripes: int, vectors: int, lanes: int, step: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the sets of lanes, as bits, of a row cut into stripes: for each stripe and tap the real ones, for each stripe those kept.

    A set for each vector; real ones as `load_lanes` takes them, where bit ``l*step`` is lane l.
    """

    def between(stripe: int, first: int, last: int, step: int) -> list[int]:
        return [
            sum(1 << lane * step for lane in range(lanes) if first <= v * lanes + lane < last)
            for v in range(stripe * vectors, (stripe + 1) * vectors)
        ]

    real = [between(stripe, first, last, step) for stripe in range(stripes) for first, last in spans]
    return real, [between(stripe, 0, OW, 1) for stripe in range(stripes)]
