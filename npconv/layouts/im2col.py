"""Layout of `npconv.kernels.im2col`: how wide a panel is, and how many channels deep."""

from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.im2col import im2col
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts.layout import Layout, axis_spans, in_blocks, simplified, table, tile_cycles

# A panel shares the first-level cache with the weights that stream past it.
PANEL_BYTES = 24 * 1024


def im2col_layout(geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, int] | None = None) -> Layout:
    """Lay out the matrix product over packed panels."""
    g = simplified(geometry)
    (top, _), (left, _) = g.padding
    lanes, columns, taps = target().lanes(dtype.itemsize), g.N * g.OH * g.OW, g.KH * g.KW
    F, integer = g.group_filters, dtype.kind == "i"

    def cost(rows: int, vectors: int) -> float:
        width = vectors * lanes
        segments = 1 + min(width, columns) / g.OW
        pack = g.K * (3 * vectors + 10 * segments)
        return g.groups * -(-columns // width) * (pack + -(-F // rows) * tile_cycles(rows, vectors, g.K))

    rows, vectors = tile or min(target().tiles(integer=integer), key=lambda tile: cost(*tile))
    width = vectors * lanes
    channels = max(1, min(g.group_channels, PANEL_BYTES // (width * dtype.itemsize * taps)))
    blocks, tiles = -(-F // rows), -(-columns // width)
    spans = axis_spans(g)
    sizes = (
        g.groups * tiles, g.groups, tiles, g.N, g.group_channels, g.H, g.W, F, blocks, g.K, g.OH, g.OW, channels,
        g.KH, g.KW, *g.stride, *g.dilation, top, left,
    )  # fmt: skip
    offsets = table(k * width for k in range(g.K))
    head = (
        RegisterTile(rows, vectors, lanes),
        sizes,
        offsets,
        table(n for axis in spans for span in axis for n in span),
    )
    scratch = (channels * taps + blocks * rows) * width
    idle = g.groups * tiles * width * blocks * rows - g.P
    real_rows, real_columns = (sum(last - first for first, last in axis) for axis in spans)
    moved = g.N * g.C * real_rows * real_columns
    return Layout(
        "im2col", im2col, head, *in_blocks(g.groups, rows), g.groups * tiles, scratch, idle, moved, cost(rows, vectors)
    )
