"""Which executed operations met the image and which padding: measured, by the same walk over an image of ones."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from npconv.counts import OpCount
from npconv.geometry import Geometry
from npconv.layouts import lay_out
from npconv.workspace import Workspace

LARGEST_COUNT_IN_FLOAT32 = 2**24


@functools.lru_cache(maxsize=128)
def taps_on_image(
    geometry: Geometry, dtype: np.dtype[Any], method: str, planes: int, choice: tuple[int, ...]
) -> tuple[int, int]:
    """Return the real taps of all outputs of one plane, and its outputs with at least one.

    An image of ones with padding zeros, met by a kernel of ones, gives at each output the number of its real taps.
    """
    if geometry.KH * geometry.KW > LARGEST_COUNT_IN_FLOAT32:
        dtype = np.result_type(dtype, np.float64)
    one = replace(geometry, N=1, C=planes, O=planes, groups=planes)
    layout = lay_out(one, dtype, method, 1, choice)
    image, weight = np.ones(one.x_shape, dtype), layout.pack(np.ones(one.weight_shape, dtype))
    taps = np.empty(one.P, dtype)
    Workspace.of(1, layout.scratch, layout.dtype).run(layout.entry, (image, weight, np.empty(0, dtype), taps))
    plane = taps[: one.OH * one.OW]
    return int(plane.sum(dtype=np.float64)), int(np.count_nonzero(plane))


def useful(
    geometry: Geometry, dtype: np.dtype[Any], method: str, planes: int, choice: tuple[int, ...], *, biased: bool
) -> OpCount:
    """Return the operations of a convolution that meet the image, as its method finds them with planes that share a tile and the tile."""
    real_taps, covered = taps_on_image(geometry, dtype, method, planes, choice)
    mul = real_taps * geometry.N * geometry.O * geometry.group_channels
    return OpCount(mul=mul, add=mul - (0 if biased else covered * geometry.N * geometry.O))
