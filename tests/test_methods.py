"""Every method, case and type against the reference: equal on small integers, within the bound on random data."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npconv as nc
from bounds import certificate, tap_by_tap
from cases import (
    CASES,
    FUSED,
    INTEGERS,
    METHODS,
    Array,
    Case,
    bits,
    full_mantissa,
    full_range,
    small_integers,
    specials,
)
from npconv import reference
from strategies import cases, large_cases, one_in, seeds

FLOATS = ("float32", "float64")

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_method = pytest.mark.parametrize("method", METHODS)


def defined(case: Case, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return the reference's outputs as an array: floats as float64, integers wrapped to int64."""
    rows = reference.conv2d(x, weight, bias, **case.options)
    if np.issubdtype(np.result_type(x, weight), np.floating):
        return np.array(rows, np.float64).reshape(case.geometry.y_shape)
    wrapped = [[[[(y + 2**63) % 2**64 - 2**63 for y in row] for row in plane] for plane in image] for image in rows]
    return np.array(wrapped, np.int64).reshape(case.geometry.y_shape)


@cache
def small_integer_results(case: Case, seed: int, biased: bool) -> Array:
    """Return the reference's outputs on small signed integers."""
    x, weight, bias = small_integers(case, "int64", seed)
    return defined(case, x, weight, bias if biased else None)


def run(case: Case, method: str, x: Array, weight: Array, bias: Array | None, **options: Any) -> Array:
    """Return one method's outputs, after checking what every result must be."""
    y: Array = nc.conv2d(x, weight, bias, method=method, **case.options, **options)
    assert type(y) is np.ndarray
    assert y.shape == case.geometry.y_shape
    assert y.dtype == (np.int64 if np.issubdtype(x.dtype, np.integer) else x.dtype)
    return y


def check_equal(case: Case, x: Array, weight: Array, bias: Array | None, expected: Array) -> None:
    """Demand these values of every method, and the same bits of those that fuse."""
    results = {method: run(case, method, x, weight, bias) for method in case.methods(x.dtype)}
    for method, y in results.items():
        np.testing.assert_array_equal(y, expected.astype(y.dtype), err_msg=method, strict=True)
    assert len({bits(results[method]) for method in case.methods(x.dtype, FUSED)}) == 1


def check_bits(case: Case, x: Array, weight: Array, bias: Array | None, expected: Array) -> None:
    """Demand every bit of every method, NaN payloads aside; `expected` must need no rounding."""
    results = {method: run(case, method, x, weight, bias) for method in case.methods(x.dtype)}
    assert [method for method, y in results.items() if bits(y) != bits(expected.astype(y.dtype))] == []


def check_within_bound(case: Case, x: Array, weight: Array, bias: Array | None) -> None:
    """Demand every method within the bound, and the same bits of those that fuse."""
    judge = certificate(case, x, weight, bias)
    judge.check(run(case, "naive", x, weight, bias))
    results = {method: run(case, method, x, weight, bias) for method in case.methods(x.dtype, FUSED)}
    judge.check(results["direct"])
    assert {method for method, y in results.items() if bits(y) != bits(results["direct"])} == set()


@each_case
@pytest.mark.parametrize("dtype", [*FLOATS, "int32"])
def test_small_integers_are_exact(case: Case, dtype: str) -> None:
    x, weight, bias = small_integers(case, dtype, seed=1)
    check_equal(case, x, weight, bias, small_integer_results(case, 1, True))
    check_equal(case, x, weight, None, small_integer_results(case, 1, False))


@each_case
def test_float16_is_summed_in_float32_and_rounded_once(case: Case) -> None:
    # Outputs beyond 2048 are not exact in float16: the reference's are rounded to it once, as the kernels' must be.
    x, weight, bias = small_integers(case, "float16", seed=1)
    check_equal(case, x, weight, bias, small_integer_results(case, 1, True))


@each_case
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_over_their_whole_range_wrap_at_64_bits(case: Case, dtype: str) -> None:
    x, weight, bias = full_range(case, dtype, seed=3)
    wide = [operand.astype(np.int64) for operand in (x, weight, bias)]
    check_equal(case, x, weight, bias, tap_by_tap(wide[0], wide[1], wide[2], case.geometry))


@each_case
@pytest.mark.parametrize("live", [1.0, 0.3], ids=["dense", "sparse"])
@pytest.mark.parametrize("dtype", [*FLOATS, "float16"])
def test_random_data_stay_within_the_bound(case: Case, dtype: str, live: float) -> None:
    x, weight, bias = full_mantissa(case, dtype, seed=4, live=live)
    check_within_bound(case, x, weight, bias)
    check_within_bound(case, x, weight, None)


@each_case
@pytest.mark.parametrize("seed", range(3))
def test_signed_zeros_infinities_and_nan_are_those_of_the_definition(case: Case, seed: int) -> None:
    x, weight, bias = specials(case, seed)
    for b in (bias, None):
        expected = defined(case, x, weight, b)
        for dtype in FLOATS:
            check_bits(case, x.astype(dtype), weight.astype(dtype), None if b is None else b.astype(dtype), expected)


