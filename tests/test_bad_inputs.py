"""Bad inputs get the right error or the right answer, nothing else, and an error costs next to no memory."""

import re
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npconv as nc
from cases import Array

FEW_MIB = 4 * 2**20
HUGE = (2**31, 2**40, 2**55)
BEYOND = 2**63  # no index in 64 bits reaches it
METHODS = ("auto", "naive", "im2col", "direct", "filterwise", "depthwise")


def numbers(*shape: int, dtype: str = "float32") -> Array:
    """Return small integers, all sums of which are exact."""
    return (np.arange(np.prod(shape)) * 7 % 11 - 5).reshape(shape).astype(dtype)


X = numbers(2, 4, 5, 6)
WEIGHT, BIAS = numbers(6, 4, 3, 2), numbers(6)
DEPTHWISE, DEPTHWISE_BIAS = numbers(8, 1, 3, 2), numbers(8)
POINTWISE, SEPARABLE = numbers(6, 4), numbers(6, 8)
COLUMNS = numbers(2, 24, 15)

# Each public function on its operands, in an ordinary call.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Array]]] = {
    "conv2d": (partial(nc.conv2d, padding=1), {"x": X, "weight": WEIGHT, "bias": BIAS}),
    "depthwise_conv2d": (
        partial(nc.depthwise_conv2d, padding=1),
        {"x": X, "weight": DEPTHWISE, "bias": DEPTHWISE_BIAS},
    ),
    "pointwise_conv2d": (nc.pointwise_conv2d, {"x": X, "weight": POINTWISE, "bias": BIAS}),
    "separable_conv2d": (
        partial(nc.separable_conv2d, padding=1),
        {"x": X, "depthwise_weight": DEPTHWISE, "pointwise_weight": SEPARABLE, "bias": BIAS},
    ),
    "plan_conv2d": (
        lambda x, weight, bias, out=None: nc.plan_conv2d(X.shape, weight, bias, padding=1)(x, out),
        {"x": X, "weight": WEIGHT, "bias": BIAS},
    ),
    "im2col": (partial(nc.im2col, kernel_size=(3, 2)), {"x": X}),
    "col2im": (partial(nc.col2im, x_shape=X.shape, kernel_size=(3, 2)), {"columns": COLUMNS}),
    "channel_shuffle": (partial(nc.channel_shuffle, groups=2), {"x": X}),
    "channel_unshuffle": (partial(nc.channel_unshuffle, groups=2), {"x": X}),
}
OPERANDS = [(function, operand) for function, (_, operands) in CALLS.items() for operand in operands]
TAKE_OUT = [function for function, (_, operands) in CALLS.items() if "bias" in operands]

# An operand of 16 GiB that takes 4 bytes: whoever copies it before looking at the options is found out.
ENDLESS = np.broadcast_to(np.float32(1), (1, 4, 2**15, 2**15))
SWAPPED = np.broadcast_to(np.array(1, np.dtype("f4").newbyteorder()), ENDLESS.shape)
WINDOWED: dict[str, Callable[..., Any]] = {
    "conv2d": partial(nc.conv2d, ENDLESS, WEIGHT, BIAS),
    "conv2d, swapped": partial(nc.conv2d, SWAPPED, WEIGHT, BIAS),
    "depthwise_conv2d": partial(nc.depthwise_conv2d, ENDLESS, DEPTHWISE),
    "separable_conv2d": partial(nc.separable_conv2d, ENDLESS, DEPTHWISE, SEPARABLE),
    "plan_conv2d": partial(nc.plan_conv2d, ENDLESS.shape, WEIGHT),
    "im2col": partial(nc.im2col, ENDLESS, (3, 2)),
    "col2im": partial(nc.col2im, np.broadcast_to(np.float32(1), (1, 24, 2**30)), ENDLESS.shape, (3, 2)),
    "reference.conv2d": partial(nc.reference.conv2d, ENDLESS, WEIGHT),
    "conv2d_output_shape": partial(nc.conv2d_output_shape, ENDLESS.shape, WEIGHT.shape),
    "count_conv2d": partial(nc.count_conv2d, ENDLESS.shape, WEIGHT.shape),
    "resolve_padding": lambda padding=0, stride=1, dilation=1: nc.resolve_padding(
        (2**15, 2**15), (3, 2), padding, stride, dilation
    ),
}
GROUPED: dict[str, Callable[..., Any]] = {
    "conv2d": partial(nc.conv2d, ENDLESS, WEIGHT),
    "pointwise_conv2d": partial(nc.pointwise_conv2d, ENDLESS, POINTWISE),
    "plan_conv2d": partial(nc.plan_conv2d, ENDLESS.shape, WEIGHT),
    "reference.conv2d": partial(nc.reference.conv2d, ENDLESS, WEIGHT),
    "conv2d_output_shape": partial(nc.conv2d_output_shape, ENDLESS.shape, WEIGHT.shape),
    "count_conv2d": partial(nc.count_conv2d, ENDLESS.shape, WEIGHT.shape),
    "channel_shuffle": partial(nc.channel_shuffle, ENDLESS),
    "channel_unshuffle": partial(nc.channel_unshuffle, ENDLESS),
}


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Import and compile what the calls need: the memory that compilers take is not what errors are judged by."""
    for call, operands in CALLS.values():
        call(**operands)


def peak(call: Callable[[], object]) -> int:
    """Return the most bytes that a call held at one time, NumPy's included."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(call: Callable[[], object], error: type[Exception], *fragments: object) -> str:
    """Demand exactly this error, from next to no memory, with every fragment in its text; numbers must stand alone."""

    def attempt() -> None:
        with pytest.raises(error) as refusal:
            call()
        refusals.append(refusal.value)

    refusals: list[Exception] = []
    used = peak(attempt)
    text = str(refusals[0])
    assert type(refusals[0]) is error
    assert re.match(r"[a-z]\w*(\.\w+)?: .", text), text
    for fragment in fragments:
        word = re.escape(str(fragment))
        assert re.search(rf"(?<![\w.-]){word}(?!\w|\.\d)" if isinstance(fragment, int) else word, text), (
            fragment,
            text,
        )
    assert used < FEW_MIB, f"{used} bytes on the way to: {text}"
    return text


