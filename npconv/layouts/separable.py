"""Layout of `npconv.kernels.separable`: how many rows a band has, and the tile that all pointwise filters meet it with."""

from dataclasses import dataclass, replace

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.separable import separable
from npconv.kernels.targets import target
from npconv.layouts.depthwise import streamed
from npconv.layouts.layout import Array, Layout, NotServedError, Tiling, check_taps, in_blocks, pairs, table
from npconv.layouts.planes import CYCLES_OF_A_UNIT

# What a band of depthwise outputs may take of the second-level cache, which the weights pass through too.
BAND_BYTES = 256 * 1024
# Heights of a band that are tried at most, or a few more.
MOST_HEIGHTS = 32
# Planes that lie this far apart compete for the same places in the first-level cache.
SAME_PLACE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class OnePass:
    """One way to do both: depthwise rows that stream past a window, in bands of so many, and the tiles that meet each band.

    Attributes
    ----------
    g, h : Geometry
        The depthwise part, and the pointwise one.
    window : Layout
        That of the depthwise part alone.
    """

    g: Geometry
    h: Geometry
    window: Layout
    rows: int
    tiling: Tiling

    @property
    def bands(self) -> int:
        """Bands of an image."""
        return -(-self.g.OH // self.rows)

    @property
    def columns(self) -> int:
        """Outputs of a band in each plane."""
        return self.rows * self.g.OW

    @property
    def last(self) -> int:
        """Outputs of the last band."""
        return (self.g.OH - (self.bands - 1) * self.rows) * self.g.OW

    @property
    def blocks(self) -> int:
        """Blocks of pointwise filters."""
        return -(-self.h.O // self.tiling.rows)

    @property
    def plane(self) -> int:
        """Elements from one plane of a band to the next."""
        plane = -(-self.columns // self.tiling.lanes) * self.tiling.lanes
        same_place = plane * self.window.dtype.itemsize % SAME_PLACE_BYTES == 0
        return plane + self.tiling.lanes if same_place else plane

    @property
    def streamed(self) -> int:
        """Rows that stream past the window: every band begins with as many as fill it."""
        return self.g.OH + self.bands * (self.window.tile.rows - 1)

    @property
    def stripes(self) -> int:
        """Windows side by side in a row."""
        return -(-self.g.OW // (self.window.tile.vectors * self.tiling.lanes))

    @property
    def idle(self) -> tuple[int, int]:
        """Outputs of the depthwise part, and of the pointwise one, that are computed and thrown away."""
        width = self.stripes * self.window.tile.vectors * self.tiling.lanes
        computed = (self.bands - 1) * self.tiling.computed(self.columns) + self.tiling.computed(self.last)
        return (
            self.g.N * self.g.O * self.streamed * width - self.g.P,
            self.g.N * computed * self.blocks * self.tiling.rows - self.h.P,
        )

    def cycles(self) -> float:
        """Estimate the cycles of all."""
        tiles = (self.bands - 1) * self.tiling.cycles(self.columns, self.h.K) + self.tiling.cycles(self.last, self.h.K)
        alone = self.g.OH + self.window.tile.rows - 1
        return self.window.cycles * self.streamed / alone + self.g.N * (
            self.blocks * tiles + self.bands * CYCLES_OF_A_UNIT
        )


def one_pass(depthwise: Geometry, pointwise: Geometry, dtype: np.dtype[np.generic], pieces: int = 1) -> OnePass:
    """Return the best way to do both in one pass, in at least so many units of work where that can be."""
    g, h = depthwise, pointwise
    check_taps("separable", h)
    window = streamed(g, dtype)
    if window.parts[1][5] > 1:
        raise NotServedError(
            "one pass takes the rows of the image in their order, and this dilation does not. Use two calls."
        )
    lanes = target().lanes(dtype.itemsize)
    high = min(g.OH, max(1, min(BAND_BYTES // (h.C * g.OW * dtype.itemsize), -(-g.OH * g.N // pieces))))
    ways = [
        OnePass(g, h, window, rows, Tiling.of(rows * g.OW, tile, lanes))
        for rows in range(high, high // 2, -max(1, high // MOST_HEIGHTS))
        for tile in target().tiles(integer=dtype.kind == "i")
    ]
    # No tile is wider than the shortest band: it would read what nobody wrote.
    ways = [way for way in ways if way.tiling.vectors * lanes <= way.last]
    if not ways:
        raise NotServedError(f"a band of {high} rows of {g.OW} outputs is shorter than a vector. Use two calls.")
    return min(ways, key=OnePass.cycles)


def separable_layout(way: OnePass) -> Layout:
    """Lay out both parts as one method."""
    g, h, window, tiling, plane = way.g, way.h, way.window, way.tiling, way.plane
    kernel_of_rows, window_sizes, sets = window.parts
    # The image of the pointwise part is what the depthwise part writes: copied planes, to `multiply_band`.
    sizes = (
        g.N * way.bands, 1, way.bands, way.columns, h.C, g.OH, g.OW, h.O, way.blocks, h.K, g.OH, g.OW, 1, g.OW, plane, 1, 1, 0, 0,
        way.rows, 1, 1,
    )  # fmt: skip
    of_rows = window.pack(np.zeros(g.weight_shape, window.dtype)).size
    pack_filters, pack_bias = in_blocks(1, tiling.rows)

    def pack(depthwise_weight: Array, pointwise_weight: Array) -> Array:
        """Return the depthwise weights, then the pointwise ones."""
        return np.concatenate([window.pack(depthwise_weight), pack_filters(pointwise_weight)])

    parts = (
        *tiling.kernels(window.dtype), kernel_of_rows, sizes, (*window_sizes, way.stripes, of_rows),
        pairs((c * plane, 0) for c in range(h.C)), sets, table([]), np.empty(0, window.dtype),
    )  # fmt: skip
    width = tiling.vectors * tiling.lanes
    return replace(
        window, method="separable", kernel=separable, choice=(way.rows, *tiling.choice), parts=parts, pack=pack, pack_bias=pack_bias,
        units=g.N * way.bands, scratch=h.C * plane + width + tiling.rows * width, idle=sum(way.idle), cycles=way.cycles(), spare=[],
    )  # fmt: skip
