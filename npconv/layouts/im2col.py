"""Layout of `npconv.kernels.im2col`: how wide a panel is, and how many channels deep."""

from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.im2col import im2col
from npconv.kernels.targets import target
from npconv.kernels.tile import TAPS_AHEAD
from npconv.layouts.layout import (
    Layout,
    Tiling,
    axis_spans,
    check_shuffle,
    check_taps,
    in_blocks,
    pairs,
    simplified,
    table,
)
from npconv.layouts.planes import CYCLES_OF_A_RUN, CYCLES_OF_A_UNIT, FAR_BYTES, has_sets, real_lanes, sets_of

# A panel shares a cache with the weights that stream past it: the first-level one, where sums go to memory and back for each few channels;
# or the second-level one, with the next taps asked for while these are multiplied.
NEAR_PANEL_BYTES, FAR_PANEL_BYTES = 24 * 1024, 256 * 1024
# Of a larger result the second-level cache does not hold what the tiles before have fetched, and of a larger image nothing.
NEAR_BYTES, NEAR_IMAGE_BYTES = 5 * 1024 * 1024, 6 * 1024 * 1024
# Panels of such an image that are packed together at most, and their bytes.
MOST_ABREAST, ABREAST_BYTES = 8, 1024 * 1024
# Cycles for each byte of a result that the second-level cache does not hold, in tiles one vector wide: a panel writes to all planes, and no
# CPU guesses where next.
CYCLES_OF_A_FAR_BYTE = 0.27
# And for each byte of weights that it does not hold either, once for each panel.
CYCLES_OF_A_WEIGHT_BYTE = 0.02
# Cycles to pack a vector of neighbours, and to take up the sums of a tile where the panel before left them. Fitted to the layers of
# published networks.
CYCLES_OF_A_VECTOR = 4.5
CYCLES_OF_A_PANEL = 250
# Cycles that a vector of a panel takes longer from the second-level cache.
CYCLES_FROM_FAR = 0.4
# Cycles to find the next piece of a row that a tile covers, and to clear its place.
CYCLES_OF_A_SEGMENT = 80


def im2col_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None, pieces: int = 1, shuffle: int = 1
) -> Layout:
    """Lay out the matrix product over packed panels, each group in at least so many pieces of work where that can be."""
    g = simplified(geometry)
    check_shuffle("im2col", g, shuffle)
    check_taps("im2col", g)
    (top, _), (left, _) = g.padding
    lanes, columns, taps = target().lanes(dtype.itemsize), g.N * g.OH * g.OW, g.KH * g.KW
    F, integer = g.group_filters, dtype.kind == "i"

    def cost(tiling: Tiling) -> float:
        width = tiling.vectors * lanes
        tiles, segments, plane = tiling.computed(columns) / width, 1 + width / g.OW, g.OH * g.OW
        # Pixels two apart are read two vectors at a time, others one by one.
        gathered = {1: 4, 2: 6}.get(g.stride[1], lanes) * tiling.vectors + CYCLES_OF_A_SEGMENT * segments
        # Of images that do not end with a vector, all but the first begin within one.
        whole = in_vectors and (g.N == 1 or plane % lanes == 0)
        pack = tiles * (g.K * (CYCLES_OF_A_VECTOR * tiling.vectors if whole else gathered) + CYCLES_OF_A_UNIT)
        # Tiles that lie in several images, or end behind the last, are put in their places afterwards.
        apart = min(tiles, g.N) * (plane % width > 0)
        stored = apart * tiling.rows * (1 + width / plane) * CYCLES_OF_A_RUN
        tile_by_tile = tiling.cycles(columns, g.K, packed=True) + tiles * depth(g, tiling, dtype.itemsize)[0]
        far = far_result / tiling.vectors + tiles * far_weights
        return g.groups * (pack + -(-F // tiling.rows) * (tile_by_tile + stored)) + far

    far_result = g.P * dtype.itemsize * CYCLES_OF_A_FAR_BYTE if g.P * dtype.itemsize > 2 * FAR_BYTES else 0
    weights = g.O * g.K * dtype.itemsize
    far_weights = weights * CYCLES_OF_A_WEIGHT_BYTE if weights > g.groups * FAR_BYTES else 0
    in_vectors = g.stride == (1, 1) and g.W == g.OW and has_sets(g, lanes)
    choices = [tile] if tile else target().tiles(integer=integer)
    tiling = min((Tiling.of(columns, choice, lanes) for choice in choices), key=cost)
    rows, width = tiling.rows, tiling.vectors * lanes
    _, channels, taps_ahead = depth(g, tiling, dtype.itemsize)
    blocks, tiles = -(-F // rows), tiling.number(columns)
    abreast = panels_abreast(g, tiling, dtype.itemsize, tiles // pieces) if in_vectors else 1
    if abreast > 1:
        channels, taps_ahead = g.group_channels, TAPS_AHEAD
    units = -(-tiles // abreast)
    spans = axis_spans(g)
    sizes = (
        g.groups * units, g.groups, units, g.N, g.group_channels, g.H, g.W, F, blocks, g.K, g.OH, g.OW, channels,
        g.KH, g.KW, *g.stride, *g.dilation, top, left, shuffle, taps_ahead, int(g.P * dtype.itemsize > NEAR_BYTES), abreast,
    )  # fmt: skip
    sets = np.empty((0, 2), np.int64)
    if in_vectors:
        real = real_lanes(g, -(-g.OH * g.W // lanes) + tiling.vectors, lanes)
        sets = np.stack([sets_of(real), real.sum(axis=1)], axis=1)
    tables = (
        pairs((k * width, 0) for k in range(g.K)),
        table(n for axis in spans for span in axis for n in span),
        table(sets.reshape(-1)),
    )
    scratch = (abreast * channels * taps + blocks * rows) * width
    idle = g.groups * tiling.computed(columns) * blocks * rows - g.P
    real_rows, real_columns = (sum(last - first for first, last in axis) for axis in spans)
    moved = g.N * g.C * real_rows * real_columns
    return Layout(
        "im2col", dtype, im2col, tiling.tile(tiling.vectors), tiling.choice, (*tiling.kernels(dtype), sizes, *tables),
        *in_blocks(g.groups, rows), g.groups * units, scratch, idle, moved, cost(tiling),
    )  # fmt: skip


def depth(g: Geometry, tiling: Tiling, itemsize: int) -> tuple[float, int, int]:
    """Return what the size of a panel costs a tile, how many channels it is deep, and how many taps ahead are fetched."""
    each = tiling.vectors * tiling.lanes * itemsize * g.KH * g.KW
    near, deep = (max(1, min(g.group_channels, most // each)) for most in (NEAR_PANEL_BYTES, FAR_PANEL_BYTES))
    resumed, resumed_deep = ((-(-g.group_channels // channels) - 1) * CYCLES_OF_A_PANEL for channels in (near, deep))
    from_far = g.K * tiling.vectors * CYCLES_FROM_FAR if deep > near else 0
    far_weights = g.group_filters * g.K * itemsize > FAR_BYTES
    return min((resumed, near, TAPS_AHEAD if far_weights else 0), (resumed_deep + from_far, deep, TAPS_AHEAD))


def panels_abreast(g: Geometry, tiling: Tiling, itemsize: int, most: int) -> int:
    """Return how many panels are packed together: several only of an image that the second-level cache does not hold."""
    panel = g.K * tiling.vectors * tiling.lanes * itemsize
    far = g.N * g.C * g.H * g.W * itemsize > NEAR_IMAGE_BYTES
    return max(1, min(MOST_ABREAST, ABREAST_BYTES // panel, most)) if far else 1
