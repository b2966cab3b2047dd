"""How far Winograd's algorithm may end up from a convolution: its sums are of larger numbers than the products are.

``F(m, 3)`` takes m outputs of an axis from ``n = m + 2`` inputs d and 3 taps g: ``y = A ((G g) * (B d))``, and the same on the other axis
(Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks", section 4). Each y is a sum of terms ``A*G*g*B*d``, most of
which cancel. Whatever the order, a term passes through D roundings at most, so y errs by ``((1 + u)**D - 1)`` times the sum of the terms'
magnitudes. That sum is bounded here without asking where tiles begin: by the largest input of each channel within reach of any tile, the
magnitudes of its taps, and the largest sum of coefficients ``|A|*|G|*|B|`` that an output and a tap have. Implementations that
scale a row of G and unscale that of B have the same terms.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.formats import Format
from npconv.judge.sums import convolved
from npconv.memory import Array

# The points at which F(2, 3), F(4, 3) and F(6, 3) evaluate polynomials, beside infinity.
POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2), 6: (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))}
TAPS = 3
REACH = max(POINTS) - 1


def applies(geometry: Geometry) -> bool:
    """Return whether Winograd's algorithm may be used: for 3x3 taps side by side, at every place."""
    g = geometry
    return (g.KH, g.KW, g.stride, g.dilation) == (TAPS, TAPS, (1, 1), (1, 1))


def winograd_error(x: Array, w: Array, geometry: Geometry, sums: Format, least: float) -> Array:
    """Return by how much outputs may be off, for operands that are not negative; steps below `least` may be lost."""
    g = geometry
    largest = _largest_in_reach(x, g)
    pointwise = replace(g, H=g.OH, W=g.OW, KH=1, KW=1, padding=((0, 0), (0, 0)))
    taps = w.sum((2, 3), keepdims=True)
    S = largest_coefficients() ** 2 * convolved([largest], [taps], pointwise)[0]
    n = max(POINTS) + TAPS - 1
    # Two transforms of x and two back, each of n terms with a coefficient that is rounded itself, two of w, the product, the
    # channels and the bias.
    D = 4 * (n + 1) + 2 * (TAPS + 2) + 1 + g.group_channels + 1
    reached = (
        convolved([largest], [np.ones_like(taps)], pointwise)[0] + taps.sum((1, 2, 3))[:, None, None] + g.group_channels
    )
    lost = least * (n * largest_coefficients()) ** 2 * reached
    error: Array = np.expm1(D * np.log1p(sums.unit)) * (S + lost) * (1.0 + 2.0**-40) + lost
    return error


@cache
def largest_coefficients() -> float:
    """Return the largest sum of coefficients that the product of an output and a tap has along an axis, of any F(m, 3)."""
    totals = []
    for m in POINTS:
        A, G, B = (np.abs(matrix) for matrix in matrices(m))
        totals.append((A @ (G * B.sum(1, keepdims=True))).max())
    return float(max(totals))


def matrices(m: int) -> tuple[Array, Array, Array]:
    """Return A (m, n), G (n, 3) and B (n, n) of fractions, such that ``A @ ((G @ g) * (B @ d))`` correlates d with g.

    They are those of Toom and Cook, transposed: G and A evaluate polynomials at the points, and B interpolates.
    """
    points = POINTS[m]
    n = len(points) + 1
    A, G = ([[Fraction(p) ** k for p in points] + [Fraction(k == size - 1)] for k in range(size)] for size in (m, TAPS))
    B = []
    for p in points:
        others = [q for q in points if q != p]
        scale = prod((Fraction(p) - q for q in others), start=Fraction(1))
        B.append([c / scale for c in _with_roots(others)] + [Fraction(0)])
    B.append(_with_roots(points))
    return np.array(A, object), np.array(G, object).T, np.array(B, object).reshape(n, n)


def _with_roots(roots: Sequence[Fraction | int]) -> list[Fraction]:
    """Return the coefficients, lowest first, of the polynomial with these roots."""
    coefficients = [Fraction(1)]
    for root in roots:
        lower, higher = [*(-root * c for c in coefficients), Fraction(0)], [Fraction(0), *coefficients]
        coefficients = [a + b for a, b in zip(lower, higher, strict=True)]
    return coefficients


def _largest_in_reach(x: Array, geometry: Geometry) -> Array:
    """Return, for each output (N, C, OH, OW), the largest input that a tile around it may hold."""
    for axis, pads in ((2, geometry.padding[0]), (3, geometry.padding[1])):
        around = [(0, 0)] * 4
        around[axis] = (pads[0] + REACH, pads[1] + REACH)
        x = np.lib.stride_tricks.sliding_window_view(np.pad(x, around), 2 * REACH + TAPS, axis).max(-1)
    return x
