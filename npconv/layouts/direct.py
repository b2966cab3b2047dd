"""Layout of `npconv.kernels.direct`: how the image is seen, offsets of the taps, bands of rows."""

from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.direct import direct
from npconv.kernels.targets import target
from npconv.layouts.layout import (
    Layout,
    Tiling,
    check_shuffle,
    check_taps,
    in_blocks,
    pairs,
    simplified,
    table,
)
from npconv.layouts.planes import (
    CYCLES_OF_A_RUN,
    CYCLES_OF_A_UNIT,
    FAR_BYTES,
    PLANE_BYTES,
    X_BYTES,
    Planes,
    bands_and_parts,
    check_scratch,
    copied_cells,
    has_sets,
    real_lanes,
    sets_of,
)

# How much longer tiles take whose pixels come from beyond the second-level cache, each channel from another place.
SLOWER_FROM_AFAR = 1.15
# More bytes of weights than these come from memory for every band, and each of them costs so many cycles.
FAR_WEIGHT_BYTES, CYCLES_OF_A_FAR_WEIGHT = 8704 * 1024, 0.3
# Cycles to read a vector through a set of lanes, beyond those of reading it whole.
CYCLES_OF_A_SET = 0.75


@dataclass(frozen=True, slots=True)
class Bands:
    """One way to convolve: planes, how they are cut into bands of flat columns, and the bands into tiles; and parts of the filters."""

    g: Geometry
    planes: Planes
    columns: int
    number: int
    tiling: Tiling
    itemsize: int
    parts: int

    @classmethod
    def of(cls, g: Geometry, planes: Planes, tile: tuple[int, ...], lanes: int, itemsize: int, pieces: int) -> "Bands":
        """Cut the work of a group into at least so many pieces where that can be."""
        width, blocks = tile[1] * lanes, -(-g.group_filters // tile[0])
        bands, parts = bands_and_parts(g, pieces, blocks)
        if planes.views:
            row_bytes = g.group_channels * len(planes.views) * planes.pitch * itemsize
            most = max(1, min(-(-g.OH // bands), PLANE_BYTES // row_bytes - planes.reach))
            rows = -(-g.OH // -(-g.OH // most))
            columns, number = rows * planes.pitch, -(-g.OH // rows)
        else:
            # Bands of whole rows, or of any columns where rows do not matter; sets of lanes begin with a vector.
            flat_columns = (g.OH - 1) * g.W + g.OW
            bands = max(bands, -(-g.group_channels * g.H * g.W * itemsize // X_BYTES))
            unit = width if g.W == g.OW else lcm(g.W, lanes) if planes.masked else g.W
            columns, number = even_bands(flat_columns, unit, 1 if planes.masked else width, bands)
        filled = min(columns - (planes.pitch - g.OW), (g.OH - 1) * planes.pitch + g.OW)
        parts = max(parts, min(blocks, -(-pieces // number)))
        return cls(g, planes, columns, number, Tiling.of(filled, tile, lanes), itemsize, parts)

    @property
    def rows(self) -> int:
        """Output rows of a band that is copied."""
        return self.columns // self.planes.pitch

    def lengths(self) -> tuple[int, int]:
        """Return the columns of a band that outputs are in, and those of the last."""
        flat_columns = (self.g.OH - 1) * self.planes.pitch + self.g.OW
        usual = self.columns - (self.planes.pitch - self.g.OW)
        return min(usual, flat_columns), flat_columns - (self.number - 1) * self.columns

    def cycles(self) -> float:
        """Estimate the cycles of all."""
        g, (usual, last), tiling = self.g, self.lengths(), self.tiling
        blocks = -(-g.group_filters // tiling.rows)
        tiles = (self.number - 1) * tiling.cycles(usual, g.K) + tiling.cycles(last, g.K)
        if self.planes.masked:
            tiles += CYCLES_OF_A_SET * g.K * self.computed() / tiling.lanes
        far = g.group_channels * g.H * g.W * self.itemsize > FAR_BYTES
        if g.KH * g.KW == 1 and far and not self.planes.views:
            tiles *= SLOWER_FROM_AFAR
        copying = storing = 0.0
        if self.planes.views:
            copying = self.number * self.parts * g.group_channels * self.planes.copy_cycles(g, self.rows, tiling.lanes)
        if self.planes.pitch > g.OW:
            segments = g.OH * (1 + g.OW / (tiling.vectors * tiling.lanes))
            storing = g.group_filters * segments * CYCLES_OF_A_RUN
        weights = g.group_filters * g.K * self.itemsize
        streaming = self.number * weights * CYCLES_OF_A_FAR_WEIGHT if weights > FAR_WEIGHT_BYTES else 0
        units = self.number * self.parts * CYCLES_OF_A_UNIT
        return g.N * g.groups * (blocks * tiles + copying + storing + streaming + units)

    def computed(self) -> int:
        """Return how many columns all tiles of one plane have."""
        usual, last = self.lengths()
        return (self.number - 1) * self.tiling.computed(usual) + self.tiling.computed(last)


def direct_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None, pieces: int = 1, shuffle: int = 1
) -> Layout:
    """Lay out the convolution over an offset table, each group in at least so many pieces of work where that can be."""
    g = simplified(geometry)
    check_shuffle("direct", g, shuffle)
    check_taps("direct", g)
    lanes, F = target().lanes(dtype.itemsize), g.group_filters
    tiles = [tile] if tile else list(target().tiles(integer=dtype.kind == "i"))
    ways = [
        Bands.of(g, planes, tile_of, lanes, dtype.itemsize, pieces)
        for tile_of in tiles
        for planes in planes_for(g, tile_of[1] * lanes, lanes)
    ]
    best = min(ways, key=Bands.cycles)
    planes, tiling = best.planes, best.tiling
    rows, width, blocks = tiling.rows, tiling.vectors * lanes, -(-F // tiling.rows)
    plane_rows = best.rows + planes.reach if planes.views else g.H
    plane = planes.plane(best.rows, lanes) if planes.views else g.H * g.W
    number = max(1, len(planes.views))
    scratch = (g.group_channels * number * plane + width) * bool(planes.views) + rows * width
    check_scratch("direct", scratch, dtype)
    views = planes.views or [(0, 0)]
    flat_columns = (g.OH - 1) * g.W + g.OW
    vectors = -(-flat_columns // lanes) + tiling.vectors
    offsets = [
        ((c * number + views.index((a, b))) * plane + row * planes.pitch + column, (kh * g.KW + kw) * vectors)
        for c in range(g.group_channels)
        for kh, (row, a) in enumerate(planes.rows)
        for kw, (column, b) in enumerate(planes.columns)
    ]
    real = sets_of(real_lanes(g, vectors, lanes)) if planes.masked else np.empty(0, np.int64)
    units = g.N * g.groups * best.number * best.parts
    sizes = (
        units, g.groups, best.number, best.columns, g.group_channels, g.H, g.W, F, blocks, g.K, g.OH, g.OW,
        int(bool(planes.views)), planes.pitch, plane, *g.stride, g.padding[0][0], g.padding[1][0], plane_rows,
        shuffle, best.parts,
    )  # fmt: skip
    parts = (*tiling.kernels(dtype, masked=planes.masked), sizes, pairs(offsets), pairs(planes.views), table(real))
    idle = g.N * g.groups * best.computed() * blocks * rows - g.P
    starts = [band * best.rows * g.stride[0] for band in range(best.number)]
    copied = best.parts * copied_cells(g, planes.views, g.stride, starts, plane_rows, planes.pitch)
    wide = tiling.tile(tiling.vectors, masked=planes.masked)
    return Layout(
        "direct", dtype, direct, wide, tiling.choice, parts, *in_blocks(g.groups, rows), units, scratch, idle,
        copied, best.cycles(),
    )  # fmt: skip


def planes_for(g: Geometry, width: int, lanes: int) -> list[Planes]:
    """Return the ways to see the image for a tile of this width."""
    if g.stride == (1, 1):
        of_x = Planes.of_x(g)
        if not of_x.masked and width <= (g.OH - 1) * g.W + g.OW:
            # No zeros to put around x, and no tile wider than all there is to read.
            return [of_x]
        if of_x.masked and g.OW <= g.W and has_sets(g, lanes):
            return [of_x, Planes.padded(g), Planes.shifted(g)]
    return [Planes.padded(g), Planes.shifted(g)]


def even_bands(columns: int, unit: int, shortest: int, bands: int) -> tuple[int, int]:
    """Cut columns into about `bands` bands, multiples of `unit`, none shorter than `shortest`; return their length and number."""
    pieces = -(-columns // unit)
    lengths = (-(-pieces // wanted) * unit for wanted in range(min(bands, pieces), 0, -1))
    return next((n, -(-columns // n)) for n in lengths if columns - (columns - 1) // n * n >= shortest)
