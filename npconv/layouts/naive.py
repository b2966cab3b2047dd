"""Layout of `npconv.kernels.naive`: there is nothing to lay out."""

from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.naive import naive
from npconv.kernels.registers import RegisterTile
from npconv.layouts.layout import Layout, as_given, simplified


def naive_layout(geometry: Geometry, dtype: np.dtype[Any]) -> Layout:
    """Lay out seven scalar loops."""
    g = simplified(geometry)
    (top, _), (left, _) = g.padding
    units = g.N * g.O
    sizes = (
        units,
        g.groups,
        g.group_channels,
        g.H,
        g.W,
        g.group_filters,
        g.KH,
        g.KW,
        g.OH,
        g.OW,
        *g.stride,
        *g.dilation,
        top,
        left,
    )
    tile = RegisterTile(1, 1, 1)
    return Layout("naive", dtype, naive, tile, (1, 1), (sizes,), as_given, as_given, units, 0, 0, 0, 10.0 * g.P * g.K)
