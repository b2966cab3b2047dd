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
from npconv.layouts.runs import KNOWN_STRIDES, Runs

# What weights may take of the first-level cache that all tiles of a band meet before the next ones, and what the sums that wait.
WEIGHTS_BYTES = SUMS_BYTES = 16 * 1024
# Cycles to copy a vector of a row with its zeros, and to begin one.
CYCLES_OF_A_COPY, CYCLES_OF_A_ROW = 2, 6
# Cycles until a pixel comes, whose channel is far from the one before and whose image is too large for the second-level cache.
CYCLES_OF_A_FAR_PIXEL = 4
# Cycles of a vector of weights where a band is one tile, so that each is used once and comes from the second-level cache, and of such a
# tile beside them.
CYCLES_OF_A_LONE_VECTOR, CYCLES_OF_A_LONE_TILE = 2.4, 40
# Cycles of a pixel where a stride is multiplied with that the tile does not know.
CYCLES_OF_A_STRIDE = 2


@dataclass(frozen=True, slots=True)
class Rows:
    """One way to convolve: tiles of pixels by `vectors` of filters, and rows in bands.

    Attributes
    ----------
    runs : Runs
        How outputs are cut into tiles.
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
    runs: Runs
    vectors: int
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
        runs = Runs.of(g, pixels, tail)
        blocks = -(-g.group_filters // (vectors * lanes))
        bands, parts = bands_and_parts(g, pieces, blocks)
        copied = any(sum(g.padding, ())) or pixels > runs.rows * g.OW
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
        band_rows = min(g.OH, -(-g.OH // -(-g.OH // most) // runs.rows) * runs.rows)
        parts = max(parts, min(blocks, -(-pieces // -(-g.OH // band_rows))))
        return cls(g, runs, vectors, lanes, itemsize, copied, pitch, overhang, band_rows, parts)

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
        return self.runs.in_rows(self.band_rows)

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
        return self.tiles * self.runs.pixels * self.vectors * self.lanes

    @property
    def held(self) -> int:
        """Elements of scratch for the sums of a band that wait for the next taps."""
        return self.sums if self.depth < self.g.K else 0

    @property
    def computed(self) -> int:
        """Outputs that all tiles of a group have."""
        return self.runs.computed() * self.blocks * self.vectors * self.lanes

    def cycles(self) -> float:
        """Estimate the cycles of all."""
        g = self.g
        multiplying = self.blocks * self.runs.cycles(self.cycles_of_a_tile)
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
        # A single pixel leaves no choice of what to read side by side.
        multiplying = tile_cycles(pixels, self.vectors if pixels > 1 else 1, g.K)
        each_vector = max(CYCLES_OF_A_LONE_VECTOR if self.tiles == 1 else 0, pixels / target().multiply_adds)
        multiplying = max(multiplying, g.K * self.vectors * each_vector + CYCLES_OF_A_LONE_TILE)
        return multiplying + g.K * each + turns


def tiles_for(g: Geometry, *, integer: bool) -> Iterator[tuple[int, int, int]]:
    """Yield the tiles that may be chosen: pixels, vectors of filters, and the pixels of a tail."""
    tiles = list(target().tiles(integer=integer))
    for pixels, vectors in tiles:
        as_wide = [others for others, width in tiles if width == vectors]
        yield from ((pixels, vectors, runs.tail) for runs in Runs.choices(g, pixels, as_wide))


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
    runs, width = best.runs, best.vectors * lanes
    (sh, sw), (dh, dw), ((top, _), (left, _)) = g.stride, g.dilation, g.padding
    plane = best.plane_rows * best.pitch + best.overhang if best.copied else g.H * g.W
    scratch = (g.group_channels * plane + runs.pixels * sw) * best.copied + best.held + runs.pixels * width
    check_scratch("filterwise", scratch, dtype)
    taps = [
        c * plane + kh * dh * best.pitch + kw * dw
        for c in range(g.group_channels)
        for kh in range(g.KH)
        for kw in range(g.KW)
    ]
    of_next = [tap + (runs.pixels * sw if runs.rows == 1 else runs.rows * sh * best.pitch) for tap in taps]
    # Where a tile meets all taps, it asks for pixels some taps before it needs them; else for those of the next tile.
    asked = (taps + of_next)[min(TAPS_AHEAD, g.K) :] if best.depth == g.K else of_next
    units = g.N * g.groups * best.bands * best.parts
    sizes = (
        units, g.groups, best.bands, best.band_rows, g.group_channels, g.H, g.W, F, best.blocks, g.K, g.OH, g.OW,
        int(best.copied), best.pitch, plane, 1, 1, top, left, best.plane_rows, shuffle, sh, sw, best.parts, best.depth, best.held,
        runs.rows,
    )  # fmt: skip
    window, tail = runs.register_tiles(best.vectors, lanes)
    kernels = (
        TileKernel(multiply_filters, window, dtype),
        TileKernel(multiply_filters, tail, dtype),
        RegisterTile(lanes, 1, lanes),
    )
    tables = pairs(zip(taps, asked, strict=False)), pairs([(0, 0)])
    starts = [band * best.band_rows * sh for band in range(best.bands)]
    copied = best.parts * copied_cells(g, [(0, 0)] * best.copied, (1, 1), starts, best.plane_rows, best.pitch)
    idle = g.N * g.groups * best.computed - g.P
    layout = Layout(
        "filterwise", dtype, filterwise, window, (runs.pixels, best.vectors, runs.tail), (*kernels, (*sizes, 0), *tables),
        *in_blocks(g.groups, width), units, scratch, idle, copied, best.cycles(),
    )  # fmt: skip
    if g.N * best.bands > 1:
        return layout
    # Each block is met once, and can be packed then.
    packing = replace(
        layout, parts=(*kernels, (*sizes, 1), *tables), pack=as_given, scratch=scratch + g.K * width, spare=[]
    )
    return replace(layout, packing=packing)
