"""The smallest geometry on which a mistake still shows."""

import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace

from npconv.geometry import Geometry, conv2d_geometry, output_size


@dataclass(frozen=True, slots=True, order=True)
class _Extents:
    """What a geometry can be built from, each as small as it likes; in the order in which it is made smaller."""

    N: int
    groups: int
    group_channels: int
    group_filters: int
    H: int
    W: int
    KH: int
    KW: int
    sh: int
    sw: int
    dh: int
    dw: int
    top: int
    bottom: int
    left: int
    right: int

    def geometry(self) -> Geometry | None:
        """Return the geometry, or None where an axis would have no output."""
        rows = (self.H, self.KH, self.sh, self.dh, self.top, self.bottom)
        columns = (self.W, self.KW, self.sw, self.dw, self.left, self.right)
        if output_size(*rows) < 1 or output_size(*columns) < 1:
            return None
        return conv2d_geometry(
            (self.N, self.groups * self.group_channels, self.H, self.W),
            (self.groups * self.group_filters, self.group_channels, self.KH, self.KW),
            stride=(self.sh, self.sw),
            padding=((self.top, self.bottom), (self.left, self.right)),
            dilation=(self.dh, self.dw),
            groups=self.groups,
        )


_ZEROS = ("top", "bottom", "left", "right")


def shrunk(geometry: Geometry, shows: Callable[[Geometry], bool], seconds: float) -> Geometry:
    """Return a geometry on which `shows` is still true and of which no single number can be made smaller.

    Parameters
    ----------
    geometry : Geometry
        Where it is true.
    shows : callable
        Whether the mistake shows on a smaller geometry.
    seconds : float
        Time for all of it; what is smallest by then is returned.

    Returns
    -------
    Geometry
        The smallest one found.

    Examples
    --------
    A mistake that shows wherever there are two groups or more:

    >>> large = conv2d_geometry((3, 12, 9, 8), (8, 3, 3, 2), stride=2, padding=1, groups=4)
    >>> small = shrunk(large, lambda geometry: geometry.groups > 1, 1.0)
    >>> small.x_shape, small.weight_shape, small.groups, small.stride
    ((1, 2, 1, 1), (2, 1, 1, 1), 2, (1, 1))
    """
    end = time.monotonic() + seconds
    g = geometry
    (sh, sw), (dh, dw), ((top, bottom), (left, right)) = g.stride, g.dilation, g.padding
    best = _Extents(
        *(g.N, g.groups, g.group_channels, g.group_filters, g.H, g.W, g.KH, g.KW),
        *(sh, sw, dh, dw, top, bottom, left, right),
    )
    while True:
        for candidate in _smaller(best):
            if time.monotonic() > end:
                return geometry
            smaller = candidate.geometry()
            if smaller is not None and shows(smaller):
                best, geometry = candidate, smaller
                break
        else:
            return geometry


def _smaller(extents: _Extents) -> Iterator[_Extents]:
    """Yield the same with one number smaller: the least that it can be, half, or one less; then with two, where one needs the other."""
    for name, value in zip(extents.__slots__, astuple(extents), strict=True):
        least = 0 if name in _ZEROS else 1
        for number in sorted({least, (least + value) // 2, value - 1}):
            if least <= number < value:
                yield replace(extents, **{name: number})
    # A smaller kernel can need less padding to have the same border, and a smaller image a smaller kernel.
    for n, k, p0, p1 in (("H", "KH", "top", "bottom"), ("W", "KW", "left", "right")):
        for names in ((k, p0, p1), (k, n)):
            values = {name: getattr(extents, name) - 1 for name in names}
            if all(value >= (0 if name in _ZEROS else 1) for name, value in values.items()):
                yield replace(extents, **values)
