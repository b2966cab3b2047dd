"""Sums of products over windows, rounded or exact, by matrix products in float64."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.formats import FORMATS
from npconv.memory import Array

# Bytes of columns that are unfolded at a time.
BLOCK = 1 << 25
# Bytes of the digits of one operand.
DIGITS = 1 << 28
FLOAT64 = FORMATS["float64"]


def convolved(images: Sequence[Array], filters: Sequence[Array], geometry: Geometry) -> Array:
    """Return convolutions of one geometry in float64, stacked: windows become columns, and each group is a matrix product."""
    g, count = geometry, len(images)
    y = np.empty((count, g.N, g.groups, g.group_filters, g.OH, g.OW))
    rows = np.empty((count, 1, g.groups, g.group_filters, g.K))
    for row, w in zip(rows, filters, strict=True):
        row[0] = w.reshape(row[0].shape)
    batch = max(1, BLOCK // (8 * count * g.C * g.KH * g.KW * g.OH * g.OW))
    for start in range(0, g.N, batch):
        some = slice(start, min(g.N, start + batch))
        windows = _windows([x[some] for x in images], g)
        for oh, ow in _blocks(g, count):
            block = windows[..., oh, ow]
            sums = rows @ block.reshape(count, -1, g.groups, g.K, block.shape[-2] * block.shape[-1])
            y[:, some, ..., oh, ow] = sums.reshape(*sums.shape[:-1], *block.shape[-2:])
    return y.reshape(count, *g.y_shape)


def magnitudes(x: Array, w: Array, geometry: Geometry) -> tuple[Array, Array]:
    """Return, for operands that are not negative, their convolution in float64 and the number of its terms that are not zero."""
    if not (x.all() and w.all()):
        S, h = convolved([x, x != 0], [w, w != 0], geometry)
        return S, h
    # Where nothing is zero, those are all that do not lie in padding.
    rows, columns = (inside(axis, size) for axis, size in zip(geometry.axes, (geometry.OH, geometry.OW), strict=True))
    h = geometry.group_channels * np.outer(rows, columns)
    return convolved([x], [w], geometry)[0], np.broadcast_to(h.astype(np.float64), geometry.y_shape)


def inside(axis: tuple[int, int, int, int, int, int], size: int) -> Array:
    """Return how many taps of each window along an axis meet a real cell.

    >>> inside((3, 3, 1, 1, 1, 1), 3)
    array([2, 3, 2])
    """
    n, k, s, d, p0, _ = axis
    cells = np.arange(size)[:, None] * s + np.arange(k) * d - p0
    met: Array = ((cells >= 0) & (cells < n)).sum(1)
    return met


def exact_sums(
    x: Array, w: Array, b: Array, geometry: Geometry, S: Array, h: Array, negligible: float = 0.0
) -> tuple[Array, Array]:
    """Return a convolution of floats with a bias (1, O, 1, 1), rounded once, and by how much it may be off.

    Operands are written in digits of so few bits that no sum over products of two digits ever rounds (Ozaki, Ogita, Oishi and Rump,
    2012, "Error-free transformations of matrix multiplication by using fast routines of matrix multiplication", split them likewise).
    Pairs of digits that are `negligible` even together are left out, and count as an error. `S` and `h` are those of `Expected`.
    """
    width = digit_width(geometry.K)
    x_digits, x_rest = float_digits(x, width)
    w_digits, w_rest = float_digits(w, width)
    pairs = list(product(x_digits, w_digits))
    high, low = b + np.zeros(geometry.y_shape), np.zeros(geometry.y_shape)
    # Of each product.
    left_out = x_rest * float(np.abs(w).max(initial=0)) + w_rest * float(np.abs(x).max(initial=0))
    for (x_part, p), (w_part, q) in pairs:
        size = float(np.ldexp(1.0, p + q + 2 * width))
        if size * geometry.K * len(pairs) <= negligible:
            left_out += size
            continue
        term = np.ldexp(convolved([x_part], [w_part], geometry)[0], p + q)
        # Knuth's two-sum: `high + lost` is the exact sum.
        total = high + term
        grown = total - high
        low += (high - (total - grown)) + (term - grown)
        high = total
    # Digits have the sign of their number, so magnitudes of terms add up to S: each step's loss is below U*S, and `low`, below
    # len(pairs)*U*S, rounds as often. What is too small for float64 is lost once per pair and product.
    own = (
        len(pairs) * (len(pairs) * FLOAT64.unit) * (2.0 * FLOAT64.unit) * S + len(pairs) * (h + 1.0) * FLOAT64.smallest
    )
    y = high + low
    return y, FLOAT64.unit * np.abs(y) + own + h * left_out


def wrapped_sums(x: Array, w: Array, geometry: Geometry) -> Array:
    """Return a convolution of whole numbers modulo 2**64, as int64, from exact sums over products of digits."""
    width = digit_width(geometry.K)
    y = np.zeros(geometry.y_shape, np.int64)
    for (x_part, p), (w_part, q) in product(whole_digits(x, width), whole_digits(w, width)):
        if p + q < 64:
            y += convolved([x_part], [w_part], geometry)[0].astype(np.int64) << (p + q)
    return y


def digit_width(K: int) -> int:
    """Return the bits of a digit, such that a sum of K products of two digits is below 2**53.

    >>> digit_width(4608)
    20
    """
    return (FLOAT64.bits - K.bit_length()) // 2


def float_digits(values: Array, width: int) -> tuple[list[tuple[Array, int]], float]:
    """Return ``(digit, power)``, whole numbers below ``2**width`` whose sum ``digit * 2**power`` is the value, and what is left at most.

    >>> digits, rest = float_digits(np.array([5.25]), 2)
    >>> [(float(digit[0]), power) for digit, power in digits], rest
    ([(2.0, 1), (2.0, -1), (2.0, -3)], 0.0)
    """
    rest, digits = values, list[tuple[Array, int]]()
    largest = float(np.abs(rest).max(initial=0))
    limit = max(4, DIGITS // max(1, 8 * values.size))
    while largest > 0 and len(digits) < limit:
        power = int(np.frexp(largest)[1]) - width
        digit = np.trunc(np.ldexp(rest, -power))
        digits.append((digit, power))
        rest = rest - np.ldexp(digit, power)
        largest = float(np.abs(rest).max(initial=0))
    return digits, largest


def whole_digits(values: Array, width: int) -> Iterator[tuple[Array, int]]:
    """Yield ``(digit, power)`` of whole numbers, each below ``2**width`` and with the sign of its number.

    >>> [(int(digit[0]), power) for digit, power in whole_digits(np.array([-5]), 2)]
    [(-1, 0), (-1, 2)]
    """
    sign = np.sign(values).astype(np.float64)
    # The magnitude of the smallest int64 has no int64, but the same bits.
    rest = np.abs(values.astype(np.int64)).view(np.uint64)
    power = 0
    while power == 0 or rest.any():
        yield sign * (rest & np.uint64((1 << width) - 1)), power
        rest = rest >> np.uint64(width)
        power += width


def lowest_bit(values: Array, axis: tuple[int, ...]) -> Array:
    """Return exponents e, such that all finite numbers along the axes are multiples of ``2**e``; very high ones if all are zero.

    >>> int(lowest_bit(np.array([6.0, 0.0, 0.75]), (0,)))
    -2
    """
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, FLOAT64.bits).astype(np.int64)
    trailing = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    lowest: Array = np.where(whole == 0, 4 * FLOAT64.highest, exponent - FLOAT64.bits + trailing).min(axis)
    return lowest


def _windows(images: Sequence[Array], geometry: Geometry) -> Array:
    """Return a view (count, N, C, KH, KW, OH, OW) of padded images of shape (N, C, H, W)."""
    g = geometry
    (sh, sw), (dh, dw), ((top, bottom), (left, right)) = g.stride, g.dilation, g.padding
    shape = (len(images), len(images[0]), g.C)
    padded = np.zeros((*shape, top + g.H + bottom, left + g.W + right))
    for plane, x in zip(padded, images, strict=True):
        plane[..., top : top + g.H, left : left + g.W] = x
    *outer, h, w = padded.strides
    strides = (*outer, h * dh, w * dw, h * sh, w * sw)
    return np.lib.stride_tricks.as_strided(padded, (*shape, g.KH, g.KW, g.OH, g.OW), strides, writeable=False)


def _blocks(geometry: Geometry, count: int) -> Iterator[tuple[Any, Any]]:
    """Yield rows and columns of the output whose windows take no more than `BLOCK` bytes in all images, or one output each."""
    g = geometry
    outputs = max(1, BLOCK // (8 * count * g.C * g.KH * g.KW))
    height, width = max(1, outputs // g.OW), min(g.OW, outputs)
    for oh in range(0, g.OH, height):
        for ow in range(0, g.OW, width):
            yield slice(oh, oh + height), slice(ow, ow + width)