def served(method: str, call: Callable[..., Any]) -> Any:
    """Return the answer, or None where a method that copies planes, or keeps rows in registers, says that it cannot."""
    if method in ("direct", "filterwise", "depthwise"):
        try:
            return call(method=method)
        except ValueError:
            refused(partial(call, method=method), ValueError, f"method '{method}'")
            return None
    return call(method=method)


def defined(x: Array, weight: Array, bias: Array | None = None, **options: Any) -> Array:
    """Return the convolution as the reference defines it."""
    return np.array(nc.reference.conv2d(x, weight, bias, **options), x.dtype)


# options that are no numbers, or no good ones

NEGATIVE = [-1, -(2**31), -(2**55), -(2**63), -(2**100)]
NOT_INTEGERS = [1.0, 2.5, True, False, np.True_, np.float32(1), float("nan"), 1j, Fraction(1), Decimal(1), None, b"1"]
BAD_OPTIONS: list[tuple[str, object, type[Exception], tuple[object, ...]]] = [
    *((name, bad, ValueError, (name, bad, 1)) for name in ("stride", "dilation") for bad in [0, *NEGATIVE]),
    *((name, pair, ValueError, (name, 1)) for name in ("stride", "dilation") for pair in [(0, 1), (1, 0), [2, -1]]),
    *(
        (name, bad, ValueError, (name,))
        for name in ("stride", "dilation")
        for bad in [(), (1,), (1, 2, 3), [1, 1, 1, 1]]
    ),
    *((name, bad, TypeError, (name,)) for name in ("stride", "dilation") for bad in [*NOT_INTEGERS, "1", "same"]),
    *((name, (1, bad), TypeError, (name,)) for name in ("stride", "dilation", "padding") for bad in NOT_INTEGERS),
    *(("padding", bad, ValueError, ("padding", bad, 0)) for bad in NEGATIVE),
    *(
        ("padding", bad, ValueError, ("padding", -1, 0))
        for bad in [(-1, 0), (0, -1), ((0, 0), (0, -1)), [[-1, 2], [3, 4]]]
    ),
    *(("padding", bad, ValueError, ("padding",)) for bad in [(), (1,), (1, 2, 3), ((1, 1),), ((1, 1, 1), (1, 1, 1))]),
    *(("padding", bad, TypeError, ("padding",)) for bad in [*NOT_INTEGERS, ((0, 0), (0, True)), ((0, 0.5), (0, 0))]),
    *(("padding", bad, ValueError, ("padding", "valid", "same", "same_lower")) for bad in ["SAME", "full", ""]),
]


@pytest.mark.parametrize("function", WINDOWED)
def test_an_option_that_is_no_good_number_is_refused(function: str) -> None:
    for name, bad, error, fragments in BAD_OPTIONS:
        text = refused(partial(WINDOWED[function], **{name: bad}), error, *fragments)
        assert text.startswith(f"{function.removesuffix(', swapped')}: {name}")


@pytest.mark.parametrize("function", WINDOWED)
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), [1, 2, 3, 4], np.ones(4, int)], ids=["tuple", "list", "array"])
def test_a_flat_padding_of_four_is_refused_with_the_orders_that_it_could_mean(function: str, padding: Any) -> None:
    orders = ["top, bottom, left, right", "top, left, bottom, right", "left, right, top, bottom"]
    refused(partial(WINDOWED[function], padding=padding), ValueError, 4, *orders)


