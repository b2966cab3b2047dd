"""What a convolution must give: exact sums, and how far rounding can take a kernel from them.

Let ``s`` be the sum of ``h`` non-zero products (and a bias), ``S`` the sum of their magnitudes, ``u`` the unit roundoff. Whatever the
order of the additions, fused with products or not, rounded to nearest without overflow or underflow, the computed sum ``c`` has
``|c - s| <= h*u*S``, for every h. (For products in any order: Jeannerod and Rump, 2013, "Improved error bounds for inner products in
floating-point arithmetic", theorem 3.1. The proof below also covers fused steps.)

Proof. An addition of two floats, ``c = round(a + b)``, errs by at most ``v*|a + b|`` with ``v = u/(1 + u)``, and by at most ``|a|`` and
``|b|``, since a and b are floats themselves and the nearest one is no farther away. A single rounded product errs by ``u`` times its
magnitude: the claim for h = 1. Let a sum A of m products meet a sum B of n, and the claim hold for both, with magnitudes P and Q. Their
errors add up to ``m*u*P + n*u*Q`` at most, so the new error e may be ``R = n*u*P + m*u*Q`` for the claim to hold for m + n.

* If ``Q <= u*P``: ``e <= |b| <= Q + n*u*Q``, which ``R`` exceeds: ``R - n*u*Q >= n*u*(P - Q) + m*u*Q >= u*P >= Q``. Likewise for P.
* Else ``e <= v*(P + Q + m*u*P + n*u*Q)``, and ``R/v`` less that is ``P*(n - 1 - u*(m - n)) + Q*(m - 1 + u*(m - n))``. For ``m >= n``
  it is least at ``Q = u*P``, and there not negative; for ``m < n`` the same with the letters exchanged.

A fused step adds an exact product, n = 1, that brings no error of its own: ``e`` may be ``u*P + (m + 1)*u*Q``. Where ``Q <= u*P`` it is at
most the product's magnitude, Q; else at most ``v*(P + Q + m*u*P)``, and ``m*u*P <= m*Q`` or, where ``P <= Q``, less. A zero product adds
nothing to either side. This is all that is assumed of the kernel, and of the BLAS that computes the judge's own sums in float64.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npconv.arrays import Array
from npconv.geometry import Geometry
from npconv.judge.call import Call
from npconv.judge.formats import FORMATS, rounded
from npconv.judge.model import Model

U = FORMATS["float64"].unit
# What the judge's own arithmetic on bounds is enlarged by: some ten roundings.
SLACK = 1.0 + 2.0**-48
# Bytes of columns that are unfolded at a time.
BLOCK = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What each output may be; every array has the output's shape.

    Parameters
    ----------
    y : ndarray
        Sums in float64, or whole ones in int64. Where `bound` is zero, the only value that a kernel may give.
    S : ndarray
        Sums of magnitudes ``|x*w|``, and of ``|b|``.
    h : ndarray
        Number of products that are not zero, one more with a bias.
    bound : ndarray
        How far from `y` a kernel may end up, rounded up, the judge's own errors included.
    overflows : ndarray of bool
        Where some order of summation may exceed the largest number.
    may_be_nan : ndarray of bool
        Where NaN is as good as `y`, since padding meets an infinity that a kernel may skip.
    """

    y: Array
    S: Array
    h: Array
    bound: Array
    overflows: Array
    may_be_nan: Array

    @property
    def exact(self) -> Array:
        """Where equality is demanded."""
        exact: Array = self.bound == 0
        return exact

    def likely(self, model: Model) -> Array:
        """Return errors that correct sums rarely exceed: ``6*sqrt(h)*u*S`` in place of ``h*u*S``. It proves nothing."""
        if model.is_integer:
            return self.bound
        spared = np.maximum(self.h - 6.0 * np.sqrt(self.h), 0.0) * model.sums.unit * np.where(self.bound > 0, self.S, 0)
        return np.where(np.isfinite(spared), self.bound - spared, self.bound)

    def rearranged(self, view: Callable[[Array], Array]) -> "Expected":
        """Return the same for outputs that a kernel puts elsewhere."""
        return replace(self, **{name: view(getattr(self, name)) for name in self.__slots__})


def expected(call: Call, model: Model, *, exact: bool = False) -> Expected:
    """Return what outputs must be, to rounding in float64, or to the last bit if `exact` (and always for float64 sums)."""
    x, w = rounded(call.x, model.inputs or "float64"), rounded(call.weight, model.inputs or "float64")
    g = call.geometry
    y, S, h = convolved((x, np.abs(x), x != 0), (w, np.abs(w), w != 0), g)
    if call.bias is not None:
        b = call.bias.astype(np.float64)[:, None, None]
        y, S, h = y + b, S + np.abs(b), h + (b != 0)
    u = model.sums.unit
    S = S * (1.0 + 4.0 * h * U)
    bound = (h * (u + 2.0 * U) * S + h * model.sums.smallest) * SLACK
    if model.output:
        narrow = FORMATS[model.output]
        bound = (bound + np.maximum(narrow.unit * (np.abs(y) + bound), narrow.smallest)) * SLACK
    none = np.zeros(g.y_shape, bool)
    return Expected(y, S, h, bound, none, none)


def convolved(images: tuple[Array, ...], filters: tuple[Array, ...], geometry: Geometry) -> Array:
    """Return several convolutions of one geometry in float64, stacked: windows as columns, and a matrix product for each group."""
    g = geometry
    y = np.empty((len(images), g.N, g.groups, g.group_filters, g.OH, g.OW))
    rows = [w.astype(np.float64, copy=False).reshape(g.groups, g.group_filters, g.K) for w in filters]
    for n in range(g.N):
        for i, image in enumerate(images):
            windows = _windows(image[n], g)
            for oh, ow in _blocks(g):
                block = windows[..., oh, ow]
                columns = np.ascontiguousarray(block).reshape(g.groups, g.K, -1)
                y[i, n, :, :, oh, ow] = (rows[i] @ columns).reshape(g.groups, g.group_filters, *block.shape[-2:])
    return y.reshape(len(images), *g.y_shape)


def _windows(image: Array, geometry: Geometry) -> Array:
    """Return a view (C, KH, KW, OH, OW) of one padded image (C, H, W)."""
    g = geometry
    (sh, sw), (dh, dw), ((top, bottom), (left, right)) = g.stride, g.dilation, g.padding
    padded = np.zeros((g.C, top + g.H + bottom, left + g.W + right))
    padded[:, top : top + g.H, left : left + g.W] = image
    c, h, w = padded.strides
    shape, strides = (g.C, g.KH, g.KW, g.OH, g.OW), (c, h * dh, w * dw, h * sh, w * sw)
    return np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)


def _blocks(geometry: Geometry) -> Iterator[tuple[Any, Any]]:
    """Yield slices of rows and columns of the output whose windows take no more than `BLOCK` bytes, or one output each."""
    g = geometry
    outputs = max(1, BLOCK // (8 * g.groups * g.K))
    height, width = max(1, outputs // g.OW), min(g.OW, outputs)
    for oh in range(0, g.OH, height):
        for ow in range(0, g.OW, width):
            yield slice(oh, oh + height), slice(ow, ow + width)
