"""How the image is seen by the methods that read it through offsets: as it is, or as planes copied with their zeros."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.targets import target
from npconv.layouts.layout import MOST_SETS, Array, NotServedError

# What a band reads stays in the second-level cache while one block of filters after another passes over it: planes, or x itself.
PLANE_BYTES = 512 * 1024
X_BYTES = 1024 * 1024
# Of a larger image little is left in that cache from one layer to the next.
FAR_BYTES = 1280 * 1024
# Beyond this a method that copies has no business copying.
SCRATCH_BYTES = 64 * 1024 * 1024
# Offsets of taps farther from the image than this would leave what indices can hold.
FARTHEST = 2**60
# Cycles to begin copying a run of neighbours, and to put a run of a tile in its place.
CYCLES_OF_A_RUN = 12
# Cycles to claim a unit of work and to find out where it lies.
CYCLES_OF_A_UNIT = 200


@dataclass(frozen=True, slots=True)
class Planes:
    """How `direct` sees the image: planes in which the outputs of a row follow one another at every tap.

    Attributes
    ----------
    views : list of (int, int)
        A copied plane for each: the row and the column of the padded image that its first cell holds. None where x itself is read.
    rows, columns : list of (int, int)
        For each row and column of the kernel where it reads: the row or column of the plane, and that of the view.
    pitch : int
        Cells from one row of a plane to the next.
    overhang : int
        Cells that are read past a plane's last row.
    masked : bool
        Whether x itself is read and taps reach over it: then only lanes that are inside the image are read.
    """

    views: list[tuple[int, int]]
    rows: list[tuple[int, int]]
    columns: list[tuple[int, int]]
    pitch: int
    overhang: int
    masked: bool = False

    @property
    def reach(self) -> int:
        """Rows of a plane that a band needs below its own."""
        return max(row for row, _ in self.rows)

    @classmethod
    def of_x(cls, g: Geometry) -> "Planes":
        """Return x itself, where there is no stride."""
        (dh, dw), ((top, _), (left, _)) = g.dilation, g.padding
        rows, columns = [(kh * dh - top, 0) for kh in range(g.KH)], [(kw * dw - left, 0) for kw in range(g.KW)]
        return cls([], rows, columns, g.W, 0, any(sum(g.padding, ())))

    @classmethod
    def padded(cls, g: Geometry) -> "Planes":
        """Return planes with zeros around them, one for each phase of the stride, rows as close together as their zeros allow."""
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
        return cls(views_of(rows, columns), rows, columns, pitch, max(read_most - pitch, first_most))

    @classmethod
    def shifted(cls, g: Geometry) -> "Planes":
        """Return a plane for each column of the kernel, shifted by it: each as wide as the output, so that no lane is wasted."""
        (sh, _), (dh, dw) = g.stride, g.dilation
        rows = [divmod(kh * dh, sh) for kh in range(g.KH)]
        columns = [(0, kw * dw) for kw in range(g.KW)]
        return cls(views_of(rows, columns), rows, columns, g.OW, 0)

    def plane(self, band_rows: int, lanes: int) -> int:
        """Return the cells of a plane for a band of output rows, a whole number of vectors."""
        return -(-((band_rows + self.reach) * self.pitch + self.overhang) // lanes) * lanes

    def copy_cycles(self, g: Geometry, band_rows: int, lanes: int) -> float:
        """Estimate the cycles that copying a channel's planes for one band takes."""
        rows = band_rows + self.reach
        runs = 1 if (g.W, *g.stride) == (self.pitch, 1, 1) else rows
        gaps = 0 if (self.pitch, g.W) == (g.OW, g.OW) and len(self.columns) == 1 else rows / 2
        # Pixels two apart are read two vectors at a time, others one by one.
        per_vector = {1: 2, 2: 4}.get(g.stride[1], lanes)
        return len(self.views) * ((2 + runs + gaps) * CYCLES_OF_A_RUN + rows * self.pitch / lanes * per_vector)


def bands_and_parts(g: Geometry, pieces: int, blocks: int) -> tuple[int, int]:
    """Return into how many bands of the image, and into how many parts of the filters, to cut the work of a group.

    Each thread reads what it meets of the image and of the weights: the larger of both is what is cut.
    """
    if g.group_filters * g.K < g.group_channels * g.H * g.W:
        return pieces, 1
    parts = min(pieces, blocks)
    return -(-pieces // parts), parts


def views_of(rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the views that taps use."""
    return sorted({(a, b) for _, a in rows for _, b in columns})


def real_cells(size: int, stride: int, start: int, cells: int) -> tuple[int, int]:
    """Return which of the cells i < `cells`, at i*stride + start of an axis, are on the image: the first and past the last."""
    first = min(max(0, -(start // stride)), cells)
    return first, max(first, min(cells, (size - 1 - start) // stride + 1))


def copied_cells(
    g: Geometry, views: list[tuple[int, int]], step: tuple[int, int], starts: Iterable[int], rows: int, pitch: int
) -> int:
    """Return how many elements of x are copied: to each view and band, whose first row is given, planes of every `step`-th cell."""
    (top, _), (left, _) = g.padding
    copied = 0
    for a, b in views:
        first, last = real_cells(g.W, step[1], b - left, pitch)
        for start in starts:
            r_first, r_last = real_cells(g.H, step[0], start + a - top, rows)
            copied += (last - first) * (r_last - r_first)
    return g.N * g.C * copied


def check_scratch(method: str, elements: int, dtype: np.dtype[Any]) -> None:
    """Refuse to copy planes that have no place in a cache."""
    if elements * dtype.itemsize > SCRATCH_BYTES:
        raise NotServedError(
            f"method '{method}' would copy the padded planes of a group, {elements * dtype.itemsize} bytes, and it allows itself "
            f"{SCRATCH_BYTES}. Use method='im2col', which copies no planes."
        )


def has_sets(g: Geometry, lanes: int) -> bool:
    """Return whether x may be read through sets of lanes: the CPU has registers for them, they are few, and no tap is out of reach."""
    few = g.KH * g.KW * -(-g.OH * g.W // lanes) <= MOST_SETS
    near = max(d * k + sum(p) for d, k, p in zip(g.dilation, (g.KH, g.KW), g.padding, strict=True)) * g.W <= FARTHEST
    return target().vector_bytes == 64 and few and near


def real_lanes(g: Geometry, vectors: int, lanes: int) -> Array:
    """Return for each tap, vector of flat columns of x and lane whether it is inside the image."""
    (top, _), (left, _) = g.padding
    rows, columns = np.arange(g.OH), np.arange(g.W)
    real = np.zeros((g.KH * g.KW, vectors * lanes), bool)
    for kh in range(g.KH):
        h = rows + kh * g.dilation[0] - top
        for kw in range(g.KW):
            w = columns + kw * g.dilation[1] - left
            # After the last output of the last row there is nothing to read.
            inside = (((h >= 0) & (h < g.H))[:, None] & (w >= 0) & (w < g.W)).reshape(-1)[: real.shape[1]]
            real[kh * g.KW + kw, : inside.size] = inside
    return real.reshape(-1, lanes)


def sets_of(real: Array) -> Array:
    """Return sets of lanes, as bits."""
    sets = np.zeros(len(real), np.int64)
    for lane, inside in enumerate(real.T):
        sets |= inside.astype(np.int64) << lane
    return sets