@each_method
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_infinite_or_nan_weight_over_padding_is_nan(method: str, value: float) -> None:
    x = np.ones((1, 1, 2, 3), np.float32)
    weight = np.zeros((1, 1, 3, 3), np.float32)
    weight[0, 0, 0, 0] = value
    y = nc.conv2d(x, weight, padding=1, method=method)
    # The first tap lies on padding in the first row and in the first column.
    expected = np.array([[np.nan, np.nan, np.nan], [np.nan, value, value]], np.float32)
    np.testing.assert_array_equal(y[0, 0], expected)


@each_method
def test_the_sign_of_a_zero_sum_is_that_of_its_terms(method: str) -> None:
    x = np.full((1, 1, 1, 20), -0.0, np.float32)
    weight = np.ones((1, 1, 1, 1), np.float32)
    assert np.signbit(nc.conv2d(x, weight, method=method)).all()
    assert not np.signbit(nc.conv2d(x, weight, np.zeros(1, np.float32), method=method)).any()


@each_method
def test_every_element_of_out_is_written(method: str) -> None:
    for case in CASES.values():
        if method in case.methods():
            x, weight, bias = small_integers(case, "float32", seed=5)
            expected = run(case, method, x, weight, bias)
            out = np.full(case.geometry.y_shape, np.nan, np.float32)
            assert run(case, method, x, weight, bias, out=out) is out
            np.testing.assert_array_equal(out, expected)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_depthwise_is_right_or_refuses(case: Case, dtype: str) -> None:
    x, weight, bias = small_integers(case, dtype, seed=1)
    if "depthwise" in case.methods(dtype):
        y = run(case, "depthwise", x, weight, bias)
        np.testing.assert_array_equal(y, small_integer_results(case, 1, True))
        return
    with pytest.raises(ValueError, match=r"conv2d: method 'depthwise' (serves one|keeps)"):
        run(case, "depthwise", x, weight, bias)
    # No CPU is so short of registers that it could not hold six rows.
    assert case.geometry.group_channels > 1 or case.geometry.KH > 6


def test_depthwise_refuses_groups_of_several_channels() -> None:
    x, weight, _ = small_integers(CASES["two groups"], "float32", seed=1)
    with pytest.raises(ValueError, match=r"conv2d: method 'depthwise' .* 2 per group\. Use method='direct'"):
        nc.conv2d(x, weight, groups=2, method="depthwise")


def test_an_unknown_method_is_refused_with_the_names_of_the_known() -> None:
    x = np.ones((1, 1, 2, 2), np.float32)
    with pytest.raises(ValueError, match=r"conv2d: .*winograd") as refusal:
        nc.conv2d(x, x, method="winograd")
    assert all(method in str(refusal.value) for method in METHODS)


def check_type(case: Case, seed: int, dtype: str, biased: bool, live: float) -> None:
    """Demand exact results on small integers of a type, and those within the bound on random data if it is floating."""
    x, weight, bias = small_integers(case, dtype, seed)
    b = bias if biased else None
    check_equal(case, x, weight, b, defined(case, x, weight, b))
    if dtype in FLOATS:
        x, weight, bias = full_mantissa(case, dtype, seed, live)
        check_within_bound(case, x, weight, bias if biased else None)


@given(cases(), seeds, st.booleans(), st.sampled_from((1.0, 0.2)))
def test_every_method_is_right_on_every_geometry(case: Case, seed: int, biased: bool, live: float) -> None:
    check_type(case, seed, "float32", biased, live)


# Each type compiles kernels of its own: few geometries in every run, and in a long run all.
@one_in(10 if settings().max_examples <= 500 else 1)
@given(cases(), seeds, st.sampled_from(("float64", *INTEGERS)), st.booleans(), st.sampled_from((1.0, 0.2)))
def test_every_type_is_right_on_every_geometry(case: Case, seed: int, dtype: str, biased: bool, live: float) -> None:
    check_type(case, seed, dtype, biased, live)


@one_in(5)
@given(cases(), seeds, st.booleans())
def test_special_values_are_right_on_every_geometry(case: Case, seed: int, biased: bool) -> None:
    x, weight, bias = specials(case, seed)
    expected = defined(case, x, weight, bias if biased else None)
    x, weight, bias = x.astype("float32"), weight.astype("float32"), bias.astype("float32")
    check_bits(case, x, weight, bias if biased else None, expected)


@one_in(5)
@given(large_cases(), seeds)
def test_every_method_is_right_over_many_tiles(case: Case, seed: int) -> None:
    x, weight, bias = small_integers(case, "int64", seed)
    expected = tap_by_tap(x, weight, bias, case.geometry)
    check_equal(case, x.astype("float32"), weight.astype("float32"), bias.astype("float32"), expected)
    x, weight, bias = full_mantissa(case, "float32", seed)
    results = {bits(run(case, method, x, weight, bias)) for method in case.methods(x.dtype, FUSED)}
    assert len(results) == 1
