"""Named cases, the data they run on, and the methods that serve them."""

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, TypedDict

import numpy as np
from numpy.typing import DTypeLike, NDArray

from npconv.geometry import Geometry, conv2d_geometry

Array = NDArray[Any]

METHODS = ("naive", "im2col", "direct", "filterwise", "depthwise", "auto")
FUSED = (
    "im2col",
    "direct",
    "filterwise",
    "depthwise",
    "auto",
)  # one fused chain of additions per output: the same bits
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


class Options(TypedDict):
    """The options of a convolution, ready for ``**``."""

    stride: Any
    padding: Any
    dilation: Any
    groups: int


@dataclass(frozen=True)
class Case:
    """One convolution, by its shapes and options; its ``repr`` replays it."""

    x_shape: tuple[int, int, int, int]
    weight_shape: tuple[int, int, int, int]
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    @property
    def options(self) -> Options:
        """The options as keyword arguments."""
        return Options(stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups)

    @property
    def geometry(self) -> Geometry:
        """The geometry record of this call."""
        return conv2d_geometry(self.x_shape, self.weight_shape, **self.options)

    @property
    def products(self) -> int:
        """Products that a dense method executes, padding included."""
        return self.geometry.P * self.geometry.K

    def methods(self, dtype: DTypeLike = "float32", candidates: tuple[str, ...] = METHODS) -> tuple[str, ...]:
        """Those of the candidates that serve this case: depthwise wants one channel per group and few kernel rows."""
        served = depthwise_serves(self, np.dtype(dtype))
        return tuple(method for method in candidates if served or method != "depthwise")


@cache
def depthwise_serves(case: Case, dtype: np.dtype[Any]) -> bool:
    """Ask the engine; what it must not refuse is a test of its own."""
    from npconv.layouts import NotServedError, lay_out

    accumulator = np.dtype("int64" if dtype.kind in "iu" else "float32" if dtype == np.float16 else dtype)
    try:
        lay_out(case.geometry, accumulator, "depthwise")
    except NotServedError:
        return False
    return True


