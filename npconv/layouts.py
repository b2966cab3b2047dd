"""How each method lays one geometry out for its kernel: tile, sizes, tables, packed weights, scratch, and what it will waste.

A layout is all that a kernel needs besides the arrays. It depends on the geometry alone, so the layouts of recent geometries are kept.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import gcd
from typing import Any, TypeAlias

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.depthwise import depthwise
from npconv.kernels.direct import direct
from npconv.kernels.im2col import im2col
from npconv.kernels.naive import naive
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# A panel of im2col shares the first-level cache with the weights that stream past it; the planes of `direct` fit the second.
PANEL_BYTES = 24 * 1024
PLANE_BYTES = 512 * 1024
# Sums in flight that hide the latency of a multiply-add (4 cycles, 2 a cycle), with something to spare.
ENOUGH_SUMS = 20
# Beyond this a method that copies has no business copying.
SCRATCH_BYTES = 64 * 1024 * 1024


class NotServedError(ValueError):
    """A method cannot serve a geometry; the text says why and what can."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One method, ready for one geometry.

    Attributes
    ----------
    method : str
        Name of the method.
    kernel : callable
        Its compiled function, called as ``kernel(*head, x, w, bias, y, counter, tally, *workspace)``.
    head : tuple
        Register tile, sizes and tables.
    pack : callable
        Turns weights (O, C // groups, KH, KW) into the order in which the kernel reads them.
    pack_bias : callable
        Does the same for the bias.
    units : int
        Pieces of work that threads can take.
    scratch : int
        Elements of scratch for each thread.
    idle : int
        Outputs that are computed in lanes or rows of a tile and thrown away.
    moved : int
        Elements of the input that are copied.
    cycles : float
        Estimated time of one thread.
    """

    method: str
    kernel: Callable[..., None]
    head: tuple[Any, ...]
    pack: Callable[[Array], Array]
    pack_bias: Callable[[Array], Array]
    units: int
    scratch: int
    idle: int
    moved: int
    cycles: float

    @property
    def tile(self) -> RegisterTile:
        """The register tile."""
        tile: RegisterTile = self.head[0]
        return tile


def table(values: Iterable[int]) -> Array:
    """Return a read-only array of integers for a kernel."""
    array = np.array(list(values), np.int64)
    array.flags.writeable = False
    return array


def in_blocks(groups: int, rows: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return what packs weights and bias as [group][block of filters][k][row of the tile], zeros where a block has filters to spare."""

    def pack(weight: Array) -> Array:
        filters = weight.reshape(groups, weight.shape[0] // groups, -1)
        F, K = filters.shape[1:]
        blocks = -(-F // rows)
        packed = np.zeros((groups, blocks * rows, K), weight.dtype)
        packed[:, :F] = filters
        return np.ascontiguousarray(packed.reshape(groups, blocks, rows, K).swapaxes(2, 3)).reshape(-1)

    def pack_bias(bias: Array) -> Array:
        return pack(bias.reshape(-1, 1)) if bias.size else bias

    return pack, pack_bias


def as_given(array: Array) -> Array:
    """Return weights or bias in the order that the user gave them."""
    return array.reshape(-1)


def simplified(geometry: Geometry) -> Geometry:
    """Return the same convolution with the numbers that no longer matter set to one.

    A single output has no stride, a single tap no dilation; a pointwise convolution sees no rows, so its image is one long row.
    """
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    sh, sw = sh if geometry.OH > 1 else 1, sw if geometry.OW > 1 else 1
    dh, dw = dh if geometry.KH > 1 else 1, dw if geometry.KW > 1 else 1
    geometry = replace(geometry, stride=(sh, sw), dilation=(dh, dw))
    if (geometry.KH, geometry.KW, sh, sw) == (1, 1, 1, 1) and not any(sum(geometry.padding, ())):
        pixels = geometry.OH * geometry.OW
        if (geometry.H, geometry.W) == (geometry.OH, geometry.OW):
            geometry = replace(geometry, H=1, W=pixels, OH=1, OW=pixels)
    return geometry


def taps_on_image(size: int, k: int, stride: int, dilation: int, before: int, outputs: int) -> list[tuple[int, int]]:
    """Return for each tap of an axis the outputs, first and past the last, at which it meets the image."""
    spans = []
    for i in range(k):
        first = max(0, -((i * dilation - before) // stride))
        last = min(outputs, (size - 1 + before - i * dilation) // stride + 1)
        spans.append((min(first, outputs), max(last, min(first, outputs))))
    return spans


def axis_spans(geometry: Geometry) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return `taps_on_image` of both axes."""
    (top, _), (left, _) = geometry.padding
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    return (
        taps_on_image(geometry.H, geometry.KH, sh, dh, top, geometry.OH),
        taps_on_image(geometry.W, geometry.KW, sw, dw, left, geometry.OW),
    )


def tile_cycles(rows: int, vectors: int, taps: int) -> float:
    """Estimate the cycles of one dense tile: two multiply-adds a cycle, four cycles before a sum can be used again, and loads.

    A vector at an odd address crosses two cache lines and counts as two loads; each load delays the rest by a fifth of a cycle, which is
    what tiles of 8x3, 4x4, 6x4, 12x2 and 16x1 were measured to lose.
    """
    return taps * (max(rows * vectors / 2, 4) + (rows + 2 * vectors) / 5) + 20 + 3 * rows * vectors


def naive_layout(geometry: Geometry, dtype: np.dtype[Any]) -> Layout:
    """Lay out seven scalar loops."""
    g = simplified(geometry)
    (top, _), (left, _) = g.padding
    units = g.N * g.O
    sizes = (units, g.groups, g.group_channels, g.H, g.W, g.group_filters, g.KH, g.KW, g.OH, g.OW, *g.stride, *g.dilation, top, left)
    tile = RegisterTile(1, 1, 1)
    return Layout("naive", naive, (tile, sizes), as_given, as_given, units, 0, 0, 0, 10.0 * g.P * g.K)


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
    head = (RegisterTile(rows, vectors, lanes), sizes, offsets, table(n for axis in spans for span in axis for n in span))
    scratch = (channels * taps + blocks * rows) * width
    idle = g.groups * tiles * width * blocks * rows - g.P
    real_rows, real_columns = (sum(last - first for first, last in axis) for axis in spans)
    moved = g.N * g.C * real_rows * real_columns
    return Layout("im2col", im2col, head, *in_blocks(g.groups, rows), g.groups * tiles, scratch, idle, moved, cost(rows, vectors))


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
    if copies(vectors):
        layout = copied_planes(g, planes, dtype, bands)
    else:
        layout = planes_of_x(g, width, bands)
    band_columns, bands, pitch, plane, plane_rows, offsets, copied = layout
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
    head = (RegisterTile(rows, vectors, lanes), sizes, table(offsets), table(n for phase in planes.phases for n in phase))
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


def depthwise_layout(
    geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, int] | None = None, bands: int = 1
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
    most = max((v for v in range(1, 9) if target().fits(rows, v, integer=integer)), default=0)
    if most == 0:
        raise NotServedError(
            f"method 'depthwise' keeps {rows} rows of accumulators for a kernel of {g.KH} rows, more than this CPU has "
            "registers for. Use method='direct'."
        )
    vectors_of_row = -(-g.OW // lanes)

    def fits_planes(p: int, vectors: int) -> bool:
        return rows * p * vectors <= ENOUGH_SUMS and target().fits(rows, p * vectors, integer=integer)

    vectors = -(-vectors_of_row // -(-vectors_of_row // most))
    # Narrow rows leave the multipliers waiting for each other's sums: several planes at once keep them busy.
    planes = max(p for p in (1, 2, 4) if p == 1 or (g.C % p == 0 and g.group_filters == 1 and fits_planes(p, vectors)))
    planes, vectors = tile or (planes, vectors)
    stripes = -(-g.OW // (vectors * lanes))
    steps = -(-g.OH // classes)
    band_steps = -(-steps // min(bands, steps))
    bands = -(-steps // band_steps)
    multiplier = g.group_filters
    columns = axis_spans(g)[1]

    def real_lanes(ow: int, first: int, last: int) -> int:
        return sum(1 << lane for lane in range(lanes) if first <= ow + lane < last)

    sets = [
        real_lanes((stripe * vectors + v) * lanes, first, last)
        for stripe in range(stripes) for first, last in columns for v in range(vectors)
    ]  # fmt: skip
    sets += [real_lanes(v * lanes, 0, g.OW) for v in range(stripes * vectors)]
    units = g.N * g.C // planes * bands
    sizes = (
        units, bands, band_steps, g.C, multiplier, classes, g.H, g.W, g.OH, g.OW, g.KW, phases, g.KH, sh, sw, dh, dw, top, left,
    )  # fmt: skip

    def pack(weight: Array) -> Array:
        """Return [channel][phase][kw][row of the tile], the newest output's tap, kh = phase, in the last row."""
        taps = np.zeros((g.O, rows * phases, g.KW), weight.dtype)
        taps[:, : g.KH] = weight.reshape(g.O, g.KH, g.KW)
        return np.ascontiguousarray(taps.reshape(g.O, rows, phases, g.KW)[:, ::-1].transpose(0, 2, 3, 1)).reshape(-1)

    streams = sum(-(-(-(-(g.OH - row_class) // classes)) // band_steps) for row_class in range(min(classes, g.OH)))
    computed = (g.OH + (rows - 1) * streams) * stripes * vectors * lanes
    idle = g.N * g.O * (computed - g.OH * g.OW)
    each = g.KH * g.KW * max(vectors / 2, vectors / rows, 4 / rows / planes) + g.KW * vectors * (0 if left == 0 else 2) + 10
    head = (RegisterTile(rows, vectors, lanes, planes, min(sw, 2)), sizes, table(sets))
    return Layout("depthwise", depthwise, head, pack, as_given, units, 0, idle, 0, g.N * g.O * g.OH * stripes * each)


def even_bands(columns: int, unit: int, shortest: int, bands: int) -> tuple[int, int]:
    """Cut columns into about `bands` bands, multiples of `unit`, none shorter than `shortest`; return their length and number."""
    pieces = -(-columns // unit)
    for wanted in range(min(bands, pieces), 0, -1):
        length = -(-pieces // wanted) * unit
        number = -(-columns // length)
        if columns - (number - 1) * length >= shortest:
            break
    return length, number