@pytest.mark.parametrize("function", GROUPED)
def test_groups_that_are_no_good_number_are_refused(function: str) -> None:
    for bad in [0, *NEGATIVE]:
        refused(partial(GROUPED[function], groups=bad), ValueError, f"{function}: groups", bad, 1)
    for bad in [3, 8, *HUGE, BEYOND]:
        refused(partial(GROUPED[function], groups=bad), ValueError, "groups", bad, 4)
    for wrong in [*NOT_INTEGERS, "1", (1, 1), [1]]:
        refused(partial(GROUPED[function], groups=wrong), TypeError, "groups")


@pytest.mark.parametrize("function", ["im2col", "col2im"])
def test_a_kernel_size_that_is_no_good_number_is_refused(function: str) -> None:
    operands = (ENDLESS,) if function == "im2col" else (np.broadcast_to(np.float32(1), (1, 4, 2**30)), ENDLESS.shape)
    call = partial(getattr(nc, function), *operands)
    for bad in [0, *NEGATIVE]:
        refused(partial(call, kernel_size=bad), ValueError, "kernel_size", bad, 1)
    for shape in [(), (1,), (1, 2, 3), (3, 0)]:
        refused(partial(call, kernel_size=shape), ValueError, "kernel_size")
    for wrong in [*NOT_INTEGERS, "3"]:
        refused(partial(call, kernel_size=wrong), TypeError, "kernel_size")
        refused(partial(call, kernel_size=(3, wrong)), TypeError, "kernel_size")
    for huge in [2**15 + 1, *HUGE, BEYOND]:
        refused(partial(call, kernel_size=huge), ValueError, huge, 2**15)


@pytest.mark.parametrize("function", ["conv2d_output_shape", "count_conv2d", "plan_conv2d", "col2im"])
def test_a_shape_that_is_no_shape_is_refused(function: str) -> None:
    calls: dict[str, Callable[..., Any]] = {
        "conv2d_output_shape": lambda shape: nc.conv2d_output_shape(shape, WEIGHT.shape),
        "count_conv2d": lambda shape: nc.count_conv2d(shape, WEIGHT.shape),
        "plan_conv2d": lambda shape: nc.plan_conv2d(shape, WEIGHT),
        "col2im": lambda shape: nc.col2im(COLUMNS, shape, (3, 2)),
    }
    call = calls[function]
    for shape in [(), (5,), (4, 5, 6), (1, 2, 4, 5, 6)]:
        refused(partial(call, shape), ValueError, len(shape), 4)
    for axis in range(4):
        for wrong in [-1, -(2**63), *([] if axis == 0 else [0])]:
            refused(partial(call, tuple(wrong if a == axis else n for a, n in enumerate(X.shape))), ValueError, wrong)
        for bad in NOT_INTEGERS:
            refused(partial(call, tuple(bad if a == axis else n for a, n in enumerate(X.shape))), TypeError)
    for nonsense in [5, None, 2.5]:
        refused(partial(call, nonsense), TypeError)


@pytest.mark.parametrize("function", ["conv2d_output_shape", "count_conv2d"])
def test_a_weight_shape_that_is_no_shape_is_refused(function: str) -> None:
    call = getattr(nc, function)
    for shape in [(), (4,), (6, 4, 3), (6, 4, 3, 2, 1)]:
        refused(partial(call, X.shape, shape), ValueError, len(shape), 4)
    for axis in range(4):
        for wrong in (0, -1, -(2**63)):
            shape = tuple(wrong if a == axis else n for a, n in enumerate(WEIGHT.shape))
            refused(partial(call, X.shape, shape), ValueError, wrong)
    refused(partial(call, X.shape, (6, 4, 3.0, 2)), TypeError)
    refused(partial(call, X.shape, (6, 4, 3, True)), TypeError)


def test_integers_of_every_kind_are_taken() -> None:
    expected = defined(X, WEIGHT[:, :2], stride=2, padding=1, groups=2)
    kinds: list[tuple[Any, Any, Any]] = [
        (np.int8(2), np.uint64(1), np.int16(2)),
        ([2, 2], (1, 1), np.array(2)),
        (np.array([2, 2]), np.array([[1, 1], [1, 1]]), 2),
    ]
    for two, one, groups in kinds:
        y = nc.conv2d(X, WEIGHT[:, :2], stride=two, padding=one, groups=groups)
        np.testing.assert_array_equal(y, expected, strict=True)
    assert nc.conv2d_output_shape(np.array(X.shape), list(WEIGHT.shape)) == (2, 6, 3, 5)


