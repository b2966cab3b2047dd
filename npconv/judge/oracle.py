"""What a convolution must give: its sums, and how far rounding can take a kernel from them.

Let ``s`` be the sum of ``h`` non-zero products (and a bias), ``S`` the sum of their magnitudes, ``u`` the unit roundoff. Whatever the
order of the additions, fused with products or not, rounded to nearest without overflow or underflow, the computed sum ``c`` has
``|c - s| <= h*u*S``, for every h. Jeannerod and Rump (2013), "Improved error bounds for inner products in floating-point arithmetic",
show it for products that are rounded before they are added. The proof here covers fused steps as well.

An addition of two floats a and b errs by at most ``v*|a + b|`` with ``v = u/(1 + u)``, and by at most ``|a|`` and at most ``|b|``: a and b
are floats themselves, and the nearest float is no farther away than they. A rounded product errs by ``u`` times its magnitude, which is
the claim for h = 1. Let a sum of m products meet one of n, with magnitudes P and Q, and let the claim hold for both. What they bring along
is ``m*u*P + n*u*Q`` at most, so the claim holds for ``m + n`` if the error e of this addition is at most ``R = n*u*P + m*u*Q``.

* If ``Q <= u*P``: ``e <= |b| <= Q + n*u*Q``, and ``R - n*u*Q >= u*(P - Q) + u*Q = u*P >= Q``. Likewise if ``P <= u*Q``.
* Else ``e <= v*(P + Q + m*u*P + n*u*Q)``, and ``R/v`` less the bracket is ``P*(n - 1 - u*(m - n)) + Q*(m - 1 + u*(m - n))``. For ``m >= n``
  that is least where ``Q = u*P``: ``P*((1 + u)*(n - 1) + u*u*(m - n)) >= 0``. For ``m < n`` exchange the letters.

A fused step adds an exact product, which brings nothing along: ``e`` may be ``u*P + (m + 1)*u*Q``. If ``Q <= u*P``, it is at most the
product's magnitude Q; else at most ``v*(P + Q + m*u*P)``, where ``m*u*P <= m*Q``. A zero product changes neither side.

Where products are so small that they become subnormal, each errs by half the smallest number once: as if the product itself were another.
The judge's own sums, by a BLAS in float64, are such sums too, and their bound is added. Nothing else is assumed of either.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.call import Call
from npconv.judge.formats import FORMATS, rounded
from npconv.judge.infinities import infinite_sums
from npconv.judge.model import Model
from npconv.judge.sums import FLOAT64, convolved, exact_sums, lowest_bit, magnitudes, wrapped_sums
from npconv.judge.winograd import applies, winograd_error
from npconv.memory import Array

U = FLOAT64.unit
# What bounds are enlarged by: more than the roundings of the arithmetic on them can take away.
SLACK = 1.0 + 2.0**-47
# How far an operand may be from what it is taken for, where nothing is uncertain.
SURE: Array = np.zeros(())
# Share of what a float64 kernel may err by that the judge's own sums may be off.
NEGLIGIBLE = 2.0**-8


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What each output may be; every array has the output's shape.

    Parameters
    ----------
    y : ndarray
        Sums, in float64 or, of integers, in int64. Where `bound` is zero, the only value that a kernel may give.
    S : ndarray
        Sums of magnitudes ``|x*w|``, and of ``|b|``.
    h : ndarray
        Number of products that are not zero, and of biases.
    bound : ndarray
        How far from `y` a kernel may end up, rounded up, the judge's own errors included.
    overflows : ndarray of bool
        Where some order of summation may exceed the largest number, so that an infinity or NaN proves nothing.
    may_be_nan : ndarray of bool
        Where NaN is as good as `y`, since an infinity or NaN meets padding, which the kernel may skip.
    """

    y: Array
    S: Array
    h: Array
    bound: Array
    overflows: Array
    may_be_nan: Array

    @property
    def exact(self) -> Array:
        """Where one value is demanded: every partial sum is exact, or a single product is rounded once."""
        exact: Array = self.bound == 0
        return exact

    def rearranged(self, view: Callable[[Array], Array]) -> "Expected":
        """Return the same for outputs that a kernel puts elsewhere; `view` moves elements of an array."""
        return Expected(*(view(getattr(self, field.name)) for field in fields(self)))


