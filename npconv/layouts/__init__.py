"""How each method lays one geometry out for its kernel: tile, sizes, tables, packed weights, scratch, and what it will waste.

A layout is all that a kernel needs besides the arrays, and what it says depends on the geometry alone.
"""

from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.layouts.depthwise import depthwise_layout
from npconv.layouts.direct import direct_layout
from npconv.layouts.filterwise import filterwise_layout
from npconv.layouts.im2col import im2col_layout
from npconv.layouts.layout import Layout, NotServedError
from npconv.layouts.naive import naive_layout

__all__ = ["Layout", "NotServedError", "lay_out"]


def lay_out(
    geometry: Geometry,
    dtype: np.dtype[Any],
    method: str,
    pieces: int = 1,
    tile: tuple[int, ...] | None = None,
    shuffle: int = 1,
) -> Layout:
    """Return the layout of one method, by name.

    `tile` forces (rows, vectors) or (rows, vectors, tail) of the dense methods, (pixels, vectors) of the filterwise and (planes, vectors)
    of the depthwise one; `pieces` asks for at least so many units of work in each group; `shuffle` is the number of groups in which the
    channels of the result are shuffled.
    """
    if method == "im2col":
        return im2col_layout(geometry, dtype, tile, pieces, shuffle)
    if method == "direct":
        return direct_layout(geometry, dtype, tile, pieces, shuffle)
    if method == "filterwise":
        return filterwise_layout(geometry, dtype, tile, pieces, shuffle)
    if shuffle > 1:
        raise NotServedError(f"method '{method}' stores channels in their order. Use channel_shuffle afterwards.")
    return naive_layout(geometry, dtype) if method == "naive" else depthwise_layout(geometry, dtype, tile, pieces)
