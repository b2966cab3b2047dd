"""What the outputs of a reading must be: the oracle is asked for a convolution that reads the same."""

from dataclasses import replace

import numpy as np

from npconv.geometry import conv2d_geometry
from npconv.judge.call import Call
from npconv.judge.model import Model
from npconv.judge.oracle import Expected, expected
from npconv.judge.reading import OUTSIDE, Array, Reading, finish, plain


def outcome(reading: Reading, model: Model) -> Expected:
    """Return what outputs must be of a kernel that reads this, under the bound of its own sums.

    Outputs that it never writes are 0 or NaN.
    """
    if reading.weight.size == 0:
        reading = _without_products(reading)
    computed = expected(_ordinary(reading), model) if _is_ordinary(reading) else _of_unrolled(reading, model)
    if reading.order is not None:
        computed = _stored(computed, reading.order)
    return _finished(computed, reading, model) if reading.finish else computed


def _is_ordinary(reading: Reading) -> bool:
    """Return whether the call's own geometry reads the same, as where operands alone have changed."""
    right = plain(_ordinary(reading))
    same = all(
        np.array_equal(getattr(reading, name), getattr(right, name))
        for name in ("images", "channels", "rows", "columns")
    )
    seen = reading.skipped is None or bool(np.isfinite(reading.x).all())
    return seen and same and reading.fill == 0 and reading.weight.shape == reading.geometry.weight_shape


def _ordinary(reading: Reading) -> Call:
    x, weight = (np.ascontiguousarray(operand) for operand in (reading.x, reading.weight))
    return Call(x, weight, reading.bias, reading.geometry)


def _of_unrolled(reading: Reading, model: Model) -> Expected:
    first, order = filter_order(reading)
    computed, back = expected(unrolled(reading, first, order), model), np.argsort(order)
    computed = computed.rearranged(lambda values: values[:, back])
    if model.transform:
        # A transform knows 3x3 windows that overlap, whatever they read: its bound is taken from where they lie as they should.
        overlapping = replace(plain(_ordinary(reading)), weight=reading.weight)
        if _is_ordinary(overlapping):
            computed = replace(
                computed, bound=computed.bound + expected(_ordinary(overlapping), model).bound.max(initial=0.0)
            )
    return computed


def _without_products(reading: Reading) -> Reading:
    """Return a reading that multiplies padding by zero, in place of one that multiplies nothing."""
    _, O, OH, OW = reading.shape
    weight, channels = np.zeros((O, 1, 1, 1), reading.weight.dtype), np.zeros((O, 1), np.int64)
    rows, columns = (np.full((size, 1), OUTSIDE) for size in (OH, OW))
    return replace(reading, weight=weight, channels=channels, rows=rows, columns=columns)


def unrolled(reading: Reading, first: Array, order: Array) -> Call:
    """Return a call whose right output is what the reading gives before it is stored: one window beside the other.

    Windows no longer overlap, so any rows, columns and fill are an ordinary convolution with stride KH x KW. Filters in
    this `order`, those that read the channels of one of the `first` side by side, are a group.
    """
    x = reading.x[np.ix_(reading.images, reading.channels[first].ravel())]
    for axis, cells in ((2, reading.rows.ravel()), (3, reading.columns.ravel())):
        x = np.take(x, cells, axis)
        x[(slice(None),) * axis + (cells == OUTSIDE,)] = reading.fill
    weight = np.ascontiguousarray(reading.weight[order])
    if reading.skipped is not None:
        (OH, KH), (OW, KW) = reading.rows.shape, reading.columns.shape
        taps = x.reshape(len(x), len(first), -1, OH, KH, OW, KW)
        x = np.where(reading.skipped[:, None, :, None], 0, taps).reshape(x.shape).astype(x.dtype)
    geometry = conv2d_geometry(x.shape, weight.shape, stride=weight.shape[2:], groups=len(first))
    return Call(x, weight, None if reading.bias is None else reading.bias[order], geometry)


def filter_order(reading: Reading) -> tuple[Array, Array]:
    """Return one filter of each set that reads the same channels, and all filters in the order of these sets."""
    _, first, which = np.unique(reading.channels, axis=0, return_index=True, return_inverse=True)
    return first, np.argsort(which, kind="stable")


def _stored(computed: Expected, order: Array) -> Expected:
    """Return the outputs in the places that they are stored in."""
    never = order == OUTSIDE
    stored = computed.rearranged(lambda values: np.where(never, 0, values.ravel()[order]).astype(values.dtype))
    return replace(stored, may_be_nan=stored.may_be_nan | never)


def _finished(computed: Expected, reading: Reading, model: Model) -> Expected:
    """Return the outputs after one thing too many was done to each of them.

    Only what adds a number errs more than before: the sum of h + 1 terms by ``(h + 1)*u*(S + |c|)``.
    """
    y = finish(reading.finish, reading.amount, computed.y)
    if reading.finish not in ("doubled", "added to") or model.is_integer:
        return replace(computed, y=y)
    more = np.abs(computed.y) + computed.bound if reading.finish == "doubled" else abs(reading.amount)
    bound = computed.bound + model.sums.unit * (computed.S + (computed.h + 1) * more)
    return replace(computed, y=y, S=computed.S + more, h=computed.h + 1, bound=2 * bound)