@pytest.mark.parametrize("bad", [0, -1, -(2**63), 1.0, True, "2"])
def test_a_number_of_threads_that_is_no_good_number_is_refused(bad: Any) -> None:
    error = ValueError if type(bad) is int else TypeError
    before = nc.get_num_threads()
    refused(lambda: nc.set_num_threads(bad), error)
    assert nc.get_num_threads() == before
    refused(lambda: nc.plan_conv2d(X.shape, WEIGHT, num_threads=bad), error, "num_threads")


@pytest.mark.parametrize("many", [*HUGE, BEYOND])
def test_more_threads_than_work_are_not_started(many: int) -> None:
    plan = nc.plan_conv2d(X.shape, WEIGHT, BIAS, num_threads=many)
    np.testing.assert_array_equal(plan(X), defined(X, WEIGHT, BIAS), strict=True)


# huge options


@pytest.mark.parametrize("function", [name for name in WINDOWED if name != "resolve_padding"])
@pytest.mark.parametrize("huge", [*HUGE, BEYOND])
def test_a_huge_dilation_reaches_beyond_the_image(function: str, huge: int) -> None:
    for dilation, reach in [((huge, 1), 2 * huge + 1), ((1, huge), huge + 1), (huge, 2 * huge + 1)]:
        refused(partial(WINDOWED[function], dilation=dilation), ValueError, reach, 2**15)


def padded_shape(function: str, padding: int) -> tuple[int, ...]:
    """Return the shape of a padded call's result."""
    OH, OW = 5 + 2 * padding - 2, 6 + 2 * padding - 1
    return (2, 24, OH * OW) if function == "im2col" else (2, 8 if function == "depthwise_conv2d" else 6, OH, OW)


@pytest.mark.parametrize("padding", [2**20, *HUGE, BEYOND])
@pytest.mark.parametrize("function", ["conv2d", "depthwise_conv2d", "separable_conv2d", "plan_conv2d", "im2col"])
def test_a_result_too_large_is_refused_with_its_shape_and_bytes(function: str, padding: int) -> None:
    calls: dict[str, Callable[[], object]] = {
        "conv2d": lambda: nc.conv2d(X, WEIGHT, BIAS, padding=padding),
        "depthwise_conv2d": lambda: nc.depthwise_conv2d(X, DEPTHWISE, padding=padding),
        "separable_conv2d": lambda: nc.separable_conv2d(X, DEPTHWISE, SEPARABLE, padding=padding),
        "plan_conv2d": lambda: nc.plan_conv2d(X.shape, WEIGHT, BIAS, padding=padding)(X),
        "im2col": lambda: nc.im2col(X, (3, 2), padding=padding),
    }
    shape = padded_shape(function, padding)
    refused(calls[function], MemoryError, str(shape), 4 * prod(shape))


def test_an_empty_result_too_large_to_address_is_refused() -> None:
    refused(
        lambda: nc.conv2d(X[:0], WEIGHT, padding=BEYOND), MemoryError, str((0, *padded_shape("conv2d", BEYOND)[1:]))
    )


def test_an_image_too_large_is_refused_with_its_shape_and_bytes() -> None:
    x = np.broadcast_to(np.float32(1), (1, 4, 2**21, 2**21))
    refused(lambda: nc.channel_shuffle(x, 2), MemoryError, str(x.shape), 2**46)
    # The results are small, but what the windows read has no room.
    refused(lambda: nc.conv2d(x, WEIGHT, stride=2**21), MemoryError, str(x.shape), 2**46)
    refused(lambda: nc.im2col(x, 1, stride=2**21), MemoryError, str(x.shape), 2**46)
    column = np.ones((1, 4, 1), np.float32)
    refused(lambda: nc.col2im(column, x.shape, 1, stride=2**21), MemoryError, str(x.shape), 2**46)


@pytest.mark.parametrize("huge", [*HUGE, BEYOND])
def test_shapes_and_counts_know_no_limit(huge: int) -> None:
    shape = padded_shape("conv2d", huge)
    assert nc.conv2d_output_shape(X.shape, WEIGHT.shape, padding=huge) == shape
    counts = nc.count_conv2d(X.shape, WEIGHT.shape, bias=True, padding=huge)
    # Every pixel meets every tap, and everything else is padding.
    assert counts.mul == counts.add == 2 * 6 * 4 * (5 * 6) * (3 * 2)
    assert counts.mul + counts.padding_mul == 2 * 6 * shape[2] * shape[3] * (4 * 3 * 2)
    assert nc.conv2d_output_shape(X.shape, WEIGHT.shape, padding=huge, stride=huge) == (2, 6, 3, 3)
    assert nc.conv2d_output_shape((huge, 4, huge, huge), WEIGHT.shape) == (huge, 6, huge - 2, huge - 1)
    assert nc.resolve_padding(huge, 3, "same", huge - 1, 1) == ((1, 1), (1, 1))
    assert nc.resolve_padding(5, 3, "same", 1, huge) == ((huge, huge), (huge, huge))


