"""The judge's oracle: against the definition on fractions, against whole numbers of any size, and against kernels at risk."""

import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bounds import certificate, tap_by_tap
from cases import CASES, INTEGERS, Array, Case, full_mantissa, full_range, small_integers, specials
from kernels_at_risk import Kernel, nearest
from npconv import reference
from npconv.judge.call import Call, checked_call
from npconv.judge.formats import FORMATS, rounded
from npconv.judge.model import MODELS, Model, model_of
from npconv.judge.oracle import Expected, expected
from strategies import cases, large_cases, one_in, seeds

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def fractions(values: Array) -> Array:
    """Return numbers as exact fractions."""
    return np.array([Fraction(value) for value in values.ravel().tolist()], object).reshape(values.shape)


def oracle(case: Case, operands: tuple[Array, Array, Array | None], model: Any = None, **options: Any) -> Expected:
    call = checked_call(*operands, **case.options)
    return expected(call, model_of(model, call), **options)


def defined(case: Case, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return the definition's sums of fractions."""
    y = reference.conv2d(fractions(x), fractions(weight), None if bias is None else fractions(bias), **case.options)
    return np.array(y, object).reshape(case.geometry.y_shape)


def some(values: Array) -> Array:
    """Return up to 100 outputs, from all over the array: fractions are slow."""
    return values.ravel()[:: max(1, values.size // 100)]


def check_against_fractions(
    allowed: Expected, y: Array, S: Array, h: Array, bits: int, *, slack: Fraction = Fraction(1, 1000)
) -> None:
    """Demand that what is allowed holds all that a kernel may give, and hardly more."""
    assert (allowed.h == h).all()
    got, bound = fractions(allowed.y), fractions(allowed.bound)
    own, u = np.abs(got - y), Fraction(1, 2**bits)
    exact = allowed.exact
    assert (np.abs(fractions(allowed.S) - S) <= h * S / 2**53).all()
    assert (own + h * u * S <= bound)[~exact].all()
    assert (bound <= h * u * S * (1 + slack))[~exact].all()
    # A single product is rounded once; all other exact sums are as they stand.
    assert (own <= u * np.abs(y) * (h == 1))[exact].all()


def test_a_case_by_hand() -> None:
    x = np.array([[[[1.0, 2.0, 0.0, 4.0]]]], np.float32)
    weight = np.array([[[[0.1, -3.0]]]], np.float32)
    allowed = oracle(Case((1, 1, 1, 4), (1, 1, 1, 2)), (x, weight, None))
    tenth = float(np.float32(0.1))
    assert allowed.y.ravel().tolist() == [tenth - 6, float(np.float32(0.2)), -12.0]
    assert allowed.h.ravel().tolist() == [2, 1, 1]
    np.testing.assert_allclose(allowed.S.ravel(), [tenth + 6, 2 * tenth, 12], rtol=1e-14)
    # Two roundings of 2**-24 at most; a single product is exact or rounded once.
    assert allowed.bound.ravel()[1:].tolist() == [0, 0]
    np.testing.assert_allclose(allowed.bound.ravel()[0], 2 * 2.0**-24 * (tenth + 6), rtol=1e-6)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("live", [1.0, 0.1])
def test_outputs_are_those_of_the_certificate(case: Case, dtype: str, live: float) -> None:
    x, weight, bias = full_mantissa(case, dtype, 5, live)
    for b in (bias, None):
        allowed, truth = oracle(case, (x, weight, b)), certificate(case, x, weight, b)
        unit = Fraction(2) ** truth.power
        bits = FORMATS[dtype].bits
        slack = Fraction(1, 100) if dtype == "float32" else Fraction(51, 100)
        y, S, h = (some(values) for values in (truth.y, truth.S, truth.h))
        check_against_fractions(allowed.rearranged(some), y * unit, S * unit, h, bits, slack=slack)


@settings(one_in(20))
@given(cases((2_000,)), seeds, st.sampled_from(["float16", "float32", "float64"]), st.sampled_from([1.0, 0.3, 0.05]))
def test_sums_are_those_of_the_definition_on_fractions(case: Case, seed: int, dtype: str, live: float) -> None:
    x, weight, bias = full_mantissa(case, dtype, seed, live)
    y, S = defined(case, x, weight, bias), defined(case, *map(np.abs, (x, weight, bias)))
    h = defined(case, *((values != 0).astype(int) for values in (x, weight, bias))).astype(int)
    model = MODELS["float64" if dtype == "float64" else "float32"]
    # Beside rounding, the smallest numbers.
    check_against_fractions(oracle(case, (x, weight, bias), model), y, S, h, model.sums.bits, slack=Fraction(51, 100))


@settings(one_in(50))
@given(large_cases(), seeds, st.sampled_from(["float32", "float64"]))
def test_large_outputs_are_those_of_the_certificate(case: Case, seed: int, dtype: str) -> None:
    x, weight, bias = full_mantissa(case, dtype, seed)
    allowed, truth = oracle(case, (x, weight, bias)), certificate(case, x, weight, bias)
    unit = Fraction(2) ** truth.power
    some = np.s_[:2, :8, :4, :4]
    part = Expected(*(getattr(allowed, name)[some] for name in allowed.__slots__))
    slack = Fraction(1, 100) if dtype == "float32" else Fraction(51, 100)
    check_against_fractions(
        part, truth.y[some] * unit, truth.S[some] * unit, truth.h[some], FORMATS[dtype].bits, slack=slack
    )


@pytest.mark.parametrize(
    ("dtype", "spread"), [("float32", 0), ("float32", 40), ("float64", 0), ("float64", 300), ("float64", 600)]
)
def test_exact_sums_are_rounded_once(dtype: str, spread: int) -> None:
    case = CASES["three groups, more channels than filters"]
    rng = np.random.default_rng(6)
    x, weight, bias = (
        (values * 2.0 ** rng.integers(-spread, spread + 1, values.shape)).astype(dtype)
        for values in full_mantissa(case, "float64", 6)
    )
    allowed, y = oracle(case, (x, weight, bias), exact=True), defined(case, x, weight, bias)
    small = Fraction(2) ** -1073
    finite = np.isfinite(allowed.S)
    assert finite.any()
    error = np.abs(fractions(np.where(finite, allowed.y, 0)) - y)
    assert (error <= np.abs(y) * (1 + Fraction(1, 2**30)) / 2**53 + small * fractions(allowed.h))[finite].all()


@each_case
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap(case: Case, dtype: str) -> None:
    x, weight, bias = full_range(case, dtype, seed=3)
    wide = tap_by_tap(x.astype(np.int64), weight.astype(np.int64), bias.astype(np.int64), case.geometry)
    allowed = oracle(case, (x, weight, bias))
    np.testing.assert_array_equal(allowed.y, wide, strict=True)
    assert allowed.exact.all()
    narrow = oracle(case, (x, weight, bias), "int32").y
    np.testing.assert_array_equal(narrow, (wide + 2**31) % 2**32 - 2**31, strict=True)


@each_case
@pytest.mark.parametrize("seed", range(3))
def test_infinities_and_nan_are_those_of_the_definition(case: Case, seed: int) -> None:
    x, weight, bias = specials(case, seed)
    for b in (bias, None):
        y = np.array(reference.conv2d(x, weight, b, **case.options), np.float64).reshape(case.geometry.y_shape)
        allowed = oracle(case, (x, weight, b))
        np.testing.assert_array_equal(allowed.y, y)
        assert allowed.exact.all()


def test_padding_that_is_skipped_may_hide_an_infinite_weight() -> None:
    x, weight = np.ones((1, 1, 2, 3)), np.zeros((1, 1, 3, 3))
    weight[0, 0, 0, 0] = np.inf
    case = Case((1, 1, 2, 3), (1, 1, 3, 3), padding=1)
    nan = np.array([[True, True, True], [True, False, False]])
    strict = oracle(case, (x, weight, None))
    assert (np.isnan(strict.y[0, 0]) == nan).all()
    lenient = oracle(case, (x, weight, None), Model("float64", skips_padding=True))
    assert (lenient.y[0, 0] == [[0, 0, 0], [0, np.inf, np.inf]]).all()
    assert (lenient.may_be_nan[0, 0] == nan).all()


def drawn(seed: int, count: int, kind: str) -> tuple[Array, Array]:
    """Return operands of one sum, in float32."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((2, count))
    if kind == "cancelling":
        x, w = np.concatenate([x, x])[:count] * 3, np.concatenate([w, -w * (1 + 2.0**-20)])[:count]
    elif kind == "constant":
        x, w = np.full(count, x[0]), np.full(count, w[0])
    elif kind == "wide":
        x = x * 2.0 ** rng.integers(-12, 13, count)
    elif kind == "tiny":
        x, w = x * 2.0**-70, w * 2.0 ** rng.integers(-80, -55, count)
    elif kind == "sparse":
        x *= rng.random(count) < 2 / count
    return x.astype(np.float32), w.astype(np.float32)


@settings(one_in(2))
@given(
    seeds,
    st.sampled_from([1, 2, 3, 7, 30]),
    st.sampled_from(["dense", "cancelling", "constant", "wide", "tiny", "sparse"]),
    st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
    st.sampled_from([None, "tf32", "bfloat16", "float16"]),
    st.sampled_from([None, "float16", "bfloat16"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_no_order_of_summation_leaves_the_bound(
    seed: int,
    count: int,
    kind: str,
    accumulator: str,
    inputs: str | None,
    output: str | None,
    faithful: bool,
    flushes: bool,
    biased: bool,
) -> None:
    x, w = drawn(seed, count, kind)
    bias = np.array([w[0] * x[-1]], np.float32) if biased else None
    model = Model(accumulator, inputs, output, faithful_inputs=faithful, flushes_subnormals=flushes)
    call = checked_call(x.reshape(1, 1, 1, -1), w.reshape(1, 1, 1, -1), bias)
    allowed = expected(call, model)
    if not allowed.overflows.any():
        for attempt in range(3):
            got = computed(call, model, seed + attempt)
            error = abs(got - Fraction(float(allowed.y.item())))
            assert error <= Fraction(float(allowed.bound.item())), float(
                error / Fraction(float(allowed.bound.item()) or 1)
            )


@pytest.mark.parametrize("seed", range(100))
def test_products_below_the_smallest_float64_are_lost_within_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((2, 1, 1, 1, 5)) * 2.0 ** rng.integers(-560, -500, (2, 1, 1, 1, 5))
    call, model = checked_call(x, w), MODELS["float64"]
    allowed = expected(call, model)
    error = abs(computed(call, model, seed) - Fraction(float(allowed.y.item())))
    assert error <= Fraction(float(allowed.bound.item()))


def computed(call: Call, model: Model, seed: int) -> Fraction:
    """Return one output of a kernel of this model."""
    kernel = Kernel(model.sums, seed, flushes=model.flushes_subnormals)
    x, w = (taken(values, model, kernel) for values in (call.x, call.weight))
    bias = None
    if call.bias is not None:
        bias = taken(call.bias, model, kernel)[0] if kernel.random.random() < 0.5 else Fraction(float(call.bias[0]))
    y = kernel.sum(list(zip(x, w, strict=True)), bias)
    if model.output:
        y = Kernel(FORMATS[model.output], seed, flushes=model.flushes_subnormals).rounded(y)
    return y


def taken(values: Array, model: Model, kernel: Kernel) -> list[Fraction]:
    """Return operands as they are rounded first."""
    exact = [Fraction(value) for value in values.ravel().tolist()]
    if model.inputs is None:
        return exact
    form = FORMATS[model.inputs]
    near = [nearest(value, form) for value in exact]
    if not model.faithful_inputs:
        return near
    cut = []
    for value, n in zip(exact, near, strict=True):
        # The neighbour on the other side.
        step = abs(nearest(value * (1 + Fraction(1, 2**form.bits)), form) - n) or Fraction(2) ** (
            form.lowest - form.bits + 1
        )
        other = n + step if n < value else n - step
        cut.append(other if n != value and abs(other - value) < step and kernel.random.random() < 0.5 else n)
    return cut


def test_equality_is_demanded_up_to_the_last_sum_that_is_exact() -> None:
    case = Case((1, 1, 1, 2), (1, 1, 1, 2))
    weight = np.ones((1, 1, 1, 2), np.float32)
    for last, exact in ((1.0, True), (2.0, True), (4.0, False)):
        x = np.array([[[[2.0**24 - 3, last]]]], np.float32)
        assert oracle(case, (x, weight, None)).exact.item() is exact


def test_what_may_overflow_is_known() -> None:
    case = Case((1, 1, 1, 2), (1, 1, 1, 2))
    weight = np.ones((1, 1, 1, 2), np.float32)
    x = np.array([[[[3e38, -2e38]]]], np.float32)
    assert oracle(case, (x, weight, None)).overflows.item()
    assert not oracle(case, (x / 2, weight, None)).overflows.item()
    assert oracle(
        case, (x.astype(np.float64) * 1e-4, weight.astype(np.float64), None), "mixed_float16"
    ).overflows.item()
    half = oracle(case, (np.array([[[[7e4, 1]]]], np.float32), weight, None), Model("float32", output="float16"))
    assert half.overflows.item()
    # A product that overflows in float64 too.
    x = np.array([[[[1e200, -1e200]]]])
    assert oracle(case, (x, 1e200 * np.ones((1, 1, 1, 2)), None)).overflows.item()


def test_rounding_to_formats_is_numpys_and_ml_dtypes() -> None:
    import ml_dtypes

    rng = np.random.default_rng(8)
    values = np.concatenate(
        [rng.standard_normal(500) * 2.0 ** rng.integers(-160, 130, 500), [np.inf, -np.inf, np.nan, 0, 3.4e38, 1e39]]
    )
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        np.testing.assert_array_equal(rounded(values, "float32"), single)
        np.testing.assert_array_equal(rounded(values, "float16"), values.astype(np.float16))
        np.testing.assert_array_equal(rounded(single, "bfloat16"), single.astype(ml_dtypes.bfloat16).astype(np.float64))
    finite = np.isfinite(values) & (np.abs(values) < 1e38)
    tf32 = [float(nearest(Fraction(value), FORMATS["tf32"])) for value in values[finite].tolist()]
    np.testing.assert_array_equal(rounded(values, "tf32")[finite], tf32)


def test_memory_does_not_grow_with_the_windows() -> None:
    # Unfolded in full, these windows would take 1.1 GB.
    case = Case((1, 32, 64, 64), (4, 32, 11, 11), padding=5)
    x, weight, _ = full_mantissa(case, "float32", 9)
    tracemalloc.start()
    try:
        oracle(case, (x, weight, None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150e6


def test_small_integers_are_exact_in_every_order() -> None:
    case = CASES["two groups"]
    x, weight, bias = map(np.sign, small_integers(case, "float32", 2))
    y = tap_by_tap(x, weight, bias, case.geometry)
    for name, model in MODELS.items():
        if not (model.is_integer or model.transform):
            allowed = oracle(case, (x, weight, bias), name)
            np.testing.assert_array_equal(allowed.y, y)
            assert allowed.exact.all()