def expected(call: Call, model: Model, *, exact: bool = False) -> Expected:
    """Return what outputs may be under a model; `exact` asks for sums that are rounded but once, as float64 kernels always get."""
    with np.errstate(all="ignore"):
        if model.is_integer:
            return _whole(call, model)
        terms = _terms(call, model)
        if np.isfinite(terms.x).all() and np.isfinite(terms.w).all() and np.isfinite(terms.b).all():
            return _finite(terms, model, exact)
        result = _infinite(terms, model, exact)
        if np.isinf(terms.x).sum() == np.isinf(call.x).sum() and np.isinf(terms.w).sum() == np.isinf(call.weight).sum():
            return result
        # Inputs overflowed when they were rounded.
        endless = ~np.isfinite(result.y)
        return replace(result, bound=np.where(endless, np.inf, result.bound), overflows=result.overflows | endless)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Operands as a kernel multiplies them, in float64, and how far from those they may be; `bits` of the wider operand."""

    x: Array
    w: Array
    b: Array
    x_off: Array
    w_off: Array
    b_off: Array
    bits: int
    geometry: Geometry


def _terms(call: Call, model: Model) -> Terms:
    """Return the operands as a model's kernel takes them."""
    x, w = call.x.astype(np.float64), call.weight.astype(np.float64)
    b = np.zeros((1, call.geometry.O, 1, 1))
    if call.bias is not None:
        b[0, :, 0, 0] = call.bias
    bits = FORMATS[call.dtype.name].bits
    if not (model.inputs or model.flushes_subnormals):
        return Terms(x, w, b, SURE, SURE, SURE, bits, call.geometry)
    x, x_off = _taken(x, model, may_round=False)
    w, w_off = _taken(w, model, may_round=False)
    b, b_off = _taken(b, model, may_round=True)
    bits = min(bits, FORMATS[model.inputs or "float64"].bits)
    return Terms(x, w, b, x_off, w_off, b_off, bits, call.geometry)


def _taken(values: Array, model: Model, *, may_round: bool) -> tuple[Array, Array]:
    """Return an operand as it is rounded, and how far from that a kernel may take it."""
    near, off, floor = values, SURE, 0.0
    if model.inputs:
        form, near = FORMATS[model.inputs], rounded(values, model.inputs)
        floor = form.normal
        if may_round or model.faithful_inputs:
            # Both neighbours are within one step of the format, and so is each of the other.
            off = np.where(near == values, 0.0, np.maximum(2.0 * form.unit * np.abs(values), form.smallest))
            near = values if may_round else near
    if model.flushes_subnormals:
        tiny = np.abs(values) < max(floor, model.sums.normal)
        off = off + np.where(tiny, np.abs(near), 0.0)
    return near, off if off.any() else SURE


def _infinite(terms: Terms, model: Model, exact: bool) -> Expected:
    """Return sums of floats that are not all finite."""
    x, w, b = (np.where(np.isfinite(values), values, 0.0) for values in (terms.x, terms.w, terms.b))
    result = _finite(replace(terms, x=x, w=w, b=b), model, exact)
    y, on_padding = infinite_sums(terms.x, terms.w, terms.b.ravel(), terms.geometry)
    if not model.skips_padding:
        y, on_padding = np.where(on_padding, np.nan, y), np.zeros_like(on_padding)
    special = y != 0
    y, bound = np.where(special, y, result.y), np.where(special, 0.0, result.bound)
    if model.transform and applies(terms.geometry):
        # A transform mixes what it meets: no output is known.
        return replace(result, y=y, bound=np.full_like(bound, np.inf), overflows=np.ones_like(on_padding))
    return replace(result, y=y, bound=bound, may_be_nan=on_padding)


def _finite(terms: Terms, model: Model, exact: bool) -> Expected:
    """Return sums of finite floats."""
    x, w, b, g, sums = terms.x, terms.w, terms.b, terms.geometry, model.sums
    x_size, w_size, b_size = np.abs(x) + terms.x_off, np.abs(w) + terms.w_off, np.abs(b) + terms.b_off
    y, (S, h) = convolved([x], [w], g)[0] + b, magnitudes(x_size, w_size, g)
    S, h = S + b_size, h + (b_size != 0)
    loose = np.zeros(g.y_shape)
    if terms.x_off.ndim or terms.w_off.ndim or terms.b_off.ndim:
        # Products of what is taken and what may be differ by x_off*w_size + |x|*w_off at most.
        x_off, w_off = np.broadcast_to(terms.x_off, x.shape), np.broadcast_to(terms.w_off, w.shape)
        loose = convolved((x_off, np.abs(x)), (w_size, w_off), g).sum(0) * (1.0 + 4.0 * h * U) + terms.b_off
    q = _unit(terms)
    certain, value = _certain(y, S, h, q, terms, model)
    certain &= loose == 0
    if model.transform and applies(g):
        least = sums.normal if model.flushes_subnormals else sums.smallest
        loose = loose + winograd_error(x_size, w_size, g, sums, least)
        certain = np.zeros_like(certain)

    most = S * (1.0 + 4.0 * h * U)
    own = h * (U * most + FLOAT64.smallest)
    if exact or (sums is FLOAT64 and not certain.all()):
        least = 0.0 if exact else NEGLIGIBLE * U * float(S[~certain].min())
        y, own = exact_sums(x, w, b, g, most, h, least)
    bound, overflows = _bound(y, most, h, q, loose + own, terms, model)
    none = np.zeros(g.y_shape, bool)
    return Expected(np.where(certain, value, y), S, h, np.where(certain, 0.0, bound), overflows, none)


