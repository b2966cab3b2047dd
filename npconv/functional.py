"""Convolution and its relatives as functions: check the call, plan it, run it, count it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from npconv.arguments import PaddingLike, PairLike
from npconv.arrays import as_array, as_bias, as_out, result_dtypes
from npconv.counts import CountRecord, OpCount, is_counting, record
from npconv.geometry import Geometry, conv2d_geometry
from npconv.plan import Conv2dPlan, make_plan
from npconv.recent import find_plan, plan_anew, plan_at_hand
from npconv.separable import SeparablePlan
from npconv.threads import get_num_threads

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    shuffle_groups: int = 1,
    method: str = "auto",
    out: Any = None,
    return_counts: bool = False,
) -> Any:
    """Compute a 2-D convolution (cross-correlation: the filter is not flipped), ordinary or grouped.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input.
    weight : array_like, shape (O, C // groups, KH, KW)
        Filters. Filter o belongs to group ``o // (O // groups)`` and sees the channels of that group alone.
    bias : array_like, shape (O,), optional
        Added to each output, where the sum begins.
    stride : int or (int, int), optional
        Rows and columns from one window to the next.
    padding : int, (int, int), ((int, int), (int, int)) or {"valid", "same", "same_lower"}, optional
        Zeros around the image: on every side, per axis, or ``((top, bottom), (left, right))``. "same" makes the output
        ``ceil(size / stride)``, an odd zero at the end; "same_lower" puts it at the beginning.
    dilation : int or (int, int), optional
        Rows and columns from one tap to the next; 1 means none.
    groups : int, optional
        Number of groups; C and O are multiples of it.
    shuffle_groups : int, optional
        Shuffle the channels of the result as `channel_shuffle` does with so many groups. Where `groups` is a multiple of it, as in
        ShuffleNet, each plane is stored at its new place and nothing is moved for it.
    method : {"auto", "naive", "im2col", "direct", "filterwise", "depthwise"}, optional
        How to compute. All but "naive" give the same bits.
    out : ndarray, shape (N, O, OH, OW), optional
        Where to put the result: writable, C-contiguous, of the result's type, no part of an input.
    return_counts : bool, optional
        Whether to return the counts as well.

    Returns
    -------
    y : ndarray, shape (N, O, OH, OW)
        The result, of type ``np.result_type(x, weight)`` for floats and int64 for integers.
    counts : OpCount
        What was executed, where `return_counts` asks for it.

    Raises
    ------
    TypeError
        If a type cannot be convolved, or an option is not an integer.
    ValueError
        If shapes do not fit, an option is out of range, or the method cannot serve the call.
    MemoryError
        If the result is too large to allocate.

    Notes
    -----
    With ``C_g = C // groups``, ``F = O // groups`` and zeros outside the image,

    ``y[n, o, oh, ow] = bias[o] + sum over c < C_g, kh, kw of
    x[n, (o // F)*C_g + c, oh*sh + kh*dh - top, ow*sw + kw*dw - left] * weight[o, c, kh, kw]``,

    summed in the order (c, kh, kw) with one rounding a step where the CPU fuses multiply and add: Krizhevsky, Sutskever and Hinton
    (2012), section 3.2, for groups; Dumoulin and Visin (2016), chapter 2, for the output size
    ``(H + top + bottom - dh*(KH - 1) - 1) // sh + 1``.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> nc.conv2d(x, np.ones((1, 1, 2, 2)))
    array([[[[ 8., 12.],
             [20., 24.]]]])
    >>> y, counts = nc.conv2d(x, np.ones((1, 1, 2, 2)), padding=1, return_counts=True)
    >>> counts.mul, counts.padding_mul
    (36, 28)
    """
    return _convolve(
        "conv2d", x, weight, bias, stride, padding, dilation, groups, method, out, return_counts, shuffle_groups
    )


def depthwise_conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    method: str = "auto",
    out: Any = None,
    return_counts: bool = False,
) -> Any:
    """Compute a depthwise 2-D convolution (cross-correlation): each channel has filters of its own and sees no other.

    As `conv2d` with ``groups=C``. With m filters a channel, output channel ``c*m + j`` comes from input channel c.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input.
    weight : array_like, shape (C * m, 1, KH, KW)
        Filters, m for each channel.
    bias : array_like, shape (C * m,), optional
        As `conv2d`.
    stride, padding, dilation, method, out, return_counts
        As `conv2d`.

    Returns
    -------
    y : ndarray, shape (N, C * m, OH, OW)
        The result.
    counts : OpCount
        What was executed, where `return_counts` asks for it.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`.

    Notes
    -----
    Sifre (2014), section 6.2, and Chollet (2017), Xception.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> x = np.stack([np.full((2, 2), 1.0), np.full((2, 2), 10.0)])[None]
    >>> nc.depthwise_conv2d(x, np.ones((2, 1, 2, 2))).ravel()
    array([ 4., 40.])
    """
    x = as_array("depthwise_conv2d", "x", x)
    channels = x.shape[1] if x.ndim == 4 else 1
    return _convolve(
        "depthwise_conv2d", x, weight, bias, stride, padding, dilation, channels or 1, method, out, return_counts
    )


def pointwise_conv2d(
    x: Any, weight: Any, bias: Any = None, *, groups: int = 1, out: Any = None, return_counts: bool = False
) -> Any:
    """Compute a pointwise (1x1) convolution (cross-correlation): at each pixel, sums over channels.

    As `conv2d` with a 1x1 kernel.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input.
    weight : array_like, shape (O, C // groups) or (O, C // groups, 1, 1)
        Filters.
    bias : array_like, shape (O,), optional
        As `conv2d`.
    groups, out, return_counts
        As `conv2d`.

    Returns
    -------
    y : ndarray, shape (N, O, H, W)
        The result.
    counts : OpCount
        What was executed, where `return_counts` asks for it.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`.

    Notes
    -----
    Lin, Chen and Yan (2013), Network in Network, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> nc.pointwise_conv2d(np.array([[[[1.0]], [[2.0]]]]), np.array([[3.0, 4.0]])).ravel()
    array([11.])
    """
    weight = as_array("pointwise_conv2d", "weight", weight)
    if weight.ndim == 2:
        weight = weight[:, :, None, None]
    if weight.ndim == 4 and weight.shape[2:] != (1, 1):
        raise ValueError(
            f"pointwise_conv2d: weight has a {weight.shape[2]}x{weight.shape[3]} kernel, but a pointwise one is 1x1. "
            f"Did you mean conv2d?\n        (weight {weight.shape})"
        )
    return _convolve("pointwise_conv2d", x, weight, bias, 1, 0, 1, groups, "auto", out, return_counts)


def separable_conv2d(
    x: Any,
    depthwise_weight: Any,
    pointwise_weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    out: Any = None,
    return_counts: bool = False,
) -> Any:
    """Compute a depthwise separable convolution (cross-correlation): `depthwise_conv2d`, then `pointwise_conv2d`.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input.
    depthwise_weight : array_like, shape (C * m, 1, KH, KW)
        Filters of the depthwise convolution.
    pointwise_weight : array_like, shape (O, C * m) or (O, C * m, 1, 1)
        Filters of the pointwise convolution.
    bias : array_like, shape (O,), optional
        Bias of the pointwise convolution.
    stride, padding, dilation
        Of the depthwise convolution, as `conv2d`.
    out, return_counts
        As `conv2d`.

    Returns
    -------
    y : ndarray, shape (N, O, OH, OW)
        The result.
    counts : OpCount
        What both executed, where `return_counts` asks for it.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`.

    Notes
    -----
    The result and the useful and padding counts are those of the two calls; where it is faster, both run in one pass over the image.

    Howard et al. (2017), MobileNets, section 3.1: of the ``KH*KW*O`` products that an ordinary convolution spends on an input element,
    ``KH*KW + O`` remain.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> x = np.ones((1, 2, 2, 2))
    >>> y, counts = nc.separable_conv2d(x, np.ones((2, 1, 2, 2)), np.ones((3, 2)), return_counts=True)
    >>> y.ravel(), counts.mul
    (array([8., 8., 8.]), 14)
    """
    given, options = (x, depthwise_weight, pointwise_weight, bias), (stride, padding, dilation, get_num_threads())
    return _separate(given, options, out, return_counts)


def _convolve(
    operation: str, x: Any, weight: Any, bias: Any, stride: PairLike, padding: PaddingLike, dilation: PairLike, groups: int, method: str,
    out: Any, return_counts: bool, shuffle_groups: int = 1,
) -> Any:  # fmt: skip
    given: tuple[Any, ...] = x, weight, bias
    options = stride, padding, dilation, groups, method, shuffle_groups, get_num_threads()
    plan = plan_at_hand(given, options)
    if plan is None:
        given, y, plan = _looked_for(operation, ("x", "weight"), given, options, out, _planned)
    else:
        y = as_out(operation, out, plan.y_shape, plan.dtype, given)
    counts = plan.run(given[0], y, counted=return_counts or is_counting(), weight=given[1])
    return y if counts is None else _handed_over(operation, plan.method, given, y, counts, return_counts)


def _looked_for(
    operation: str, names: tuple[str, ...], given: tuple[Any, ...], options: tuple[Any, ...], out: Any, planned: Callable[..., Any]
) -> tuple[Any, ...]:  # fmt: skip
    """Return the operands as arrays, where the result goes, and the plan of a call that is not at hand: one before, or a new one."""
    given = _operands(operation, names, given)
    key, plan = find_plan(given, options)
    if plan is None:
        return given, *planned(operation, given, options, out, key)
    return given, as_out(operation, out, plan.y_shape, plan.dtype, given), plan


def _operands(operation: str, names: Sequence[str], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return operands of those names and, last, a bias or None as arrays."""
    *values, bias = given
    arrays = [as_array(operation, name, value) for name, value in zip(names, values, strict=True)]
    return *arrays, None if bias is None else as_array(operation, "bias", bias)


def _planned(
    operation: str, given: tuple[Any, ...], options: tuple[Any, ...], out: Any, key: Any
) -> tuple[Array, Conv2dPlan]:
    """Return where the result goes, and a new plan of the operands, which is remembered by its key."""
    x, weight, bias = given
    stride, padding, dilation, groups, method, shuffle_groups, num_threads = options
    geometry = conv2d_geometry(
        x.shape, weight.shape, stride=stride, padding=padding, dilation=dilation, groups=groups, operation=operation
    )
    dtypes = result_dtypes(operation, x.dtype, weight.dtype)
    as_bias(operation, bias, geometry.O, dtypes[0])
    y = as_out(operation, out, geometry.y_shape, dtypes[0], given)

    def make(weight: Array, bias: Array | None, *, keeps: bool) -> Conv2dPlan:
        terms = as_bias(operation, bias, geometry.O, dtypes[0])
        return make_plan(operation, geometry, weight, terms, dtypes, method, num_threads, shuffle_groups, keeps=keeps)

    return y, plan_anew(key, given, make)


def _separate(given: tuple[Any, ...], options: tuple[Any, ...], out: Any, return_counts: bool) -> Any:
    operation = "separable_conv2d"
    plan = plan_at_hand(given, options)
    if plan is None:
        names = "x", "depthwise_weight", "pointwise_weight"
        given, y, plan = _looked_for(operation, names, given, options, out, _separable_plan)
    else:
        y = as_out(operation, out, plan.y_shape, plan.dtype, given)
    counts = plan.run(given[0], y, counted=return_counts or is_counting(), pointwise=given[2])
    return y if counts is None else _handed_over(operation, plan.method, given, y, counts, return_counts)


def _separable_plan(
    operation: str, given: tuple[Any, ...], options: tuple[Any, ...], out: Any, key: Any
) -> tuple[Array, SeparablePlan]:
    """Return where the result goes, and a new plan of the operands, which is remembered by its key."""
    x, depthwise, pointwise, bias = given
    *of_depthwise, num_threads = options
    dtypes = result_dtypes(operation, result_dtypes(operation, x.dtype, depthwise.dtype)[0], pointwise.dtype)
    geometries = _separated(operation, x.shape, depthwise.shape, pointwise.shape, of_depthwise)
    as_bias(operation, bias, geometries[1].O, dtypes[0])
    y = as_out(operation, out, geometries[1].y_shape, dtypes[0], given)

    def make(depthwise: Array, pointwise: Array, bias: Array | None, *, keeps: bool) -> SeparablePlan:
        terms = as_bias(operation, bias, geometries[1].O, dtypes[0])
        return SeparablePlan(operation, geometries, (depthwise, pointwise), terms, dtypes, num_threads, keeps=keeps)

    return y, plan_anew(key, given, make)


def _separated(
    operation: str, x: tuple[int, ...], depthwise: tuple[int, ...], pointwise: tuple[int, ...], options: Sequence[Any]
) -> tuple[Geometry, Geometry]:
    """Return the geometries of both convolutions, from the shapes of arrays."""
    stride, padding, dilation = options
    groups = (x[1] if len(x) == 4 else 1) or 1
    first = conv2d_geometry(
        x, depthwise, stride=stride, padding=padding, dilation=dilation, groups=groups, operation=operation
    )
    shape = (*pointwise, 1, 1) if len(pointwise) == 2 else pointwise
    last = conv2d_geometry(first.y_shape, shape, operation=operation)
    if shape[2:] != (1, 1):
        raise ValueError(
            f"{operation}: pointwise_weight has a {shape[2]}x{shape[3]} kernel, but a pointwise one is 1x1. "
            f"Did you mean the depthwise weight?\n        (pointwise_weight {shape})"
        )
    return first, last


def _handed_over(
    operation: str, method: str, given: tuple[Any, ...], y: Array, counts: OpCount, return_counts: bool
) -> Any:
    """Return what was asked for of a call that counted."""
    if is_counting():
        x, weight = given[:2]
        record(CountRecord(operation, method, x.shape, weight.shape, y.shape, counts))
    return (y, counts) if return_counts else y
