"""Transposed layers: shapes and counts against a scatter that is written out, cell by cell."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npconv.counts import OpCount
from npconv.networks import Layer
from strategies import one_in


@st.composite
def transposed_layers(draw: st.DrawFn) -> Layer:
    """Draw a transposed layer; rows and columns have options of their own, and padding may cut off whole windows."""
    groups, per_group, channels, N = (draw(st.integers(1, 3)) for _ in range(4))
    axes = []
    for _ in range(2):
        n, k, s, d = (draw(st.integers(1, 4)) for _ in range(4))
        extra = draw(st.integers(0, s - 1))
        whole = (n - 1) * s + d * (k - 1) + 1 + extra
        p0 = draw(st.integers(0, whole - 1))
        p1 = draw(st.integers(0, whole - 1 - p0))
        axes.append((n, k, s, d, (p0, p1), extra))
    (H, W), (KH, KW), stride, dilation, padding, output_padding = zip(*axes, strict=True)
    return Layer(
        "up",
        (N, channels * groups, H, W),
        (channels * groups, per_group, KH, KW),
        stride,
        padding,
        dilation,
        groups,
        draw(st.booleans()),
        draw(st.integers(1, 2)),
        transposed=True,
        output_padding=output_padding,
    )


def scattered(layer: Layer) -> OpCount:
    """Count one run by scattering one group of one image: each product is stored, or added to what is there."""
    (_, C, H, W), (_, per_group, KH, KW) = layer.x_shape, layer.weight_shape
    (sh, sw), (dh, dw), ((top, _), (left, _)) = layer.stride, layer.dilation, layer.padding
    N, _, OH, OW = layer.y_shape
    begun = set()
    counts = OpCount()
    for o, _, h, w, kh, kw in product(*map(range, (per_group, C // layer.groups, H, W, KH, KW))):
        oh, ow = h * sh + kh * dh - top, w * sw + kw * dw - left
        add = int(layer.bias or (o, oh, ow) in begun)
        begun.add((o, oh, ow))
        kept = 0 <= oh < OH and 0 <= ow < OW
        counts += OpCount(mul=1, add=add) if kept else OpCount(padding_mul=1, padding_add=add)
    return N * layer.groups * counts


@given(layer=transposed_layers())
@one_in(2)
def test_counts_are_those_of_a_scatter(layer: Layer) -> None:
    assert layer.counts == layer.times * scattered(layer)
    # The adjoint takes the output back to the input, through the same weight, with the same products.
    assert layer.geometry.x_shape == layer.y_shape
    assert layer.geometry.y_shape == layer.x_shape
    assert layer.geometry.weight_shape == layer.weight_shape
    assert layer.counts.dense_mul == layer.times * layer.geometry.P * layer.geometry.K


def test_parameters_have_a_bias_for_each_output_channel() -> None:
    layer = Layer("up", (1, 8, 5, 5), (8, 3, 4, 4), (2, 2), groups=2, bias=True, transposed=True)
    assert layer.y_shape == (1, 6, 12, 12)
    assert layer.parameters == 8 * 3 * 4 * 4 + 6


NO_ADJOINT = {
    "channels": (
        Layer("up", (1, 8, 5, 5), (4, 8, 2, 2), transposed=True),
        "x has 8 channels, but weight takes 4. Did you mean a weight of shape (8, 8, 2, 2)?",
        "x (1, 8, 5, 5), weight (4, 8, 2, 2), stride=(1, 1), padding=((0, 0), (0, 0)), output_padding=(0, 0)",
    ),
    "output_padding": (
        Layer("up", (1, 8, 5, 5), (8, 4, 2, 2), (2, 2), transposed=True, output_padding=(1, 2)),
        "output_padding is (1, 2), but must be below the stride. Did you mean (0, 0)?",
        "x (1, 8, 5, 5), weight (8, 4, 2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), output_padding=(1, 2)",
    ),
    "padding": (
        Layer("up", (1, 8, 1, 5), (8, 4, 2, 2), padding=((1, 1), (0, 0)), transposed=True),
        "padding cuts all off: y would be (1, 4, 0, 6). Did you mean less padding?",
        "x (1, 8, 1, 5), weight (8, 4, 2, 2), stride=(1, 1), padding=((1, 1), (0, 0)), output_padding=(0, 0)",
    ),
}


@pytest.mark.parametrize(("layer", "fault", "call"), NO_ADJOINT.values(), ids=NO_ADJOINT)
def test_layers_without_an_adjoint(layer: Layer, fault: str, call: str) -> None:
    with pytest.raises(ValueError, match=r"^up: ") as caught:
        _ = layer.counts
    assert str(caught.value) == f"up: {fault}\n        ({call})"
