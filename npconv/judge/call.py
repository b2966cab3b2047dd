"""The convolution that was asked for, as the judge sees it: arrays, and options that fit them."""

from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from npconv.arguments import PaddingLike, PairLike
from npconv.arrays import as_array, as_bias, result_dtypes
from npconv.geometry import Geometry, conv2d_geometry
from npconv.memory import Array, DType


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One convolution that was asked for; `checked_call` makes it.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        Images, C-contiguous and in this machine's byte order, as the other arrays are.
    weight : ndarray, shape (O, C // groups, KH, KW)
        Filters.
    bias : ndarray, shape (O,), or None
        One number per filter, in the type of the result.
    geometry : Geometry
        Shapes and options.

    Examples
    --------
    >>> call = checked_call([[[[1.0, 2.0, 3.0]]]], [[[[1.0, 1.0]]]], stride=2)
    >>> call.geometry.y_shape, call.dtype
    ((1, 1, 1, 1), dtype('float64'))
    """

    x: Array
    weight: Array
    bias: Array | None
    geometry: Geometry

    @property
    def dtype(self) -> DType:
        """Type of the result: that of `npconv.conv2d`."""
        return result_dtypes("check", self.x.dtype, self.weight.dtype)[0]

    @property
    def is_integer(self) -> bool:
        """Whether sums are of whole numbers, which wrap."""
        return bool(self.dtype.kind == "i")

    @property
    def options(self) -> dict[str, Any]:
        """Stride, padding, dilation and groups as keyword arguments."""
        g = self.geometry
        return {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": g.groups}


def checked_call(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: SupportsIndex = 1,
    operation: str = "check",
) -> Call:
    """Return the arguments of `npconv.conv2d` as a record, with all of its errors in the name of `operation`."""
    x, weight = as_array(operation, "x", x), as_array(operation, "weight", weight)
    geometry = conv2d_geometry(
        x.shape,
        weight.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        operation=operation,
    )
    result, _ = result_dtypes(operation, x.dtype, weight.dtype)
    bias = as_bias(operation, bias, geometry.O, result)
    return Call(_plain(x), _plain(weight), None if bias is None else _plain(bias), geometry)


def _plain(array: Array) -> Array:
    """Return an array with native bytes in C order, copied only if it is not so already."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
