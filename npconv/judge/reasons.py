"""Why a mistake leaves no trace: what about a geometry leaves no room for it, or what about the data hides it."""

from collections.abc import Callable

import numpy as np

from npconv.judge.fault import Fault
from npconv.judge.reading import Array, Reading

# For each subject, what leaves no room for its mistakes; the first that holds is the reason.
NO_ROOM: dict[str, tuple[tuple[str, Callable[[Reading], bool]], ...]] = {
    "kernel": (
        ("the kernel is 1x1", lambda r: r.geometry.KH == r.geometry.KW == 1),
        ("the kernel is a single row or column", lambda r: 1 in (r.geometry.KH, r.geometry.KW)),
    ),
    "weight layout": (("filters, channels, rows and columns leave no other order", lambda r: True),),
    "taps": (("the kernel is 1x1", lambda r: r.geometry.KH == r.geometry.KW == 1),),
    "channels": (("groups have too few channels", lambda r: True),),
    "padding": (
        ("there is no padding", lambda r: r.geometry.padding == ((0, 0), (0, 0))),
        ("the padding is the same on opposite sides", lambda r: all(a == b for a, b in r.geometry.padding)),
        ("the padding is not the one called same, or the same on both axes", lambda r: True),
    ),
    "stride": (
        ("the stride is 1", lambda r: r.geometry.stride == (1, 1)),
        ("there is one output along an axis, or the strides are equal", lambda r: True),
    ),
    "dilation": (
        ("the kernel is 1x1", lambda r: r.geometry.KH == r.geometry.KW == 1),
        ("there is no dilation", lambda r: r.geometry.dilation == (1, 1)),
        ("the dilations are equal, or the kernel is a single row or column", lambda r: True),
    ),
    "position": (("there is one output along an axis", lambda r: True),),
    "edge": (("windows end before the edge of the image, and sizes leave no remainder", lambda r: True),),
    "groups": (
        ("there is one group", lambda r: r.geometry.groups == 1),
        (
            "there is one filter or one channel per group",
            lambda r: 1 in (r.geometry.group_filters, r.geometry.group_channels),
        ),
    ),
    "shuffle": (
        ("there is one group", lambda r: r.geometry.groups == 1),
        (
            "there is one filter or one channel per group",
            lambda r: 1 in (r.geometry.group_filters, r.geometry.group_channels),
        ),
        ("a shuffle of as many groups as each has channels undoes itself", lambda r: True),
    ),
    "bias": (
        ("there is no bias", lambda r: r.bias is None),
        ("there is one filter", lambda r: r.geometry.O == 1),
        ("there is one group, or one product", lambda r: True),
    ),
    "batch": (("there is one image", lambda r: r.geometry.N == 1),),
    "image layout": (("extents of 1 leave no other order", lambda r: True),),
    "filters": (("there are too few filters", lambda r: True),),
}


def no_room(fault: Fault, right: Reading) -> str:
    """Return why a mistake cannot be made on this geometry, as a clause."""
    reasons = NO_ROOM.get(fault.subject, ())
    return next((why for why, holds in reasons if holds(right)), "on this geometry it adds up the same terms")


def no_trace(reading: Reading, right: Reading) -> str:
    """Return why a mistake that reads other elements gives the same outputs on this data, as a clause."""
    if reading.rounding:
        if _same(reading.x, right.x) and _same(reading.weight, right.weight):
            return f"every operand is a number of {reading.rounding.split()[-1]} already"
        return "sums are so long that their bound is wider than what rounding the operands changes"
    if reading.finish:
        return {
            "ReLU": "no output is negative",
            "saturated": "no output is as large",
            "wrapped": "no output is as large",
        }.get(reading.finish, "every output is zero")
    if reading.weight is not right.weight and _same(reading.weight, right.weight):
        return (
            "the weights are constant"
            if _constant(right.weight)
            else "the weights are the same when they are read like that"
        )
    if right.bias is not None and reading.bias is not right.bias:
        return _of_bias(reading, right.bias)
    if _constant(right.x):
        return "the image is constant"
    if reading.x is not right.x and _same(reading.x, right.x):
        return "the image is the same when it is read like that"
    return "its effect on this data is within the bound"


def _of_bias(reading: Reading, bias: Array) -> str:
    if not bias.any():
        return "the bias is zero"
    return "the bias is constant" if _constant(bias) else "its effect on this data is within the bound"


def _constant(values: Array) -> bool:
    return bool((values == values.ravel()[:1]).all())


def _same(one: Array, other: Array) -> bool:
    return one is other or np.array_equal(one, other)