def _unit(terms: Terms) -> Array:
    """Return exponents q (N, O, 1, 1), such that all terms of an output are multiples of ``2**q``."""
    g = terms.geometry
    x = lowest_bit(terms.x.reshape(g.N, g.groups, 1, g.group_channels * g.H * g.W), (3,))
    w = lowest_bit(terms.w.reshape(1, g.groups, g.group_filters, -1), (3,))
    unit: Array = np.minimum((x + w).reshape(g.N, g.O, 1, 1), lowest_bit(terms.b[..., None], (4,)))
    return unit


def _certain(y: Array, S: Array, h: Array, q: Array, terms: Terms, model: Model) -> tuple[Array, Array]:
    """Return which outputs can have one value only, and that value.

    Terms are multiples of ``2**q`` and their magnitudes add up to S. If ``S < 2**(q + bits)``, each partial sum is a multiple of ``2**q``
    with so few bits that it is exact. So is S itself in float64: were it larger, its computed value would be as well.
    A single product is rounded once, whether it is added to zero or fused with it.
    """
    sums, least = model.sums, model.sums.normal if model.flushes_subnormals else model.sums.smallest
    certain = (np.frexp(S)[1] <= q + sums.bits) & np.isfinite(S) & (np.ldexp(1.0, q) >= least)
    value = rounded(y, model.accumulator)
    # A product of 26 bits each is exact in float64.
    if terms.bits <= sums.bits and (terms.bits <= 26 or sums is FLOAT64):
        certain |= (h == 1) & (np.abs(value) >= 2.0 * sums.normal if model.flushes_subnormals else True)
    certain |= h == 0
    if model.output:
        # Whether it is rounded twice or once is the kernel's choice.
        certain &= value == y
        value = rounded(value, model.output)
        if model.flushes_subnormals:
            certain &= (np.abs(value) >= FORMATS[model.output].normal) | (value == 0)
    return certain & (np.abs(value) <= FORMATS[model.result].largest), value


def _bound(y: Array, S: Array, h: Array, q: Array, slips: Array, terms: Terms, model: Model) -> tuple[Array, Array]:
    """Return how far from y a kernel may end up, and where it may overflow; `slips` are what is uncertain beside its own rounding."""
    sums = model.sums
    # A step that ends up below the normal numbers is off by half the smallest, which float64 itself may not hold, or is flushed.
    tiny = np.where(np.ldexp(1.0, q) >= sums.smallest, 0.0, sums.smallest)
    if model.flushes_subnormals:
        tiny = np.where(np.ldexp(1.0, q) >= sums.normal, 0.0, 2.0 * sums.normal)
    # Products of operands wider than the sums may be rounded to the operands' type first.
    wide = 2.0 * 2.0**-terms.bits if terms.bits > sums.bits else 0.0
    S = S + h * tiny + wide * S
    bound = (slips + h * sums.unit * S + h * tiny + wide * S) * SLACK
    overflows = (1.0 + h * sums.unit) * S * SLACK > sums.largest
    if model.output:
        narrow = FORMATS[model.output]
        reach = (np.abs(y) + bound) * SLACK
        overflows |= reach > narrow.largest
        bound = (
            bound + np.maximum(narrow.unit * reach, narrow.normal if model.flushes_subnormals else narrow.smallest)
        ) * SLACK
    return np.where(np.isnan(bound), np.inf, bound), overflows | ~np.isfinite(bound)


def _whole(call: Call, model: Model) -> Expected:
    """Return sums of integers, which wrap."""
    g, none = call.geometry, np.zeros(call.geometry.y_shape, bool)
    x, w = np.abs(call.x.astype(np.float64)), np.abs(call.weight.astype(np.float64))
    y, (S, h) = wrapped_sums(call.x, call.weight, g), magnitudes(x, w, g)
    if call.bias is not None:
        b = call.bias.astype(np.int64)[:, None, None]
        y, S, h = y + b, S + np.abs(b.astype(np.float64)), h + (b != 0)
    return Expected(y.astype(model.accumulator).astype(np.int64), S, h, np.zeros(g.y_shape), none, none)
