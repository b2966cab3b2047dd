"""A second oracle, tap by tap in NumPy, and the rigorous bound on rounding errors that it certifies.

For any order of summation, fused or not, round to nearest, no overflow and no underflow, a computed output obeys
``|computed - y| <= h*u*S``: ``y`` is the exact sum, ``S`` the exact sum of the terms' magnitudes, ``h`` the number of
products that are not zero (one more with a bias) and ``u`` the unit roundoff of the accumulator. No product passes more
than ``h`` roundings. A narrower output type adds half of its unit. All of it is computed in whole numbers: the judge
has no rounding error and no tolerance of its own.
"""

from dataclasses import dataclass

import numpy as np

from cases import Array, Case
from npconv.geometry import Geometry

# Bits of the significand of the type that accumulates: u = 2**-bits.
ACCUMULATOR_BITS = {np.dtype("float16"): 24, np.dtype("float32"): 24, np.dtype("float64"): 53}


def tap_by_tap(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """Return the convolution as a sum over taps: each is a matrix product on a strided slice of the padded images.

    The arithmetic is that of the arrays: int64 wraps, and object arrays of Python integers are exact.
    """
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    (top, bottom), (left, right) = geometry.padding
    N, O, OH, OW = geometry.y_shape
    # Not np.pad: it fills object arrays with NumPy integers, which overflow.
    padded = np.zeros((N, geometry.C, top + geometry.H + bottom, left + geometry.W + right), x.dtype)
    padded[:, :, top : top + geometry.H, left : left + geometry.W] = x
    planes = padded.reshape(N, geometry.groups, geometry.group_channels, *padded.shape[2:])
    filters = weight.reshape(geometry.groups, geometry.group_filters, *weight.shape[1:])
    y = np.zeros((N, geometry.groups, geometry.group_filters, OH * OW), np.result_type(x, weight))
    for kh in range(geometry.KH):
        for kw in range(geometry.KW):
            rows = slice(kh * dh, kh * dh + (OH - 1) * sh + 1, sh)
            columns = slice(kw * dw, kw * dw + (OW - 1) * sw + 1, sw)
            y += filters[..., kh, kw] @ planes[..., rows, columns].reshape(*planes.shape[:3], OH * OW)
    y = y.reshape(N, O, OH, OW)
    return y if bias is None else y + bias[:, None, None]


def whole(values: Array) -> tuple[Array, int]:
    """Return Python integers and a power, such that ``values == integers * 2**power`` exactly."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    lowest = int(exponent[mantissa != 0].min(initial=0))
    shift = np.where(mantissa == 0, 0, exponent - lowest)
    return (mantissa * 2.0**53).astype(np.int64).astype(object) << shift.astype(object), lowest - 53


def rebase(integers: Array, power: int, new_power: int) -> Array:
    """Return the integers that stand for the same values at a lower power of two."""
    return integers << (power - new_power)


@dataclass(frozen=True)
class Certificate:
    """Exact outputs ``y``, magnitudes ``S`` and counts ``h`` of one call; ``y`` and ``S`` in units of ``2**power``."""

    geometry: Geometry
    dtype: np.dtype[np.floating]
    y: Array
    S: Array
    h: Array
    power: int

    def shares(self, computed: Array) -> Array:
        """Return each output's error divided by what the bound allows it; above 1 no order of summation explains it."""
        integers, computed_power = whole(computed)
        power = min(self.power, computed_power, -64)
        y, S = rebase(self.y, self.power, power), rebase(self.S, self.power, power)
        error = np.abs(rebase(integers, computed_power, power) - y)
        # Both sides times 2**(bits + 11), to stay in integers.
        bits = ACCUMULATOR_BITS[self.dtype]
        allowed = (self.h * S) << 11
        if self.dtype == np.float16:
            # Half a unit of float16: 2**-11 of the accumulator's value, at least 2**-25 among the subnormals.
            smallest = 1 << (-25 - power + bits + 11)
            allowed = allowed + np.maximum((np.abs(y) << bits) + self.h * S, smallest)
        # An error where none is allowed counts as beyond any bound.
        return np.where(error == 0, 0, (error << (bits + 11)) / np.maximum(allowed, 1)).astype(np.float64)

    def check(self, computed: Array) -> None:
        """Raise an AssertionError that addresses the worst output, if any is beyond its bound."""
        assert computed.shape == self.geometry.y_shape
        assert computed.dtype == self.dtype
        assert np.isfinite(computed).all()
        shares = self.shares(computed)
        if shares.max(initial=0) <= 1:
            return
        n, o, oh, ow = (int(i) for i in np.unravel_index(shares.argmax(), shares.shape))
        got, expected = float(computed[n, o, oh, ow]), float(self.y[n, o, oh, ow] * 2.0**self.power)
        raise AssertionError(
            f"{(shares > 1).sum()} of {shares.size} outputs are beyond the bound; the worst is y[{n}, {o}, {oh}, {ow}]"
            f" in group {o // self.geometry.group_filters}: got {got!r}, expected {expected!r},"
            f" {shares.max():.3g} times the bound of {self.h[n, o, oh, ow]} non-zero terms ({self.geometry})"
        )


def certificate(case: Case, x: Array, weight: Array, bias: Array | None) -> Certificate:
    """Return what any correct computation of this call must agree with."""
    geometry = case.geometry
    x_integers, x_power = whole(x)
    weight_integers, weight_power = whole(weight)
    y = tap_by_tap(x_integers, weight_integers, None, geometry)
    S = tap_by_tap(abs(x_integers), abs(weight_integers), None, geometry)
    h = tap_by_tap((x != 0).astype(np.int64), (weight != 0).astype(np.int64), None, geometry)
    power = x_power + weight_power
    if bias is not None:
        bias_integers, bias_power = whole(bias)
        power, product_power = min(power, bias_power), power
        bias_integers = rebase(bias_integers, bias_power, power)[:, None, None]
        y = rebase(y, product_power, power) + bias_integers
        S = rebase(S, product_power, power) + abs(bias_integers)
        h = h + 1
    return Certificate(geometry, np.result_type(x, weight), y, S, h, power)
