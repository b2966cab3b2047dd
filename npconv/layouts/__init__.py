"""How each method lays one geometry out for its kernel: tile, sizes, tables, packed weights, scratch, and what it will waste.

A layout is all that a kernel needs besides the arrays, and it depends on the geometry alone.
"""

from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.layouts.depthwise import depthwise_layout
from npconv.layouts.direct import direct_layout
from npconv.layouts.im2col import im2col_layout
from npconv.layouts.layout import Layout, NotServedError
from npconv.layouts.naive import naive_layout

__all__ = ["Layout", "NotServedError", "lay_out"]


def lay_out(
    geometry: Geometry, dtype: np.dtype[Any], method: str, bands: int = 1, tile: tuple[int, ...] | None = None
) -> Layout:
    """Return the layout of one method, by name.

    `tile` forces (rows, vectors) or (rows, vectors, tail) of the dense methods, (planes, vectors) of the depthwise one; `bands` asks
    for at least so many pieces of each plane.
    """
    if method == "naive":
        return naive_layout(geometry, dtype)
    if method == "im2col":
        return im2col_layout(geometry, dtype, tile)
    if method == "direct":
        return direct_layout(geometry, dtype, tile, bands)
    return depthwise_layout(geometry, dtype, tile, bands)
