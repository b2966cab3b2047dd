"""Relations that hold between convolutions, exactly on small integers; each draws the method that has to obey it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npconv as nc
from bounds import tap_by_tap
from cases import Array, Case, small_integers
from strategies import cases, one_in, seeds

# Sixteen relations share the examples of a run; every method comes up in each.
law = one_in(10)
methods = st.integers(0, 4)


class Call:
    """A case with its data and the method under test."""

    def __init__(self, case: Case, seed: int, choice: int) -> None:
        self.case, self.geometry = case, case.geometry
        self.method = case.methods()[choice % len(case.methods())]
        self.rng = np.random.default_rng(seed)
        self.x, self.weight, self.bias = small_integers(case, "float32", seed)

    def __call__(self, x: Array, weight: Array, bias: Array | None = None, **changes: Any) -> Array:
        """Return the convolution of other data, with other options."""
        case = Case(x.shape, weight.shape, **{**self.case.options, **changes})
        method = self.method if self.method in case.methods() else "direct"
        y: Array = nc.conv2d(x, weight, bias, method=method, **case.options)
        return y

    def __repr__(self) -> str:
        return f"Call({self.case}, {self.method})"

    def padded(self, x: Array) -> Array:
        """Return the images with their zeros written out."""
        return np.pad(x, ((0, 0), (0, 0), *self.geometry.padding))


calls = st.builds(Call, cases(), seeds, methods)


@law
@given(calls, st.integers(-3, 3), st.integers(-3, 3))
def test_linear_in_the_images(call: Call, a: int, b: int) -> None:
    other = call.rng.integers(-8, 9, call.x.shape).astype("float32")
    y = call(np.float32(a) * call.x + np.float32(b) * other, call.weight)
    np.testing.assert_array_equal(y, a * call(call.x, call.weight) + b * call(other, call.weight))


@law
@given(calls, st.integers(-3, 3), st.integers(-3, 3))
def test_linear_in_the_filters(call: Call, a: int, b: int) -> None:
    other = call.rng.integers(-8, 9, call.weight.shape).astype("float32")
    y = call(call.x, np.float32(a) * call.weight + np.float32(b) * other)
    np.testing.assert_array_equal(y, a * call(call.x, call.weight) + b * call(call.x, other))


@law
@given(calls)
def test_a_bias_is_added_to_every_output_of_its_filter(call: Call) -> None:
    y = call(call.x, call.weight) + call.bias[:, None, None]
    np.testing.assert_array_equal(call(call.x, call.weight, call.bias), y)


@law
@given(calls)
def test_images_of_a_batch_are_independent(call: Call) -> None:
    y = call(call.x, call.weight, call.bias)
    for n in range(len(y)):
        np.testing.assert_array_equal(call(call.x[n : n + 1], call.weight, call.bias)[0], y[n])


@law
@given(calls)
def test_groups_are_separate_convolutions_side_by_side(call: Call) -> None:
    images = np.split(call.x, call.geometry.groups, axis=1)
    filters = np.split(call.weight, call.geometry.groups)
    parts = [call(x, weight, groups=1) for x, weight in zip(images, filters, strict=True)]
    np.testing.assert_array_equal(call(call.x, call.weight), np.concatenate(parts, axis=1))


@law
@given(cases(), seeds)
def test_groups_are_one_convolution_with_block_diagonal_filters(case: Case, seed: int) -> None:
    call = Call(case, seed, 0)
    g = call.geometry
    blocks = np.zeros((g.groups, g.group_filters, g.groups, g.group_channels, g.KH, g.KW), np.float32)
    for i in range(g.groups):
        blocks[i, :, i] = call.weight.reshape(g.groups, g.group_filters, g.group_channels, g.KH, g.KW)[i]
    grouped = call(call.x, call.weight)
    for method in ("naive", "im2col", "direct", "filterwise", "auto"):
        call.method = method
        np.testing.assert_array_equal(call(call.x, blocks.reshape(g.O, g.C, g.KH, g.KW), groups=1), grouped)


@law
@given(calls)
def test_permuting_the_filters_of_each_group_permutes_the_outputs(call: Call) -> None:
    g = call.geometry
    order = np.concatenate([i * g.group_filters + call.rng.permutation(g.group_filters) for i in range(g.groups)])
    y = call(call.x, call.weight[order], call.bias[order])
    np.testing.assert_array_equal(y, call(call.x, call.weight, call.bias)[:, order])


@law
@given(calls)
def test_permuting_the_groups_permutes_the_outputs(call: Call) -> None:
    g = call.geometry
    order = call.rng.permutation(g.groups)
    channels = np.arange(g.C).reshape(g.groups, -1)[order].ravel()
    filters = np.arange(g.O).reshape(g.groups, -1)[order].ravel()
    y = call(call.x[:, channels], call.weight[filters])
    np.testing.assert_array_equal(y, call(call.x, call.weight)[:, filters])


@law
@given(calls)
def test_padding_is_zeros_around_the_image(call: Call) -> None:
    y = call(call.padded(call.x), call.weight, call.bias, padding=0)
    np.testing.assert_array_equal(call(call.x, call.weight, call.bias), y)


@law
@given(calls)
def test_dilation_is_zeros_between_the_taps(call: Call) -> None:
    (dh, dw), g = call.geometry.dilation, call.geometry
    stuffed = np.zeros((*g.weight_shape[:2], dh * (g.KH - 1) + 1, dw * (g.KW - 1) + 1), np.float32)
    stuffed[:, :, ::dh, ::dw] = call.weight
    np.testing.assert_array_equal(call(call.x, call.weight), call(call.x, stuffed, dilation=1))


@law
@given(calls)
def test_stride_keeps_every_sth_output(call: Call) -> None:
    (sh, sw), g = call.geometry.stride, call.geometry
    y = call(call.x, call.weight, stride=1)[:, :, ::sh, ::sw]
    # Beyond the last whole window, stride 1 has outputs of its own.
    np.testing.assert_array_equal(call(call.x, call.weight), y[:, :, : g.OH, : g.OW])


@law
@given(calls)
def test_flipping_everything_flips_the_outputs(call: Call) -> None:
    # Only where the windows fill the padded image: elsewhere the unread cells would change sides.
    g = call.geometry
    height = (g.OH - 1) * g.stride[0] + g.dilation[0] * (g.KH - 1) + 1
    width = (g.OW - 1) * g.stride[1] + g.dilation[1] * (g.KW - 1) + 1
    image = call.padded(call.x)[:, :, :height, :width]
    y = call(image[:, :, ::-1, ::-1], call.weight[:, :, ::-1, ::-1], padding=0)
    np.testing.assert_array_equal(y[:, :, ::-1, ::-1], call(call.x, call.weight))


@law
@given(calls, st.integers(1, 3))
def test_zero_taps_change_nothing(call: Call, more: int) -> None:
    (dh, dw), ((top, bottom), (left, right)) = call.geometry.dilation, call.geometry.padding
    longer = np.pad(call.weight, ((0, 0), (0, 0), (0, more), (more, 0)))
    padding = ((top, bottom + more * dh), (left + more * dw, right))
    np.testing.assert_array_equal(call(call.x, longer, padding=padding), call(call.x, call.weight))


@law
@given(calls)
def test_a_sum_over_single_taps(call: Call) -> None:
    y = tap_by_tap(call.x.astype("float64"), call.weight.astype("float64"), None, call.geometry)
    np.testing.assert_array_equal(call(call.x, call.weight), y)


@law
@given(calls)
def test_a_single_tap_is_a_strided_crop(call: Call) -> None:
    g = call.geometry
    c, kh, kw = (int(call.rng.integers(extent)) for extent in (g.group_channels, g.KH, g.KW))
    dirac = np.zeros_like(call.weight)
    dirac[:, c, kh, kw] = 1
    crop = call.padded(call.x)[:, :, kh * g.dilation[0] :: g.stride[0], kw * g.dilation[1] :: g.stride[1]]
    channels = np.arange(g.groups).repeat(g.group_filters) * g.group_channels + c
    np.testing.assert_array_equal(call(call.x, dirac), crop[:, channels, : g.OH, : g.OW])


@law
@given(calls)
def test_ones_count_the_real_taps(call: Call) -> None:
    g = call.geometry
    y = call(np.ones_like(call.x), np.ones_like(call.weight))
    rows, columns = (
        [sum(0 <= o * s + j * d - p0 < n for j in range(k)) for o in range(extent)]
        for n, k, s, d, (p0, _), extent in (
            (g.H, g.KH, g.stride[0], g.dilation[0], g.padding[0], g.OH),
            (g.W, g.KW, g.stride[1], g.dilation[1], g.padding[1], g.OW),
        )
    )
    np.testing.assert_array_equal(y, np.broadcast_to(g.group_channels * np.outer(rows, columns), g.y_shape))


@law
@given(calls)
def test_magnitudes_bound_the_outputs(call: Call) -> None:
    assert (abs(call(call.x, call.weight)) <= call(abs(call.x), abs(call.weight))).all()


@law
@given(calls, st.data())
def test_a_tile_with_its_halo_is_a_slice_of_the_whole(call: Call, data: st.DataObject) -> None:
    g = call.geometry
    first = data.draw(st.integers(0, g.OH - 1))
    last = data.draw(st.integers(first, g.OH - 1))
    rows = slice(first * g.stride[0], last * g.stride[0] + g.dilation[0] * (g.KH - 1) + 1)
    y = call(call.padded(call.x)[:, :, rows], call.weight, padding=0)
    np.testing.assert_array_equal(y, call(call.x, call.weight)[:, :, first : last + 1])


@law
@given(cases(), seeds)
def test_columns_times_filters(case: Case, seed: int) -> None:
    O, C = case.weight_shape[0], case.x_shape[1]
    call = Call(replace(case, weight_shape=(O, C, *case.weight_shape[2:]), groups=1), seed, 0)
    g = call.geometry
    options = {name: getattr(g, name) for name in ("stride", "padding", "dilation")}
    columns = nc.im2col(call.x, (g.KH, g.KW), **options)
    assert columns.shape == (g.N, g.K, g.OH * g.OW)
    np.testing.assert_array_equal(
        (call.weight.reshape(g.O, -1) @ columns).reshape(g.y_shape), call(call.x, call.weight)
    )


@law
@given(cases(), seeds)
def test_col2im_is_the_adjoint_of_im2col(case: Case, seed: int) -> None:
    g = case.geometry
    x, _, _ = small_integers(case, "float64", seed)
    q = np.random.default_rng(seed).integers(-8, 9, (g.N, g.C * g.KH * g.KW, g.OH * g.OW)).astype("float64")
    options = {name: getattr(g, name) for name in ("stride", "padding", "dilation")}
    image = nc.col2im(q, x.shape, (g.KH, g.KW), **options)
    assert (nc.im2col(x, (g.KH, g.KW), **options) * q).sum() == (x * image).sum()


@law
@given(calls)
def test_the_adjoint_scatters_what_the_convolution_gathers(call: Call) -> None:
    # <conv(x, w), q> = <x, conv_transpose(q, w)>, the latter written as the scatter that defines it.
    g = call.geometry
    q = call.rng.integers(-8, 9, g.y_shape).astype("float64")
    image = np.zeros(call.padded(call.x).shape)
    for o in range(g.O):
        first = o // g.group_filters * g.group_channels
        for c in range(g.group_channels):
            for kh in range(g.KH):
                for kw in range(g.KW):
                    top, left = kh * g.dilation[0], kw * g.dilation[1]
                    rows = slice(top, top + (g.OH - 1) * g.stride[0] + 1, g.stride[0])
                    columns = slice(left, left + (g.OW - 1) * g.stride[1] + 1, g.stride[1])
                    image[:, first + c, rows, columns] += q[:, o] * call.weight[o, c, kh, kw]
    assert (call(call.x, call.weight) * q).sum() == (call.padded(call.x) * image).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64"])
@pytest.mark.parametrize(("groups", "channels"), [(1, 1), (1, 5), (5, 1), (2, 3), (3, 2), (4, 4), (7, 17)])
def test_a_shuffle_transposes_the_channels_and_is_undone(groups: int, channels: int, dtype: str) -> None:
    C = groups * channels
    x = np.random.default_rng(1).integers(-8, 9, (2, C, 3, 5)).astype(dtype)
    y = nc.channel_shuffle(x, groups)
    for i in range(groups):
        for j in range(channels):
            np.testing.assert_array_equal(y[:, j * groups + i], x[:, i * channels + j])
    np.testing.assert_array_equal(nc.channel_unshuffle(y, groups), x, strict=True)
    np.testing.assert_array_equal(nc.channel_unshuffle(x, groups), nc.channel_shuffle(x, channels), strict=True)
    one_hot = np.eye(C, dtype=dtype).reshape(C, C, 1, 1)
    permutation = nc.channel_shuffle(one_hot, groups)
    assert (permutation.sum(axis=0) == 1).all()
    assert (permutation.sum(axis=1) == 1).all()


@law
@given(calls, st.booleans(), seeds)
def test_a_shuffled_result_is_the_shuffle_of_the_result(call: Call, biased: bool, seed: int) -> None:
    g, bias = call.geometry, call.bias if biased else None
    divisors = [n for n in range(1, g.O + 1) if g.O % n == 0]
    groups = divisors[seed % len(divisors)]
    y = nc.channel_shuffle(call(call.x, call.weight, bias), groups)
    options: dict[str, Any] = {**call.case.options, "method": call.method, "shuffle_groups": groups}
    shuffled, counts = nc.conv2d(call.x, call.weight, bias, return_counts=True, **options)
    assert shuffled.tobytes() == y.tobytes()
    plan = nc.plan_conv2d(call.x.shape, call.weight, bias, **options)
    assert plan.counts == counts
    # What the kernel shuffles as it stores moves nothing.
    moved_after = plan.counts.moved - plan.layout.moved
    in_passing = g.groups % groups == 0 and plan.method in ("im2col", "direct", "filterwise")
    assert moved_after == (0 if groups == 1 or in_passing else g.P)


@law
@given(cases(), seeds)
def test_the_family_is_the_convolution_that_it_names(case: Case, seed: int) -> None:
    g = case.geometry
    rng = np.random.default_rng(seed)
    options = {name: getattr(g, name) for name in ("stride", "padding", "dilation")}
    x = rng.integers(-8, 9, case.x_shape).astype("float32")
    depthwise = rng.integers(-8, 9, (2 * g.C, 1, g.KH, g.KW)).astype("float32")
    pointwise = rng.integers(-8, 9, (g.groups * 3, 2 * g.group_channels)).astype("float32")
    dense = rng.integers(-8, 9, (5, 2 * g.C)).astype("float32")
    bias = rng.integers(-8, 9, 5).astype("float32")

    middle = nc.depthwise_conv2d(x, depthwise, **options)
    np.testing.assert_array_equal(middle, nc.conv2d(x, depthwise, groups=g.C, **options))
    y = nc.conv2d(middle, pointwise[:, :, None, None], groups=g.groups)
    np.testing.assert_array_equal(nc.pointwise_conv2d(middle, pointwise, groups=g.groups), y)
    np.testing.assert_array_equal(nc.pointwise_conv2d(middle, pointwise[:, :, None, None], groups=g.groups), y)
    y = nc.conv2d(middle, dense[:, :, None, None], bias)
    np.testing.assert_array_equal(nc.separable_conv2d(x, depthwise, dense, bias, **options), y)