CASES = {
    # the ordinary convolution
    "one product": Case((1, 1, 1, 1), (1, 1, 1, 1)),
    "3x3": Case((2, 3, 8, 9), (4, 3, 3, 3)),
    "3x3, padded": Case((1, 4, 7, 7), (5, 4, 3, 3), padding=1),
    "tall image, wide kernel": Case((1, 2, 11, 5), (3, 2, 2, 5)),
    "wide image, tall kernel": Case((1, 2, 5, 11), (3, 2, 5, 2)),
    "even kernel": Case((2, 3, 7, 6), (2, 3, 4, 2), padding=(2, 1)),
    "kernel as large as the image": Case((3, 2, 4, 6), (5, 2, 4, 6)),
    "one row": Case((1, 3, 1, 19), (2, 3, 1, 4)),
    "one column": Case((1, 3, 19, 1), (2, 3, 4, 1)),
    "empty batch": Case((0, 3, 5, 4), (2, 3, 3, 2), padding=1),
    "batch of five": Case((5, 2, 4, 5), (3, 2, 3, 3), padding=1),
    # padding
    "four paddings": Case((1, 2, 6, 5), (3, 2, 3, 4), padding=((1, 2), (3, 0))),
    "padding on top alone": Case((1, 2, 5, 5), (2, 2, 3, 3), padding=((2, 0), (0, 0))),
    "padding at the right alone": Case((1, 2, 5, 5), (2, 2, 3, 3), padding=((0, 0), (0, 2))),
    "padding beyond the kernel": Case((2, 2, 3, 4), (3, 2, 2, 3), padding=((3, 5), (6, 4))),
    "padding everywhere but one cell": Case((1, 2, 1, 1), (3, 2, 3, 3), padding=2),
    "no window meets the image": Case((1, 1, 1, 1), (1, 1, 2, 2), padding=1, dilation=2),
    "same": Case((1, 2, 7, 8), (3, 2, 3, 4), padding="same"),
    "same, stride 2": Case((1, 2, 8, 7), (3, 2, 3, 2), padding="same", stride=2),
    "same_lower, stride 2": Case((1, 2, 8, 7), (3, 2, 3, 2), padding="same_lower", stride=2),
    # stride and dilation
    "stride 2": Case((2, 3, 9, 8), (4, 3, 3, 3), stride=2, padding=1),
    "strides 3 and 2": Case((1, 2, 11, 12), (3, 2, 3, 3), stride=(3, 2), padding=(1, 0)),
    "stride above the kernel": Case((1, 2, 13, 17), (3, 2, 2, 3), stride=(5, 7)),
    "stride leaves rows and columns unread": Case((1, 2, 10, 12), (3, 2, 3, 3), stride=(4, 5)),
    "stride above the image": Case((1, 2, 4, 4), (3, 2, 3, 3), stride=9),
    "dilations 2 and 3": Case((1, 2, 9, 11), (3, 2, 3, 3), dilation=(2, 3), padding=(2, 3)),
    "dilation above the image": Case((1, 2, 3, 3), (2, 2, 3, 2), dilation=(4, 5), padding=((4, 4), (3, 2))),
    "stride 2, dilation 2": Case((1, 3, 12, 11), (2, 3, 3, 3), stride=2, dilation=2, padding=2),
    "kernel above the image": Case((1, 2, 2, 3), (3, 2, 5, 7), padding=((2, 2), (3, 4))),
    # groups
    "two groups": Case((2, 4, 6, 7), (6, 2, 3, 3), groups=2, padding=1),
    "three groups, more channels than filters": Case((1, 12, 5, 6), (6, 4, 3, 2), groups=3),
    "five groups, more filters than channels": Case((1, 10, 5, 4), (35, 2, 3, 3), groups=5, padding=1),
    "one filter per group": Case((2, 6, 5, 5), (3, 2, 3, 3), groups=3),
    "seed article's layer, an eighth": Case((1, 8, 14, 14), (16, 2, 3, 3), groups=4, padding=1),
    # one channel per group
    "depthwise": Case((2, 5, 8, 9), (5, 1, 3, 3), groups=5, padding=1),
    "depthwise, multiplier 3": Case((1, 5, 6, 7), (15, 1, 3, 3), groups=5, padding=1),
    "depthwise, stride 2": Case((1, 6, 9, 11), (6, 1, 3, 3), groups=6, stride=2, padding=1),
    "depthwise 5x5, dilated": Case((1, 3, 13, 12), (3, 1, 5, 5), groups=3, dilation=2, padding=4),
    "depthwise 7x7": Case((1, 2, 17, 16), (2, 1, 7, 7), groups=2, padding=3),
    "depthwise 2x5": Case((1, 3, 7, 9), (3, 1, 2, 5), groups=3, padding=((1, 0), (2, 2))),
    "depthwise, strides 3 and 2, multiplier 2": Case(
        (2, 3, 10, 9), (6, 1, 4, 3), groups=3, stride=(3, 2), padding=(2, 1)
    ),
    "depthwise, 33 columns": Case((1, 3, 4, 33), (3, 1, 3, 3), groups=3, padding=1),
    "one channel, many filters": Case((1, 1, 9, 10), (37, 1, 3, 3), padding=1),
    # 1x1
    "pointwise": Case((2, 7, 5, 6), (11, 7, 1, 1)),
    "pointwise, groups": Case((1, 12, 6, 7), (8, 3, 1, 1), groups=4),
    "pointwise, stride 2": Case((1, 5, 9, 8), (6, 5, 1, 1), stride=2),
    "pointwise, padded": Case((1, 5, 4, 3), (6, 5, 1, 1), padding=((1, 0), (2, 3))),
    "pointwise, planes of 4 KiB": Case((1, 5, 32, 32), (7, 5, 1, 1)),
    # around the lanes and the tiles
    "15 columns": Case((1, 2, 3, 15), (3, 2, 3, 3), padding=1),
    "16 columns": Case((1, 2, 3, 16), (3, 2, 3, 3), padding=1),
    "17 columns": Case((1, 2, 3, 17), (3, 2, 3, 3), padding=1),
    "31 columns": Case((1, 2, 3, 31), (3, 2, 3, 3), padding=1),
    "33 columns": Case((1, 2, 3, 33), (3, 2, 3, 3), padding=1),
    "97 columns": Case((1, 2, 2, 97), (2, 2, 2, 3)),
    "14 filters": Case((1, 3, 5, 7), (14, 3, 3, 3), padding=1),
    "29 filters": Case((1, 3, 5, 7), (29, 3, 3, 3), padding=1),
    "65 filters": Case((1, 3, 4, 7), (65, 3, 3, 3), padding=1),
    "7x7 map": Case((1, 8, 7, 7), (16, 8, 3, 3), padding=1),
    "1x1 map": Case((3, 16, 3, 3), (17, 16, 3, 3)),
    "deep": Case((1, 67, 4, 5), (3, 67, 3, 3), padding=1),
    "deep, 1x1": Case((1, 521, 3, 5), (5, 521, 1, 1)),
    # have failed before
    "an inner vector ends with the image": Case((1, 2, 5, 65), (2, 1, 5, 5), groups=2, stride=2, padding=2),
    "few outputs in a wide image": Case((1, 2, 58, 249), (2, 2, 3, 2), padding=((8, 0), (0, 0)), dilation=(20, 124)),
}


