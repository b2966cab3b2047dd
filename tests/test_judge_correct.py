"""The judge never cries wolf: whatever the data, no output of our own methods is WRONG."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npconv as nc
from cases import INTEGERS, METHODS, Array, Case, full_mantissa, full_range, small_integers, specials
from npconv.judge import Verdict
from strategies import cases, one_in, seeds

KINDS = ("dense", "sparse", "cancelling", "huge", "tiny", "wide", "constant", "integers", "specials")


def data(kind: str, case: Case, dtype: str, seed: int) -> tuple[Array, Array, Array]:
    """Return ``x, weight, bias`` that are hard to add up in one way or another."""
    if kind == "integers":
        return small_integers(case, dtype, seed)
    if kind == "specials":
        x, weight, bias = specials(case, seed)
        return x.astype(dtype), weight.astype(dtype), bias.astype(dtype)
    rng = np.random.default_rng(seed)
    x, weight, bias = full_mantissa(case, "float64", seed, live=0.2 if kind == "sparse" else 1.0)
    top, bottom = np.log2(float(np.finfo(dtype).max)), np.log2(float(np.finfo(dtype).smallest_subnormal))
    if kind == "cancelling":
        x += 100.0
        weight -= weight.mean((1, 2, 3), keepdims=True)
    elif kind == "huge":
        x, weight = x * 2.0 ** (top / 2), weight * 2.0 ** (top / 2 - 6)
    elif kind == "tiny":
        x, weight, bias = x * 2.0 ** (bottom / 2), weight * 2.0 ** (bottom / 2), bias * 2.0**bottom
    elif kind == "wide":
        x *= 2.0 ** rng.integers(-int(top) // 3, int(top) // 3, x.shape)
    elif kind == "constant":
        x[...], weight[...] = 0.1, 0.7
    return x.astype(dtype), weight.astype(dtype), bias.astype(dtype)


@settings(one_in(25))
@given(cases(), seeds, st.sampled_from(KINDS), st.sampled_from(["float16", "float32", "float64"]), st.booleans())
def test_no_correct_output_of_floats_is_wrong(case: Case, seed: int, kind: str, dtype: str, biased: bool) -> None:
    x, weight, bias = data(kind, case, dtype, seed)
    b = bias if biased else None
    for method in case.methods(dtype):
        y = nc.conv2d(x, weight, b, method=method, **case.options)
        report = nc.check(y, x, weight, b, **case.options)
        assert report.verdict is not Verdict.WRONG, f"{method}\n{report}"
        if kind == "integers" and y.size:
            assert report.verdict is Verdict.EXACT


@settings(one_in(50))
@given(cases(), seeds, st.sampled_from(INTEGERS), st.booleans())
def test_every_correct_output_of_integers_is_exact(case: Case, seed: int, dtype: str, biased: bool) -> None:
    x, weight, bias = full_range(case, dtype, seed)
    b = bias if biased else None
    for method in case.methods(dtype):
        y = nc.conv2d(x, weight, b, method=method, **case.options)
        assert nc.check(y, x, weight, b, **case.options).verdict is (Verdict.EXACT if y.size else Verdict.INCONCLUSIVE)
        # Sums modulo 2**32 are those modulo 2**64, cut.
        cut = y.astype(np.int32)
        assert nc.check(cut, x, weight, b, **case.options).verdict is not Verdict.WRONG


@pytest.mark.parametrize("method", METHODS)
def test_an_output_that_is_one_bit_off_is_wrong(method: str) -> None:
    case = Case((1, 3, 5, 6), (3, 1, 3, 3), padding=1, groups=3)
    x, weight, bias = small_integers(case, "float32", 3)
    y = nc.conv2d(x, weight, bias, method=method, **case.options)
    y[0, 1, 2, 3] = np.nextafter(y[0, 1, 2, 3], np.float32(np.inf))
    report = nc.check(y, x, weight, bias, **case.options)
    assert report.verdict is Verdict.WRONG
    assert report.first is not None
    assert report.first.index == (0, 1, 2, 3)