def huge_options(huge: int) -> dict[str, dict[str, Any]]:
    """Return options that leave a kernel of 3x3 a small output."""
    return {
        "stride": {"stride": huge},
        "stride of rows": {"stride": (huge, 1), "padding": 1},
        "stride of columns": {"stride": (2, huge), "padding": ((0, 1), (0, 0))},
        "padding, stride": {"stride": huge, "padding": huge},
        "padding on two sides, stride": {"stride": huge, "padding": ((huge, 0), (0, huge))},
        "padding, dilation": {"padding": huge, "dilation": huge},
        "padding of rows, dilation": {"padding": (huge, 1), "dilation": (huge, 1)},
        "padding, stride, dilation": {"stride": huge, "padding": 2 * huge, "dilation": huge},
        "odd": {"stride": (huge - 1, huge + 1), "padding": ((huge + 2, huge - 3), (huge, huge + 5))},
        "same": {"padding": "same", "dilation": huge},
    }


@pytest.mark.parametrize("options", huge_options(1))
@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("method", METHODS)
def test_huge_options_with_a_small_output_are_served(method: str, huge: int, options: str) -> None:
    chosen = huge_options(huge)[options]
    weight, bias = numbers(8, 1, 3, 3), numbers(8)
    result = served(method, partial(nc.conv2d, X, weight, bias, groups=4, return_counts=True, **chosen))
    if result is not None:
        y, counts = result
        np.testing.assert_array_equal(y, defined(X, weight, bias, groups=4, **chosen), strict=True)
        closed = nc.count_conv2d(X.shape, weight.shape, bias=True, groups=4, **chosen)
        assert (counts.mul, counts.padding_mul) == (closed.mul, closed.padding_mul)
        assert (counts.add, counts.padding_add) == (closed.add, closed.padding_add)
    if method in ("auto", "naive", "im2col"):
        y = nc.conv2d(X, numbers(6, 4, 3, 3), method=method, **chosen)
        np.testing.assert_array_equal(y, defined(X, numbers(6, 4, 3, 3), **chosen), strict=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_stride_or_dilation_beyond_64_bits_that_is_never_taken_is_served(method: str) -> None:
    x, weight = X[:, :1], numbers(3, 1, 1, 1)
    options: dict[str, Any]
    for options in (
        {"stride": BEYOND},
        {"stride": 2**100},
        {"dilation": BEYOND},
        {"dilation": (2**100, 1), "stride": 2},
    ):
        y = nc.conv2d(x, weight, method=method, **options)
        np.testing.assert_array_equal(y, defined(x, weight, **options), strict=True)


@pytest.mark.parametrize("method", METHODS)
def test_padding_beyond_64_bits_is_refused(method: str) -> None:
    x, weight = X[:, :1], numbers(3, 1, 3, 3)
    both: list[dict[str, Any]] = [{"stride": BEYOND, "padding": BEYOND}, {"dilation": BEYOND, "padding": BEYOND}]
    for options in both:
        refused(partial(nc.conv2d, x, weight, method=method, **options), ValueError, 2 * BEYOND + 5, 2**62)


@pytest.mark.parametrize("method", METHODS)
def test_infinity_over_huge_padding_is_nan(method: str) -> None:
    weight = np.full((4, 1, 3, 3), np.inf, np.float32)
    x = np.ones((1, 4, 3, 3), np.float32)
    y = served(method, partial(nc.conv2d, x, weight, stride=2**40, padding=2**40, groups=4))
    if y is None:
        assert method in ("filterwise", "depthwise")
        return
    assert np.isnan(y[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]]).all()
    assert (y[:, :, 1, 1] == np.inf).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_large_padded_plane_is_never_built(method: str) -> None:
    # The padded plane would have a gigabyte.
    call = partial(nc.conv2d, X, numbers(8, 1, 3, 3), groups=4, stride=2**13, padding=2**13)
    if served(method, call) is None:
        assert method == "depthwise"
    else:
        assert peak(partial(call, method=method)) < FEW_MIB


@pytest.mark.parametrize("huge", HUGE)
def test_im2col_and_col2im_serve_huge_options(huge: int) -> None:
    x = X[:, :2]
    for options in huge_options(huge).values():
        columns = nc.im2col(x, 3, **options)
        # Filters with one tap each read the image through the reference.
        taps = np.eye(9, dtype=np.float32).reshape(9, 1, 3, 3)
        expected = np.concatenate([defined(x[:, c : c + 1], taps, **options) for c in range(2)], axis=1)
        np.testing.assert_array_equal(columns, expected.reshape(columns.shape), strict=True)
        # The adjoint of reading is adding: <im2col(x), q> = <x, col2im(q)>, for every pixel.
        q = numbers(*columns.shape)
        image = nc.col2im(q, x.shape, 3, **options)
        for pixel in np.ndindex(x.shape):
            one = np.zeros_like(x)
            one[pixel] = 1
            assert (nc.im2col(one, 3, **options) * q).sum() == image[pixel]