def small_integers(case: Case, dtype: DTypeLike, seed: int) -> tuple[Array, Array, Array]:
    """Return ``x, weight, bias`` of integers so small that every sum is exact in every accumulator."""
    rng = np.random.default_rng(seed)
    lowest = 0 if np.issubdtype(dtype, np.unsignedinteger) else -8

    def draw(shape: tuple[int, ...]) -> Array:
        return rng.integers(lowest, 9, shape).astype(dtype)

    return draw(case.x_shape), draw(case.weight_shape), draw(case.weight_shape[:1])


def full_range(case: Case, dtype: DTypeLike, seed: int) -> tuple[Array, Array, Array]:
    """Return ``x, weight, bias`` over every value of an integer type."""
    rng = np.random.default_rng(seed)
    low, high = np.iinfo(np.dtype(dtype)).min, np.iinfo(np.dtype(dtype)).max

    def draw(shape: tuple[int, ...]) -> Array:
        return rng.integers(low, high, shape, dtype=np.dtype(dtype), endpoint=True)

    return draw(case.x_shape), draw(case.weight_shape), draw(case.weight_shape[:1])


def full_mantissa(case: Case, dtype: DTypeLike, seed: int, live: float = 1.0) -> tuple[Array, Array, Array]:
    """Return ``x, weight, bias`` of normal deviates that use every bit; a share `live` of them is not zero.

    Sparse data make the bound narrow: with few live products, dropping one is never within it.
    """
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> Array:
        return np.where(rng.random(shape) < live, rng.standard_normal(shape), 0.0).astype(dtype)

    return draw(case.x_shape), draw(case.weight_shape), rng.standard_normal(case.weight_shape[:1]).astype(dtype)


def specials(case: Case, seed: int) -> tuple[Array, Array, Array]:
    """Return ``x, weight, bias`` in float64: small integers, signed zeros, and some infinities and NaN."""
    rng = np.random.default_rng(seed)
    common = [0.0, -0.0, 1.0, -1.0, 2.0, -3.0]
    rare = [np.inf, -np.inf, np.nan]

    def draw(shape: tuple[int, ...]) -> Array:
        # One rare value or so per array: more of them would turn every output into NaN.
        share = 1.0 / max(1, prod(shape))
        return np.where(rng.random(shape) < share, rng.choice(rare, shape), rng.choice(common, shape))

    return draw(case.x_shape), draw(case.weight_shape), draw(case.weight_shape[:1])


def bits(values: Array) -> bytes:
    """Return the bits of an array, but of a NaN only its place: its sign and payload are not promised."""
    nan = np.isnan(values)
    return nan.tobytes() + np.where(nan, np.zeros_like(values), values).tobytes()
