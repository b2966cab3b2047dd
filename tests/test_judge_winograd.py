"""The model of Winograd's algorithm: the algorithm itself, in float32 and with tiles of any size, stays within it."""

from fractions import Fraction
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npconv as nc
from cases import Array
from npconv.judge import Model, Verdict
from npconv.judge.winograd import POINTS, largest_coefficients, matrices
from strategies import one_in, seeds

each_tile = pytest.mark.parametrize("m", POINTS)


@each_tile
def test_matrices_correlate(m: int) -> None:
    A, G, B = matrices(m)
    assert (A.shape, G.shape, B.shape) == ((m, m + 2), (m + 2, 3), (m + 2, m + 2))
    # Whatever the inputs and taps: the coefficient of d[j]*g[t] in y[k] is 1 where j = k + t.
    for k in range(m):
        products = np.einsum("i,ij,it->jt", A[k], B, G)
        assert (products == [[j == k + t for t in range(3)] for j in range(m + 2)]).all()


def test_coefficients_of_the_smallest_tile_by_hand() -> None:
    # y[0] = d0*g0 + ... as (d0 - d2)*g0 + (d1 + d2)*(g0 + g1 + g2)/2 - (d1 - d2)*(g0 - g1 + g2)/2:
    # the coefficients of g0 add up to 2 + 2/2 + 2/2, those of g1 to 2.
    A, G, B = (np.abs(matrix) for matrix in matrices(2))
    assert (A @ (G * B.sum(1, keepdims=True))).max() == Fraction(4)
    assert largest_coefficients() >= 4


def convolved_in_tiles(x: Array, weight: Array, m: int, start: int) -> Array:
    """Return a convolution with padding 1 by F(m, 3) in float32, tiles beginning at this row and column or before."""
    A, G, B = (matrix.astype(np.float32) for matrix in matrices(m))
    N, C, H, W = x.shape
    O = len(weight)
    y = np.zeros((N, O, H, W), np.float32)
    padded = np.zeros((N, C, H + 4 * m + 2, W + 4 * m + 2), np.float32)
    padded[:, :, m + 1 : m + 1 + H, m + 1 : m + 1 + W] = x
    transformed = np.einsum("it,octs,js->ocij", G, weight, G, dtype=np.float32)
    for top in range(start - m, H, m):
        for left in range(start - m, W, m):
            d = padded[:, :, top + m : top + 2 * m + 2, left + m : left + 2 * m + 2]
            products = np.einsum("ncij,ocij->noij", B @ d @ B.T, transformed, dtype=np.float32)
            tile = A @ products @ A.T
            rows, columns = (slice(max(0, i), max(0, i + m)) for i in (top, left))
            place = y[:, :, rows, columns]
            place[...] = tile[:, :, max(0, -top) :, max(0, -left) :][:, :, : place.shape[2], : place.shape[3]]
    return y


@settings(one_in(10))
@given(
    seeds, st.sampled_from(list(POINTS)), st.integers(0, 5), st.sampled_from([1, 3, 20]), st.sampled_from([1.0, 0.05])
)
def test_the_algorithm_stays_within_its_bound(seed: int, m: int, start: int, C: int, live: float) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((2, C, 9, 8)) * (rng.random((2, C, 9, 8)) < live)).astype(np.float32)
    x[0] *= 2.0 ** rng.integers(-20, 20, x[0].shape)
    weight = rng.standard_normal((3, C, 3, 3)).astype(np.float32)
    y = convolved_in_tiles(x, weight, m, start % m)
    report = nc.check(y, x, weight, padding=1, model="winograd")
    assert report.verdict is not Verdict.WRONG, str(report)
    # Where the input is large only far away, the errors show.
    assert nc.check(y[1:], x[1:], weight, padding=1, model="winograd").judgement.excess.max(initial=0) < 0.5


def test_mistakes_are_still_seen() -> None:
    rng = np.random.default_rng(3)
    x, weight = (
        rng.standard_normal((1, 8, 9, 8)).astype(np.float32),
        rng.standard_normal((3, 8, 3, 3)).astype(np.float32),
    )
    y = convolved_in_tiles(x, weight, 6, 0)
    assert nc.check(y, x, weight, padding=1).verdict is Verdict.WRONG
    assert nc.check(y, x, weight, padding=1, model="winograd").verdict is Verdict.WITHIN_BOUND
    y[0, 1, 2, 3] += 1
    report = nc.check(y, x, weight, padding=1, model="winograd")
    assert report.first is not None
    assert report.first.index == (0, 1, 2, 3)


def test_where_the_algorithm_does_not_apply_sums_are_held_to_their_own_bound() -> None:
    x, weight = np.ones((1, 1, 5, 5), np.float32), np.ones((1, 1, 2, 2), np.float32)
    assert nc.check(np.full((1, 1, 4, 4), 4, np.float32), x, weight, model="winograd").verdict is Verdict.EXACT
    assert nc.check(np.full((1, 1, 4, 4), np.float32(4.000001)), x, weight, model="winograd").verdict is Verdict.WRONG


@pytest.mark.parametrize("value", [inf, np.nan])
def test_infinities_and_nan_are_mixed_by_a_transform(value: float) -> None:
    x, weight = np.ones((1, 1, 5, 5), np.float32), np.ones((1, 1, 3, 3), np.float32)
    x[0, 0, 0, 0] = value
    report = nc.check(np.full((1, 1, 3, 3), np.nan, np.float32), x, weight, model="winograd")
    assert report.verdict is Verdict.INCONCLUSIVE


def test_flushed_numbers_widen_the_bound() -> None:
    x, weight = np.full((1, 1, 5, 5), 1e-30, np.float32), np.full((1, 1, 3, 3), 1e-9, np.float32)
    zeros = np.zeros((1, 1, 3, 3), np.float32)
    flushing = Model("float32", transform="winograd", flushes_subnormals=True)
    assert nc.check(zeros, x, weight, model=flushing).verdict is Verdict.INCONCLUSIVE
    assert str(flushing) == "sums in float32, subnormals flushed to zero, by Winograd's algorithm where that applies"


@pytest.mark.parametrize(("transform", "accumulator"), [("fft", "float32"), ("winograd", "int32")])
def test_other_transforms_are_refused(transform: str, accumulator: str) -> None:
    with pytest.raises(ValueError, match="the one known here is 'winograd' on floats"):
        Model(accumulator, transform=transform)
