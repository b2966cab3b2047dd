"""The smallest geometry on which two mistakes differ, or a mistake and a right kernel."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from npconv.geometry import Geometry, output_size
from npconv.judge.call import Call
from npconv.judge.fault import Fault
from npconv.judge.reading import Reading, addressed, plain, same


class _Axis(NamedTuple):
    """One axis of an image, and how a filter goes along it."""

    cells: int
    taps: int
    stride: int
    dilation: int
    padding: tuple[int, int]

    @property
    def unusual(self) -> int:
        """How many of stride, dilation and padding are not the usual ones."""
        return (self.stride > 1) + (self.dilation > 1) + (self.padding != (0, 0))


# Subjects that need several channels, filters or images, and no rows or columns.
OF_CHANNELS = {"groups", "shuffle", "channels", "filters", "batch", "bias"}


@cache
def separating(one: Fault, other: Fault) -> Geometry | None:
    """Return the smallest geometry of those searched on which two mistakes add up different terms; None if there is none.

    Where possible both differ from a right kernel on it as well.
    """
    only_one = None
    channels_alone = {one.subject, other.subject} <= OF_CHANNELS
    for geometry in geometries():
        if channels_alone and geometry.C == geometry.O == geometry.N == 1:
            continue
        right = reading_of(geometry)
        first, second = one.terms(right), other.terms(right)
        if same(first, second):
            continue
        if not (same(first, addressed(right)) or same(second, addressed(right))):
            return geometry
        only_one = only_one or geometry
    return only_one


def reading_of(geometry: Geometry) -> Reading:
    """Return what a right kernel reads on this geometry, with a bias; the numbers do not matter."""
    x, weight, bias = (np.ones(shape, np.int64) for shape in (geometry.x_shape, geometry.weight_shape, (geometry.O,)))
    return plain(Call(x, weight, bias, geometry))


@cache
def geometries() -> tuple[Geometry, ...]:
    """Return geometries from the smallest up: by the number of elements in image, filters and output."""
    return tuple(sorted(_all(), key=lambda g: (g.N * g.C * g.H * g.W + g.O * g.K + g.P, g.P * g.K)))


def described(geometry: Geometry) -> str:
    """Return a geometry as the call that has it.

    >>> from npconv.geometry import conv2d_geometry
    >>> described(conv2d_geometry((1, 1, 1, 2), (1, 1, 1, 2)))
    'x (1, 1, 1, 2), weight (1, 1, 1, 2)'
    """
    g = geometry
    usual = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    options = {name: getattr(g, name) for name in usual if getattr(g, name) != usual[name]}
    return ", ".join(
        [f"x {g.x_shape}, weight {g.weight_shape}", *(f"{name} {value}" for name, value in options.items())]
    )


def _all() -> Iterator[Geometry]:
    """Yield the geometries that are searched: pairs of plain axes, any axis beside one cell, a few axes with any channels."""
    cell, axes = _Axis(1, 1, 1, 1, (0, 0)), _axes()
    plain_axes = [axis for axis in axes if axis.taps <= 2 and axis.unusual <= 1]
    for rows, columns in dict.fromkeys(
        [*product(plain_axes, repeat=2), *product(axes, [cell]), *product([cell], axes)]
    ):
        yield _geometry((1, 1, 1, 1), rows, columns)
    few = [_Axis(n, k, 1, 1, (0, after)) for n, k, after in ((1, 1, 0), (2, 1, 0), (2, 2, 0), (3, 2, 0), (2, 2, 1))]
    for channels in product((1, 2), (1, 2, 3, 4, 5), (1, 2, 3), (1, 2, 3)):
        for rows, columns in product(few, repeat=2):
            if channels != (1, 1, 1, 1):
                yield _geometry(channels, rows, columns)


def _axes() -> list[_Axis]:
    """Return axes of up to four cells and two outputs: cells, taps, stride, dilation and padding."""
    paddings = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2))
    axes = [_Axis(*axis) for axis in product(range(1, 5), (1, 2, 3), (1, 2), (1, 2), paddings)]
    return [axis for axis in axes if axis[1] >= axis[3] and 1 <= output_size(*axis[:4], *axis[4]) <= 2]


def _geometry(channels: tuple[int, ...], rows: _Axis, columns: _Axis) -> Geometry:
    N, g, I, O = channels
    (H, KH, sh, dh, ph), (W, KW, sw, dw, pw) = rows, columns
    OH, OW = (output_size(*axis[:4], *axis[4]) for axis in (rows, columns))
    return Geometry(N, g * I, H, W, g * O, KH, KW, (sh, sw), (ph, pw), (dh, dw), g, OH, OW)