# shapes


@pytest.mark.parametrize(("function", "operand"), OPERANDS)
def test_operands_of_another_rank_are_refused(function: str, operand: str) -> None:
    call, operands = CALLS[function]
    right = {"columns": {3}, "bias": {1}, "x": {4}}.get(operand, {4})
    if operand == "pointwise_weight" or (function, operand) == ("pointwise_conv2d", "weight"):
        right = {2, 4}
    for rank in set(range(7)) - right:
        bad = np.ones((1,) * rank, np.float32)
        fragments = (rank, 4) if right == {4} and function != "plan_conv2d" else (str(bad.shape),)
        refused(partial(call, **{**operands, operand: bad}), ValueError, *fragments)


@pytest.mark.parametrize(("function", "operand"), OPERANDS)
def test_operands_with_an_empty_axis_are_refused_unless_it_is_the_batch(function: str, operand: str) -> None:
    call, operands = CALLS[function]
    values = operands[operand]
    for axis in range(1 if operand in ("x", "columns") else 0, values.ndim):
        empty = np.zeros([0 if a == axis else n for a, n in enumerate(values.shape)], np.float32)
        refused(partial(call, **{**operands, operand: empty}), ValueError, 0)


@pytest.mark.parametrize("function", CALLS)
def test_an_empty_batch_gives_an_empty_result(function: str) -> None:
    call, operands = CALLS[function]
    full = call(**operands)
    calls: dict[str, Callable[..., Any]] = {
        "plan_conv2d": lambda x, weight, bias: nc.plan_conv2d(x.shape, weight, bias, padding=1)(x),
        "col2im": lambda columns: nc.col2im(columns, (0, *X.shape[1:]), (3, 2)),
    }
    first = next(iter(operands))
    empty = calls.get(function, call)(**{**operands, first: operands[first][:0]})
    assert (empty.shape, empty.dtype) == ((0, *full.shape[1:]), full.dtype)


# layouts


class Exporter:
    """An object that gives its array away through DLPack alone."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


def gaps(values: Array) -> Array:
    """Return the values as every other element of a larger array."""
    wide = np.full([2 * n for n in values.shape], 77, values.dtype)
    view = wide[(slice(None, None, 2),) * values.ndim]
    view[...] = values
    return view


def read_only(values: Array) -> Array:
    """Return a copy that cannot be written."""
    copy = values.copy()
    copy.flags.writeable = False
    return copy


def unaligned(values: Array) -> Array:
    """Return the values one byte after an address that their type would begin at."""
    copy = np.zeros(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def swapped(values: Array) -> Array:
    """Return the values in the other byte order."""
    return values.astype(values.dtype.newbyteorder())


def as_tensor(values: Array) -> Any:
    """Return the values as a PyTorch tensor."""
    import torch

    return torch.from_numpy(values.copy())


LAYOUTS: dict[str, Callable[[Array], Any]] = {
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "axes turned": lambda values: np.ascontiguousarray(values.T).T,
    "negative strides": lambda values: np.flip(np.flip(values).copy()),
    "gaps": gaps,
    "one row for all": lambda values: np.broadcast_to(values[:1], values.shape),
    "one element for all": lambda values: np.broadcast_to(values.ravel()[1], values.shape),
    "other byte order": swapped,
    "other byte order, gaps": lambda values: swapped(gaps(values)),
    "other byte order, one row for all": lambda values: np.broadcast_to(swapped(values)[:1], values.shape),
    "unaligned": unaligned,
    "buffer": lambda values: values.copy().data,
    "DLPack": lambda values: Exporter(gaps(values)),
    "DLPack, one row for all": lambda values: Exporter(np.broadcast_to(values[:1], values.shape)),
    **({"PyTorch": as_tensor} if find_spec("torch") else {}),
}


def numpy_of(operand: Any) -> Array:
    """Return an array over an operand's memory."""
    return np.from_dlpack(operand) if isinstance(operand, Exporter) else np.asarray(operand)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", CALLS)
def test_every_layout_gives_the_answer_of_a_plain_copy_and_is_not_written(function: str, layout: str) -> None:
    call, operands = CALLS[function]
    for dtype in ("float32", "float16", "int16"):
        typed = {name: values.astype(dtype) for name, values in operands.items()}
        for operand, values in typed.items():
            odd = LAYOUTS[layout](values)
            seen = numpy_of(odd)
            before, flags = seen.tolist(), str(seen.flags)
            y = call(**{**typed, operand: odd})
            plain = np.array(before, dtype)
            expected = call(**{**typed, operand: plain})
            np.testing.assert_array_equal(y, expected, strict=True)
            assert (type(y), y.flags.carray, y.dtype.isnative) == (np.ndarray, True, True)
            assert (numpy_of(odd).tolist(), str(seen.flags)) == (before, flags)
            assert not np.shares_memory(y, seen)


