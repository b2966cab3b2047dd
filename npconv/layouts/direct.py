"""Layout of `npconv.kernels.direct`: phase planes, offsets of the taps, bands of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.direct import direct
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts.layout import Layout, NotServedError, in_blocks, simplified, table, tile_cycles

# The planes of a band stay in the second-level cache while its filters pass over them.
PLANE_BYTES = 512 * 1024
# Beyond this a method that copies has no business copying.
SCRATCH_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PhasePlanes:
    """The planes that `direct` copies, with padding and stride taken out of them.

    Tap kh reads row ``kh*dh // sh`` of the phase ``kh*dh % sh``, from the output row on; columns likewise.
    """

    rows: list[tuple[int, int]]
    columns: list[tuple[int, int]]
    phases: list[tuple[int, int]]
    reach_rows: int
    pitch: int
    overhang: int

    @classmethod
    def of(cls, g: Geometry) -> "PhasePlanes":
        """Return the planes of a geometry, rows as close together as their zeros allow."""
        left = g.padding[1][0]
        (sh, sw), (dh, dw) = g.stride, g.dilation
        rows = [divmod(kh * dh, sh) for kh in range(g.KH)]
        columns = [divmod(kw * dw, sw) for kw in range(g.KW)]
        pitch = read_most = g.OW
        first_most = 0
        for phase in {b for _, b in columns}:
            read = g.OW + max(column for column, b in columns if b == phase)
            first, last = real_cells(g.W, sw, phase - left, read)
            # The zeros past a row's end may be those before the next row's beginning.
            pitch = max(pitch, last, read - first)
            read_most, first_most = max(read_most, read), max(first_most, first)
        phases = sorted({(a, b) for _, a in rows for _, b in columns})
        return cls(rows, columns, phases, max(row for row, _ in rows), pitch, max(read_most - pitch, first_most))


def real_cells(size: int, stride: int, start: int, cells: int) -> tuple[int, int]:
    """Return which of the cells i < `cells`, at i*stride + start of an axis, are on the image: the first and past the last."""
    first = min(max(0, -(start // stride)), cells)
    return first, max(first, min(cells, (size - 1 - start) // stride + 1))


def direct_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, int] | None = None, bands: int = 1
) -> Layout:
    """Lay out the convolution over an offset table, in at least `bands` bands of output rows where that can be."""
    g = simplified(geometry)
    lanes, F, integer = target().lanes(dtype.itemsize), g.group_filters, dtype.kind == "i"
    planes = PhasePlanes.of(g)
    padded = g.stride != (1, 1) or any(sum(g.padding, ()))
    flat_columns = (g.OH - 1) * (planes.pitch if padded else g.W) + g.OW

    def copies(vectors: int) -> bool:
        """Return whether planes are copied: to pad them, or since a vector is longer than all there is to read."""
        return padded or flat_columns < vectors * lanes

    def cost(rows: int, vectors: int) -> float:
        copied_rows = g.N * g.C * len(planes.phases) * (g.OH + planes.reach_rows) if copies(vectors) else 0
        tiles = g.N * g.groups * -(-flat_columns // (vectors * lanes)) * -(-F // rows)
        return copied_rows * (30 + planes.pitch / lanes) + tiles * tile_cycles(rows, vectors, g.K)

    rows, vectors = tile or min(target().tiles(integer=integer), key=lambda tile: cost(*tile))
    width, blocks = vectors * lanes, -(-F // rows)
    band_columns, bands, pitch, plane, plane_rows, offsets, copied = (
        copied_planes(g, planes, dtype, bands) if copies(vectors) else planes_of_x(g, width, bands)
    )
    scratch = (g.group_channels * len(planes.phases) * plane + width) * copies(vectors) + rows * width
    if scratch * dtype.itemsize > SCRATCH_BYTES:
        raise NotServedError(
            f"method 'direct' would copy the padded planes of a group, {scratch * dtype.itemsize} bytes, and it allows itself "
            f"{SCRATCH_BYTES}. Use method='im2col', which copies no planes."
        )
    units = g.N * g.groups * bands
    sizes = (
        units, g.groups, bands, band_columns, g.group_channels, g.H, g.W, F, blocks, g.K, g.OH, g.OW,
        int(copies(vectors)), pitch, plane, *g.stride, g.padding[0][0], g.padding[1][0], plane_rows,
    )  # fmt: skip
    head = (
        RegisterTile(rows, vectors, lanes),
        sizes,
        table(offsets),
        table(n for phase in planes.phases for n in phase),
    )
    ends = [min((band + 1) * band_columns - (pitch - g.OW), flat_columns) for band in range(bands)]
    tiles = sum(-(-(end - band * band_columns) // width) for band, end in enumerate(ends))
    idle = g.N * g.groups * tiles * width * blocks * rows - g.P
    packs = in_blocks(g.groups, rows)
    return Layout("direct", direct, head, *packs, units, scratch, idle, g.N * g.C * copied, cost(rows, vectors))


def copied_planes(
    g: Geometry, planes: PhasePlanes, dtype: np.dtype[Any], bands: int
) -> tuple[int, int, int, int, int, list[int], int]:
    """Return columns of a band, bands, pitch, plane, rows of a plane, offsets and elements copied, where planes are copied."""
    row_bytes = g.group_channels * len(planes.phases) * planes.pitch * dtype.itemsize
    band_rows = max(1, min(-(-g.OH // bands), PLANE_BYTES // row_bytes - planes.reach_rows))
    bands, plane_rows = -(-g.OH // band_rows), band_rows + planes.reach_rows
    plane = plane_rows * planes.pitch + planes.overhang
    offsets = [
        (c * len(planes.phases) + planes.phases.index((a, b))) * plane + row * planes.pitch + column
        for c in range(g.group_channels) for row, a in planes.rows for column, b in planes.columns
    ]  # fmt: skip
    (top, _), (left, _) = g.padding
    copied = 0
    for a, b in planes.phases:
        first, last = real_cells(g.W, g.stride[1], b - left, planes.pitch)
        for band in range(bands):
            r_first, r_last = real_cells(g.H, g.stride[0], band * band_rows * g.stride[0] + a - top, plane_rows)
            copied += (last - first) * (r_last - r_first)
    return band_rows * planes.pitch, bands, planes.pitch, plane, plane_rows, offsets, copied


def planes_of_x(g: Geometry, width: int, bands: int) -> tuple[int, int, int, int, int, list[int], int]:
    """Return the same numbers where x itself is read: bands of whole rows, or of any columns where rows do not matter."""
    dh, dw = g.dilation
    flat_columns = (g.OH - 1) * g.W + g.OW
    band_columns, bands = even_bands(flat_columns, g.W if g.W > g.OW else width, width, bands)
    offsets = [
        (c * g.H + kh * dh) * g.W + kw * dw for c in range(g.group_channels) for kh in range(g.KH) for kw in range(g.KW)
    ]
    return band_columns, bands, g.W, g.H * g.W, g.H, offsets, 0


def even_bands(columns: int, unit: int, shortest: int, bands: int) -> tuple[int, int]:
    """Cut columns into about `bands` bands, multiples of `unit`, none shorter than `shortest`; return their length and number."""
    pieces = -(-columns // unit)
    for wanted in range(min(bands, pieces), 0, -1):
        length = -(-pieces // wanted) * unit
        number = -(-columns // length)
        if columns - (number - 1) * length >= shortest:
            break
    return length, number
