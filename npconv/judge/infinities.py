"""What infinities and NaN among the data make of each output, in any order of summation."""

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.sums import convolved
from npconv.memory import Array


def infinite_sums(x: Array, w: Array, b: Array, geometry: Geometry) -> tuple[Array, Array]:
    """Return what replaces a finite sum (an infinity, NaN, or 0 where all terms are finite), and where padding alone makes it NaN.

    A sum is NaN if a term is NaN, as infinity times zero is, or if terms are infinite in both directions; else it is as infinite as
    its infinite terms are. Products with padding are told apart, since a kernel may skip them.
    """
    x_nan, x_inf, x_zero, x_sign = np.isnan(x), np.isinf(x), x == 0, np.nan_to_num(np.sign(x))
    w_nan, w_inf, w_zero, w_sign = np.isnan(w), np.isinf(w), w == 0, np.nan_to_num(np.sign(w))
    inside, taps = np.ones(x.shape), np.ones(w.shape)
    x_end, w_end = x_sign * x_inf, w_sign * w_inf
    terms = {
        "x is NaN": (x_nan, taps),
        "w is NaN": (inside, w_nan),
        "infinity times zero": (x_inf, w_zero),
        "zero times infinity": (x_zero, w_inf),
        "infinity times any number": (x_inf, w_sign != 0),
        "finite number times infinity": ((x_sign != 0) & ~x_inf, w_inf),
        "signs of the former": (x_end, w_sign),
        "signs of the latter": (x_sign - x_end, w_end),
        "seen inside": (inside, w_nan | w_inf),
    }
    images, filters = zip(*terms.values(), strict=True)
    sums = convolved(images, filters, geometry)
    counts = dict(zip(terms, sums, strict=True))
    nan = sums[:4].any(0)
    infinite = counts["infinity times any number"] + counts["finite number times infinity"]
    signs = counts["signs of the former"] + counts["signs of the latter"]
    end = np.where(np.isinf(b), np.sign(b), 0.0)[:, None, None]
    nan, infinite, signs = nan | np.isnan(b)[:, None, None], infinite + np.abs(end), signs + end
    y = np.where(np.abs(signs) == infinite, np.copysign(np.inf, signs), np.nan)
    y = np.where(nan, np.nan, np.where(infinite > 0, y, 0.0))
    on_padding = (w_nan | w_inf).sum((1, 2, 3))[:, None, None] > counts["seen inside"]
    return y, on_padding & ~np.isnan(y)