@pytest.mark.parametrize("function", CALLS)
def test_lists_are_taken(function: str) -> None:
    call, operands = CALLS[function]
    y = call(**{name: values.tolist() for name, values in operands.items()})
    np.testing.assert_array_equal(y, call(**operands).astype(np.float64), strict=True)


def test_one_array_may_be_image_and_filter() -> None:
    x = numbers(2, 2, 3, 3)
    np.testing.assert_array_equal(nc.conv2d(x, x, x[0, 0, 0, :2]), defined(x, x, x[0, 0, 0, :2]), strict=True)


# types


def in_a_list(values: Array) -> list[Any]:
    """Return nested lists that end in masked arrays."""
    return [np.ma.masked_array(values[0], values[0] > 0), *values[1:]]


REFUSED: dict[str, tuple[Callable[[Array], Any], str]] = {
    "masked": (lambda values: np.ma.masked_array(values, values > 0), "mask"),
    "mask of nothing": (np.ma.masked_array, "mask"),
    "masks in a list": (in_a_list, "mask"),
    "objects": (lambda values: values.astype(object), "object"),
    "fractions": (lambda values: [Fraction(value) for value in values.ravel().tolist()], "object"),
    "dates": (lambda values: values.astype("i8").astype("M8[D]"), "datetime64"),
    "durations": (lambda values: values.astype("m8[s]"), "timedelta64"),
    "long double": (lambda values: values.astype(np.longdouble), "float64"),
    "complex": (lambda values: values.astype(np.complex64), "complex64"),
    "bool": (lambda values: values > 0, "bool"),
    "uint64": (lambda values: abs(values).astype(np.uint64), "uint64"),
    "text": (lambda values: values.astype("U9"), "text"),
    "records": (lambda values: values.astype([("red", "f4")]), "red"),
    "no array": (lambda _: {1, 2}, "object"),
}
if find_spec("ml_dtypes"):
    REFUSED["bfloat16"] = (lambda values: values.astype(import_module("ml_dtypes").bfloat16), "float32")
if find_spec("torch"):
    REFUSED["gradients"] = (lambda values: as_tensor(values).requires_grad_(), "detach")
    REFUSED["bfloat16 tensor"] = (lambda values: as_tensor(values).bfloat16(), "bfloat16")
    REFUSED["no memory"] = (lambda values: as_tensor(values).to("meta"), "meta")


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize(("function", "operand"), OPERANDS)
def test_types_that_have_no_convolution_are_refused(function: str, operand: str, kind: str) -> None:
    call, operands = CALLS[function]
    make, fragment = REFUSED[kind]
    bad = make(operands[operand])
    text = refused(partial(call, **{**operands, operand: bad}), TypeError, fragment)
    # A plan is called by itself, and its operand with it.
    assert text.startswith(f"{'plan' if (function, operand) == ('plan_conv2d', 'x') else function}: {operand} ")


@pytest.mark.parametrize(
    ("function", "operand"), [(function, operand) for function, operand in OPERANDS if function in TAKE_OUT]
)
def test_integers_and_floats_do_not_mix(function: str, operand: str) -> None:
    call, operands = CALLS[function]
    whole = {name: values.astype(np.int16) for name, values in operands.items()}
    if operand != "bias":
        refused(partial(call, **{**operands, operand: whole[operand]}), TypeError, "float32", "int")
    else:
        np.testing.assert_array_equal(call(**{**operands, "bias": whole["bias"]}), call(**operands), strict=True)
    refused(partial(call, **{**whole, operand: operands[operand]}), TypeError, "float32", "int")


# out


@pytest.fixture
def every_byte_stays() -> Iterator[Callable[[Array], Array]]:
    """Return a function that remembers an array; after the test, demand that none of its bytes has changed."""
    kept: list[tuple[Array, bytes]] = []

    def keep(values: Array) -> Array:
        kept.append((values, values.tobytes()))
        return values

    yield keep
    assert all(values.tobytes() == before for values, before in kept)


