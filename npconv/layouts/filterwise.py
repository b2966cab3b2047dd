"""Layout of `npconv.kernels.filterwise`: how many pixels by how many filters a tile is, and the rows that a band has."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.calls import TileKernel
from npconv.kernels.filterwise import filterwise, multiply_filters
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.kernels.tile import TAPS_AHEAD
from npconv.layouts.layout import (
    Layout,
    as_given,
    check_shuffle,
    check_taps,
    in_blocks,
    pairs,
    simplified,
    tile_cycles,
)
from npconv.layouts.planes import (
    CYCLES_OF_A_UNIT,
    FAR_BYTES,
    PLANE_BYTES,
    X_BYTES,
    bands_and_parts,
    check_scratch,
    copied_cells,
    real_cells,
)

# What weights may take of the first-level cache that all tiles of a band meet before the next ones, and what the sums that wait.
WEIGHTS_BYTES = SUMS_BYTES = 16 * 1024
# Cycles to copy a vector of a row with its zeros, and to begin one.
CYCLES_OF_A_COPY, CYCLES_OF_A_ROW = 2, 6
# Cycles until a pixel comes, whose channel is far from the one before and whose image is too large for the second-level cache.
CYCLES_OF_A_FAR_PIXEL = 4
# The share of a row that a tail has to spare.
WORTH_A_TAIL = 0.03
# A stride that the tile's kernel was made for costs nothing; another one is multiplied with at every pixel.
KNOWN_STRIDES, CYCLES_OF_A_STRIDE = 4, 2


@dataclass(frozen=True, slots=True)
class Rows:
    """One way to convolve: tiles of `pixels` by `vectors` of filters, and rows in bands.

    Attributes
    ----------
    tail : int
        Pixels of the last tile of a row, or of the last rows where a tile has several.
    tile_rows : int
        Rows of outputs whose pixels make a tile: one, part of which it is, or several whole ones.
    copied : bool
        Whether the planes of a group are copied with their zeros, so that no tile reaches over the image.
    pitch : int
        Elements from one row of a plane to the next.
    overhang : int
        Elements that are read or written past a plane's last row.
    parts : int
        Parts of the filters that a band is met by apart from the others.
    """

    g: Geometry
    pixels: int
    vectors: int
    tail: int
    tile_rows: int
    lanes: int
    itemsize: int
    copied: bool
    pitch: int
    overhang: int
    band_rows: int
    parts: int

    @classmethod
    def of(cls, g: Geometry, tile: tuple[int, ...], lanes: int, itemsize: int, pieces: int) -> "Rows":
        """Cut the work of a group into at least so many pieces where that can be."""
        pixels, vectors, tail = tile
        tile_rows = rows_in(pixels, tail, g)
        blocks = -(-g.group_filters // (vectors * lanes))
        bands, parts = bands_and_parts(g, pieces, blocks)
        copied = any(sum(g.padding, ())) or pixels > tile_rows * g.OW
        pitch, overhang = g.W, 0
        if copied:
            left = g.padding[1][0]
            read = (g.OW - 1) * g.stride[1] + (g.KW - 1) * g.dilation[1] + 1
            first, last = real_cells(g.W, 1, -left, read)
            # The zeros past a row's end may be those before the next row's beginning.
            pitch = max(last, read - first)
            # Rows are copied with what follows them up to the next; behind the last, that is as much as the zeros before a row.
            overhang = max(read - pitch, first)
        rows = (PLANE_BYTES if copied else X_BYTES) // (g.group_channels * pitch * itemsize)
        most = max(1, min(-(-g.OH // bands), (rows - (g.KH - 1) * g.dilation[0]) // g.stride[0]))
        band_rows = min(g.OH, -(-g.OH // -(-g.OH // most) // tile_rows) * tile_rows)
        parts = max(parts, min(blocks, -(-pieces // -(-g.OH // band_rows))))
        return cls(g, pixels, vectors, tail, tile_rows, lanes, itemsize, copied, pitch, overhang, band_rows, parts)

    @property
    def bands(self) -> int:
        """Number of bands."""
        return -(-self.g.OH // self.band_rows)

    @property
    def plane_rows(self) -> int:
        """Rows of the image that a band reads."""
        return (self.band_rows - 1) * self.g.stride[0] + (self.g.KH - 1) * self.g.dilation[0] + 1

    @property
    def blocks(self) -> int:
        """Blocks of filters in a group."""
        return -(-self.g.group_filters // (self.vectors * self.lanes))

    @property
    def tiles(self) -> int:
        """Tiles of a band for each block of filters."""
        return -(-self.band_rows // self.tile_rows) * -(-self.g.OW // self.pixels)

    @property
    def depth(self) -> int:
        """Taps that all tiles of a band meet before the next ones: all, or as many as have weights that stay in the first-level cache."""
        weights = self.g.K * self.vectors * self.lanes * self.itemsize
        # A larger kernel than 1x1 meets pixels again and again: many sums that wait would take their place in the cache.
        many = self.g.KH * self.g.KW > 1 and self.sums * self.itemsize > SUMS_BYTES
        return self.g.K if many or self.tiles == 1 else -(-self.g.K // -(-weights // WEIGHTS_BYTES))

    @property
    def sums(self) -> int:
        """Outputs of all tiles of a band, for one block of filters."""
        return self.tiles * self.pixels * self.vectors * self.lanes

    @property
    def held(self) -> int:
        """Elements of scratch for the sums of a band that wait for the next taps."""
        return self.sums if self.depth < self.g.K else 0

    @property
    def tiles_and_tails(self) -> tuple[int, int]:
        """Tiles of a group for each block of filters, and tails besides."""
        length, rows = (self.g.OW, self.g.OH) if self.tile_rows == 1 else (self.g.OH * self.g.OW, 1)
        tails = 0 < length % self.pixels <= self.tail < self.pixels
        return rows * (-(-length // self.pixels) - tails), rows * tails

    @property
    def computed(self) -> int:
        """Outputs that all tiles of a group have."""
        tiles, tails = self.tiles_and_tails
        return (tiles * self.pixels + tails * self.tail) * self.blocks * self.vectors * self.lanes

    def cycles(self) -> float:
        """Estimate the cycles of all."""
        g, (tiles, tails) = self.g, self.tiles_and_tails
        multiplying = self.blocks * (
            tiles * self.cycles_of_a_tile(self.pixels) + tails * self.cycles_of_a_tile(self.tail)
        )
        copying = 0.0
        if self.copied:
            row = CYCLES_OF_A_ROW + CYCLES_OF_A_COPY * -(-self.pitch // self.lanes)
            copying = self.bands * self.parts * g.group_channels * self.plane_rows * row
        return g.N * g.groups * (multiplying + copying + self.bands * self.parts * CYCLES_OF_A_UNIT)

    def cycles_of_a_tile(self, pixels: int) -> float:
        """Estimate the cycles of a tile or a tail."""
        g = self.g
        each = CYCLES_OF_A_STRIDE * pixels if g.stride[1] > KNOWN_STRIDES else 0
        if g.KH * g.KW == 1 and g.group_channels * g.H * g.W * self.itemsize > FAR_BYTES:
            each += CYCLES_OF_A_FAR_PIXEL
        # A block of as many vectors as they have lanes is turned by an exchange of each with another as often as lanes can be halved.
        blocks = self.vectors * -(-pixels // self.lanes)
        turns = blocks * self.lanes * (self.lanes.bit_length() - 1)
        return tile_cycles(pixels, self.vectors, g.K) + g.K * each + turns


def rows_in(pixels: int, tail: int, g: Geometry) -> int:
    """Return how many whole rows of outputs make a tile, where a last one of `tail` pixels is all that is left; else 1."""
    rows, over = divmod(pixels, g.OW)
    if over or not 1 < rows <= g.OH or g.stride[1] > KNOWN_STRIDES:
        return 1
    return rows if tail == (g.OH % rows * g.OW or pixels) else 1


def tiles_for(g: Geometry, *, integer: bool) -> Iterator[tuple[int, int, int]]:
    """Yield the tiles that may be chosen: pixels, vectors of filters, and the pixels of a last one."""
    tiles = list(target().tiles(integer=integer))
    for pixels, vectors in tiles:
        yield pixels, vectors, pixels
        tails = sorted(tail for tail, as_wide in tiles if as_wide == vectors and tail < pixels)
        yield from ((pixels, vectors, tail) for tail in tails if rows_in(pixels, tail, g) > 1)
        # Else a tail has to be worth another kernel, for which somebody has to wait.
        left = g.OW % pixels if pixels < g.OW else 0
        enough = [tail for tail in tails if tail >= left > 0 and pixels - tail > WORTH_A_TAIL * g.OW]
        yield from ((pixels, vectors, tail) for tail in enough[:1])


def filterwise_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None, pieces: int = 1, shuffle: int = 1
) -> Layout:
    """Lay out tiles whose lanes are filters, each group in at least so many pieces of work where that can be."""
    g = simplified(geometry)
    check_shuffle("filterwise", g, shuffle)
    check_taps("filterwise", g)
    lanes, F = target().lanes(dtype.itemsize), g.group_filters
    tiles = [(*tile, tile[0])[:3]] if tile else tiles_for(g, integer=dtype.kind == "i")
    best = min((Rows.of(g, tile_of, lanes, dtype.itemsize, pieces) for tile_of in tiles), key=Rows.cycles)
    pixels, width = best.pixels, best.vectors * lanes
    (sh, sw), (dh, dw), ((top, _), (left, _)) = g.stride, g.dilation, g.padding
    plane = best.plane_rows * best.pitch + best.overhang if best.copied else g.H * g.W
    scratch = (g.group_channels * plane + pixels * sw) * best.copied + best.held + pixels * width
    check_scratch("filterwise", scratch, dtype)
    taps = [
        c * plane + kh * dh * best.pitch + kw * dw
        for c in range(g.group_channels)
        for kh in range(g.KH)
        for kw in range(g.KW)
    ]
    of_next = [tap + (pixels * sw if best.tile_rows == 1 else best.tile_rows * sh * best.pitch) for tap in taps]
    # Where a tile meets all taps, it asks for pixels some taps before it needs them; else for those of the next tile.
    asked = (taps + of_next)[min(TAPS_AHEAD, g.K) :] if best.depth == g.K else of_next
    units = g.N * g.groups * best.bands * best.parts
    sizes = (
        units, g.groups, best.bands, best.band_rows, g.group_channels, g.H, g.W, F, best.blocks, g.K, g.OH, g.OW,
        int(best.copied), best.pitch, plane, 1, 1, top, left, best.plane_rows, shuffle, sh, sw, best.parts, best.depth, best.held,
        best.tile_rows,
    )  # fmt: skip
    step = sw if sw <= KNOWN_STRIDES else 0
    window = RegisterTile(pixels, best.vectors, lanes, step=step, phases=best.tile_rows)
    tail = RegisterTile(
        best.tail, best.vectors, lanes, step=step, phases=best.tail // g.OW if best.tile_rows > 1 else 1
    )
    kernels = (
        *(TileKernel(multiply_filters, of, dtype) for of in (window, tail)),
        RegisterTile(lanes, 1, lanes),
    )
    tables = pairs(zip(taps, asked, strict=False)), pairs([(0, 0)])
    starts = [band * best.band_rows * sh for band in range(best.bands)]
    copied = best.parts * copied_cells(g, [(0, 0)] * best.copied, (1, 1), starts, best.plane_rows, best.pitch)
    idle = g.N * g.groups * best.computed - g.P
    layout = Layout(
        "filterwise", dtype, filterwise, window, (pixels, best.vectors, best.tail), (*kernels, (*sizes, 0), *tables),
        *in_blocks(g.groups, width), units, scratch, idle, copied, best.cycles(),
    )  # fmt: skip
    if g.N * best.bands > 1:
        return layout
    # Each block is met once, and can be packed then.
    packing = replace(
        layout, parts=(*kernels, (*sizes, 1), *tables), pack=as_given, scratch=scratch + g.K * width, spare=[]
    )
    return replace(layout, packing=packing)
