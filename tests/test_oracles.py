"""Other people's convolutions, where they are installed, and the oracle of `bounds`: judged first, then judges."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.lib.stride_tricks import sliding_window_view

import npconv as nc
from bounds import certificate, tap_by_tap, whole
from cases import CASES, Array, Case, full_mantissa, small_integers
from npconv import reference
from strategies import cases, one_in, seeds

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)

FLOAT = 1  # ONNX's number for float32


def by_taps(x: Array, weight: Array, bias: Array, case: Case) -> Array:
    """As `bounds.tap_by_tap`."""
    return tap_by_tap(x, weight, bias, case.geometry)


def by_windows(x: Array, weight: Array, bias: Array, case: Case) -> Array:
    """Contract a view of all windows with the filters: NumPy, in another order than the taps."""
    g = case.geometry
    reach = (g.dilation[0] * (g.KH - 1) + 1, g.dilation[1] * (g.KW - 1) + 1)
    padded = np.pad(x, ((0, 0), (0, 0), *g.padding))
    windows = sliding_window_view(padded, reach, axis=(2, 3))
    windows = windows[:, :, :: g.stride[0], :: g.stride[1], :: g.dilation[0], :: g.dilation[1]]
    windows = windows.reshape(g.N, g.groups, g.group_channels, *windows.shape[2:])
    filters = weight.reshape(g.groups, g.group_filters, *weight.shape[1:])
    y = np.einsum("nichwjk,iocjk->niohw", windows, filters).reshape(g.y_shape)
    return np.asarray(y + bias[:, None, None])


def by_scipy(x: Array, weight: Array, bias: Array, case: Case) -> Array:
    """Correlate plane by plane, at every position, and keep those of the stride."""
    signal: Any = import_module("scipy.signal")
    g = case.geometry
    padded = np.pad(x, ((0, 0), (0, 0), *g.padding))
    y = np.empty(g.y_shape, x.dtype)
    spread = np.zeros((g.dilation[0] * (g.KH - 1) + 1, g.dilation[1] * (g.KW - 1) + 1), x.dtype)
    for n, o in np.ndindex(g.N, g.O):
        y[n, o] = bias[o]
        for c in range(g.group_channels):
            spread[:: g.dilation[0], :: g.dilation[1]] = weight[o, c]
            plane = padded[n, o // g.group_filters * g.group_channels + c]
            y[n, o] += signal.correlate2d(plane, spread, mode="valid")[:: g.stride[0], :: g.stride[1]]
    return y


def by_torch(x: Array, weight: Array, bias: Array, case: Case) -> Array:
    """Pad, then convolve, with PyTorch."""
    torch: Any = import_module("torch")
    g = case.geometry
    (top, bottom), (left, right) = g.padding
    images, filters, starts = (torch.from_numpy(operand) for operand in (x, weight, bias))
    images = torch.nn.functional.pad(images, (left, right, top, bottom))
    y = torch.nn.functional.conv2d(images, filters, starts, g.stride, 0, g.dilation, g.groups)
    return np.asarray(y.numpy())


def by_onnxruntime(x: Array, weight: Array, bias: Array, case: Case) -> Array:
    """Run a model of one Conv node with ONNX Runtime."""
    helper: Any = import_module("onnx.helper")
    onnxruntime: Any = import_module("onnxruntime")
    g = case.geometry
    pads = [amount for ends in zip(*g.padding, strict=True) for amount in ends]
    node = helper.make_node(
        "Conv", ["x", "weight", "bias"], ["y"], strides=g.stride, dilations=g.dilation, group=g.groups, pads=pads
    )
    inputs = {"x": x, "weight": weight, "bias": bias}
    declared = [helper.make_tensor_value_info(name, FLOAT, value.shape) for name, value in inputs.items()]
    result = helper.make_tensor_value_info("y", FLOAT, g.y_shape)
    graph = helper.make_graph([node], "conv", declared, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [y] = session.run(None, inputs)
    return np.asarray(y)


def in_xla(case: Case) -> Any:
    """Return the convolution, without a bias, compiled by XLA."""
    lax: Any = import_module("jax.lax")
    jit: Any = import_module("jax").jit
    g = case.geometry
    return jit(
        partial(
            lax.conv_general_dilated,
            window_strides=g.stride,
            padding=g.padding,
            rhs_dilation=g.dilation,
            feature_group_count=g.groups,
            precision=lax.Precision.HIGHEST,
        )
    )


def by_jax(x: Array, weight: Array, bias: Array, case: Case) -> Array:
    """Convolve with XLA."""
    return np.asarray(in_xla(case)(x, weight)) + bias[:, None, None]


def installed(modules: str) -> bool:
    """Tell whether all of these can be imported."""
    return all(find_spec(module) for module in modules.split())


FOREIGN = {"scipy": by_scipy, "torch": by_torch, "onnx onnxruntime": by_onnxruntime, "jax": by_jax}
ORACLES: dict[str, Callable[[Array, Array, Array, Case], Array]] = {
    "taps": by_taps,
    "windows": by_windows,
    **{modules: run for modules, run in FOREIGN.items() if installed(modules)},
}

each_oracle = pytest.mark.parametrize("oracle", ORACLES)


# The judges, judged: outputs computed by hand.

HAND_COMPUTED: dict[str, tuple[Case, Any, Any, Any, Any]] = {
    # Four corners of a 3x4 image whose digits are row and column, then 5: 11 + 2*14 + 3*31 + 4*34 + 5 = 273.
    "dilated, not flipped": (
        Case((1, 1, 3, 4), (1, 1, 2, 2), dilation=(2, 3)),
        [[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34]],
        [1, 2, 3, 4],
        [5],
        [273],
    ),
    # Pixel 7 under a 2x1 filter, one row above and two below, three columns at the left: it meets each tap once.
    "even kernel, four paddings": (
        Case((1, 1, 1, 1), (1, 1, 2, 1), padding=((1, 2), (3, 0))),
        [7],
        [1, 10],
        [0],
        [[0, 0, 0, 70], [0, 0, 0, 7], [0, 0, 0, 0]],
    ),
    # Rows 0 and 2, columns 0 and 3.
    "strides 2 and 3": (
        Case((1, 1, 3, 5), (1, 1, 1, 2), stride=(2, 3)),
        [[11, 12, 13, 14, 15], [21, 22, 23, 24, 25], [31, 32, 33, 34, 35]],
        [1, 10],
        [1],
        [[11 + 120 + 1, 14 + 150 + 1], [31 + 320 + 1, 34 + 350 + 1]],
    ),
    # Filters 0 to 2 read channels 0 and 1 (1 + 20), filters 3 to 5 channels 2 and 3 (3 + 40).
    "groups": (
        Case((1, 4, 1, 1), (6, 2, 1, 1), groups=2),
        [1, 2, 3, 4],
        [[1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60]],
        [0, 0, 0, 0, 0, 1],
        [21, 42, 63, 4 * 43, 5 * 43, 6 * 43 + 1],
    ),
    # Filters 0 and 1 read channel 0, filters 2 and 3 channel 1.
    "depth multiplier": (
        Case((2, 2, 1, 1), (4, 1, 1, 1), groups=2),
        [1, 2, 3, 4],
        [1, 10, 5, 7],
        [0, 0, 0, 0],
        [[1, 10, 10, 14], [3, 30, 20, 28]],
    ),
}


@each_oracle
@pytest.mark.parametrize("name", HAND_COMPUTED)
def test_oracles_agree_with_cases_computed_by_hand(oracle: str, name: str) -> None:
    case, *values = HAND_COMPUTED[name]
    shapes = (case.x_shape, case.weight_shape, case.weight_shape[:1], case.geometry.y_shape)
    x, weight, bias, y = (np.array(v, np.float32).reshape(shape) for v, shape in zip(values, shapes, strict=True))
    np.testing.assert_array_equal(ORACLES[oracle](x, weight, bias, case), y)
    assert reference.conv2d(x, weight, bias, **case.options) == y.tolist()


@one_in(2)
@given(cases(), seeds)
def test_taps_and_windows_agree_with_the_reference(case: Case, seed: int) -> None:
    x, weight, bias = small_integers(case, "int64", seed)
    y = np.array(reference.conv2d(x, weight, bias, **case.options), np.int64).reshape(case.geometry.y_shape)
    np.testing.assert_array_equal(by_taps(x, weight, bias, case), y)
    np.testing.assert_array_equal(by_windows(x, weight, bias, case), y)


# The bound, judged.


def test_whole_numbers_stand_for_the_same_values() -> None:
    values = np.array([0.1, -3.0, 0.0, -0.0, 1e300, 2.0**-1074, 2.0**53 + 2])
    integers, power = whole(values)
    assert [Fraction(value) for value in values] == [Fraction(2) ** power * integer for integer in integers]


@one_in(10)
@given(cases((500, 2_000)), seeds)
def test_a_certificate_holds_exact_sums_magnitudes_and_counts(case: Case, seed: int) -> None:
    x, weight, bias = full_mantissa(case, "float64", seed, live=0.5)
    judge = certificate(case, x, weight, bias)
    live = reference.conv2d((x != 0).astype(int), (weight != 0).astype(int), np.ones(len(bias), int), **case.options)
    assert judge.h.tolist() == live
    unit = Fraction(2) ** judge.power
    x, weight, bias = (np.vectorize(Fraction, otypes=[object])(operand) for operand in (x, weight, bias))
    assert (judge.y * unit).tolist() == reference.conv2d(x, weight, bias, **case.options)
    assert (judge.S * unit).tolist() == reference.conv2d(abs(x), abs(weight), abs(bias), **case.options)


def test_the_bound_admits_its_last_value_and_refuses_the_next() -> None:
    # y = 1*1 + 1 = 2, S = 2, h = 2: the bound is 2 * 2**-24 * 2 = 2**-22, which is one unit of float32 above 2.
    case = Case((1, 1, 1, 1), (1, 1, 1, 1))
    one = np.ones((1, 1, 1, 1), np.float32)
    judge = certificate(case, one, one, one.ravel())
    judge.check(2 * one)
    judge.check(np.nextafter(2 * one, np.float32(3)))
    with pytest.raises(AssertionError, match=r"1 of 1 outputs .* y\[0, 0, 0, 0\] in group 0"):
        judge.check(np.nextafter(2 * one, np.float32(3)) + np.float32(2**-22))


def test_half_a_unit_of_float16_is_admitted() -> None:
    # y = 1 + 2**-11 lies halfway between two float16 numbers.
    case = Case((1, 1, 1, 1), (1, 1, 1, 1))
    one = np.ones((1, 1, 1, 1), np.float16)
    judge = certificate(case, one, one, np.array([2**-11], np.float16))
    judge.check(one)
    judge.check(one + np.float16(2**-10))
    with pytest.raises(AssertionError):
        judge.check(one + np.float16(2**-9))
    # The product 2**-25 lies halfway between zero and the smallest subnormal.
    judge = certificate(case, one * np.float16(2**-12), one * np.float16(2**-13), None)
    judge.check(one * 0)
    judge.check(one * np.float16(2**-24))
    with pytest.raises(AssertionError):
        judge.check(one * np.float16(2**-23))


def test_what_must_be_zero_has_no_room() -> None:
    case = Case((1, 1, 1, 1), (1, 1, 1, 1))
    zero = np.zeros((1, 1, 1, 1), np.float32)
    judge = certificate(case, zero, zero, None)
    judge.check(-zero)
    with pytest.raises(AssertionError):
        judge.check(zero + np.float32(2**-149))


@each_case
def test_a_dropped_product_is_beyond_the_bound(case: Case) -> None:
    x, weight, bias = full_mantissa(case, "float32", seed=8)
    judge = certificate(case, x, weight, bias)
    y = (judge.y * 2.0**judge.power).astype(np.float32)
    judge.check(y)
    without = weight.copy()
    without[:, -1, -1, -1] = 0
    dropped = certificate(case, x, without, bias)
    lost = (dropped.h != judge.h).any()
    assert (judge.shares((dropped.y * 2.0**dropped.power).astype(np.float32)) > 1).any() == lost


# The judges at work.


@each_oracle
@each_case
def test_this_engine_agrees_with_others(case: Case, oracle: str) -> None:
    x, weight, bias = small_integers(case, "float32", seed=1)
    np.testing.assert_array_equal(ORACLES[oracle](x, weight, bias, case), nc.conv2d(x, weight, bias, **case.options))
    x, weight, bias = full_mantissa(case, "float32", seed=2)
    judge = certificate(case, x, weight, bias)
    judge.check(ORACLES[oracle](x, weight, bias, case))
    judge.check(nc.conv2d(x, weight, bias, **case.options))


@each_oracle
@one_in(10)
@given(cases(), seeds)
def test_this_engine_agrees_with_others_on_every_geometry(oracle: str, case: Case, seed: int) -> None:
    x, weight, bias = small_integers(case, "float32", seed)
    np.testing.assert_array_equal(ORACLES[oracle](x, weight, bias, case), nc.conv2d(x, weight, bias, **case.options))


# Counters of others: PyTorch's and XLA's know two operations per product, and XLA leaves padding out.


def count_ones(case: Case) -> dict[str, int]:
    """Convolve ones: each real product contributes one."""
    x, weight, bias = (np.ones(shape) for shape in (case.x_shape, case.weight_shape, case.weight_shape[:1]))
    return {"mul": int(by_windows(x, weight, 0 * bias, case).sum())}


def count_with_torch(case: Case) -> dict[str, int]:
    """Run PyTorch's counter; it leaves the bias out."""
    flop_counter: Any = import_module("torch.utils.flop_counter")
    x, weight, bias = small_integers(case, "float32", seed=0)
    with flop_counter.FlopCounterMode(display=False) as counter:
        by_torch(x, weight, bias, case)
    return {"dense_mul": counter.get_total_flops() // 2}


def count_with_jax(case: Case) -> dict[str, int]:
    """Ask XLA what the compiled convolution costs."""
    x, weight, _ = small_integers(case, "float32", seed=0)
    # Where nothing is left to compute, the analysis is empty.
    analysis = in_xla(case).lower(x, weight).cost_analysis() or {}
    return {"mul": int(analysis.get("flops", 0)) // 2}


FOREIGN_COUNTERS = {"torch": count_with_torch, "jax": count_with_jax}
COUNTERS = {"ones": count_ones, **{name: count for name, count in FOREIGN_COUNTERS.items() if installed(name)}}


@each_case
@pytest.mark.parametrize("counter", COUNTERS)
def test_products_are_those_that_others_count(case: Case, counter: str) -> None:
    counts = nc.count_conv2d(case.x_shape, case.weight_shape, **case.options)
    expected = COUNTERS[counter](case)
    assert {name: getattr(counts, name) for name in expected} == expected