@pytest.mark.parametrize("function", TAKE_OUT)
def test_an_out_that_does_not_fit_is_refused(function: str, every_byte_stays: Callable[[Array], Array]) -> None:
    call, operands = CALLS[function]
    shape = call(**operands).shape
    wrong = (*shape[:3], shape[3] + 1)
    outs: list[tuple[Any, type[Exception], tuple[object, ...]]] = [
        (np.zeros(wrong, np.float32), ValueError, (str(wrong), str(shape))),
        (np.zeros(shape[1:], np.float32), ValueError, (str(shape[1:]), str(shape))),
        (np.zeros((0, *shape[1:]), np.float32), ValueError, (str((0, *shape[1:])), str(shape))),
        (np.zeros(shape), TypeError, ("float64", "float32")),
        (np.zeros(shape, np.float16), TypeError, ("float16", "float32")),
        (swapped(np.zeros(shape, np.float32)), TypeError, ("byte order", "float32")),
        (read_only(np.zeros(shape, np.float32)), ValueError, ("read-only",)),
        (np.asfortranarray(np.zeros(shape, np.float32)), ValueError, ("strides", "C-contiguous")),
        (gaps(np.zeros(shape, np.float32)), ValueError, ("strides", "C-contiguous")),
        (np.flip(np.zeros(shape, np.float32)), ValueError, ("strides", "C-contiguous")),
        (np.broadcast_to(np.float32(0), shape), ValueError, ("strides", "C-contiguous")),
        (unaligned(np.zeros(shape, np.float32)), ValueError, ("address",)),
        (np.ma.zeros(shape, np.float32), TypeError, ("MaskedArray",)),
    ]
    for out, error, fragments in outs:
        every_byte_stays(np.asarray(out))
        refused(partial(call, **operands, out=out), error, "out", *fragments)
    for nothing in ([0.0], 0, "out", np.zeros(shape, np.float32).tolist()):
        refused(partial(call, **operands, out=nothing), TypeError, "out", type(nothing).__name__)


@pytest.mark.parametrize("function", TAKE_OUT)
def test_an_out_that_fits_is_written_and_returned(function: str, tmp_path: Path) -> None:
    call, operands = CALLS[function]
    expected = call(**operands)
    for out in (np.full_like(expected, np.nan), np.memmap(tmp_path / "out", np.float32, "w+", shape=expected.shape)):
        assert call(**operands, out=out) is out
        np.testing.assert_array_equal(np.asarray(out), expected, strict=True)


@pytest.mark.parametrize(
    ("function", "operand"),
    # A plan has copied its weights long before it writes.
    [pair for pair in OPERANDS if pair[0] in TAKE_OUT and (pair[0] != "plan_conv2d" or pair[1] == "x")],
)
def test_an_out_that_overlaps_an_operand_is_refused(
    function: str, operand: str, every_byte_stays: Callable[[Array], Array]
) -> None:
    call, operands = CALLS[function]
    expected = call(**operands)
    values = operands[operand]
    # The operand ends where out begins, or out begins within it.
    for shared in (0, 1, min(values.size, expected.size)):
        memory = np.zeros(values.size + expected.size, np.float32)
        near = memory[: values.size].reshape(values.shape)
        near[...] = values
        first = values.size - shared
        out = memory[first : first + expected.size].reshape(expected.shape)
        if shared:
            every_byte_stays(memory)
            refused(partial(call, **{**operands, operand: near}, out=out), ValueError, "out", "overlaps")
        else:
            call(**{**operands, operand: near}, out=out)
            np.testing.assert_array_equal(out, expected, strict=True)
            np.testing.assert_array_equal(near, values, strict=True)


def test_an_out_that_overlaps_an_operand_of_another_type_is_refused(every_byte_stays: Callable[[Array], Array]) -> None:
    memory = every_byte_stays(np.zeros(2 * 6 * 5 * 7 + 8, np.float64))
    out = memory.view(np.float32)[: 2 * 6 * 5 * 7].reshape(2, 6, 5, 7)
    call = partial(nc.conv2d, padding=((1, 1), (1, 1)), out=out)
    assert nc.conv2d(X, WEIGHT, BIAS, padding=1).shape == out.shape
    for x in (
        memory.view(np.dtype("f4").newbyteorder())[: X.size].reshape(X.shape),
        memory[: X.size].reshape(X.shape).view(np.float32)[..., ::2],
        memory.view(np.float16)[: X.size].reshape(X.shape),
        Exporter(memory.view(np.float32)[: X.size].reshape(X.shape)),
    ):
        refused(partial(call, x, WEIGHT, BIAS), ValueError, "out", "overlaps")
    refused(partial(call, X, WEIGHT, memory[:6]), ValueError, "out", "overlaps")


def test_an_out_between_the_columns_of_an_image_is_written() -> None:
    memory = np.zeros((3, X.size), np.float32)
    memory[::2] = numbers(2, X.size)
    x, out = memory[::2].reshape(1, 2, 1, -1), memory[1].reshape(1, 1, 1, -1)
    x = np.lib.stride_tricks.as_strided(memory, (1, 2, 1, X.size), (0, 2 * memory.strides[0], 0, 4))
    weight = numbers(1, 2, 1, 1)
    expected = defined(x, weight)
    nc.conv2d(x, weight, out=out)
    np.testing.assert_array_equal(out, expected, strict=True)
    np.testing.assert_array_equal(memory[::2], numbers(2, X.size), strict=True)
