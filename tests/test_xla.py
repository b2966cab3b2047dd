"""XLA's cost analysis, where JAX is installed: it leaves products with padding out, and so do our useful ones."""

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings

import npconv as nc
from cases import Case
from npconv.networks import Layer
from strategies import cases, one_in
from test_conventions import layer_of
from test_transposed import transposed_layers

pytestmark = pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")


def flops(layer: Layer) -> int:
    """Return what XLA says a layer costs. It is lowered for that, not compiled."""
    jax: Any = import_module("jax")
    g = layer.geometry
    options: dict[str, Any] = {"feature_group_count": g.groups, "rhs_dilation": g.dilation}
    x_shape, weight_shape = layer.x_shape, layer.weight_shape
    if layer.transposed:
        # A convolution with filters of (O, C // groups, KH, KW), flipped, over an image with holes in it.
        weight_shape = (layer.y_shape[1], g.group_filters, g.KH, g.KW)
        reach = zip((g.KH, g.KW), g.dilation, g.padding, layer.output_padding, strict=True)
        pads = [(d * (k - 1) - p0, d * (k - 1) - p1 + extra) for k, d, (p0, p1), extra in reach]
        options |= {"lhs_dilation": g.stride, "window_strides": (1, 1), "padding": pads}
    else:
        options |= {"window_strides": g.stride, "padding": g.padding}
    convolve = partial(jax.lax.conv_general_dilated, **options)
    operands = [x_shape, weight_shape, *[(1, layer.y_shape[1], 1, 1)] * layer.bias]
    function = jax.jit(lambda x, weight, *bias: sum(bias, convolve(x, weight)))
    lowered = function.lower(*(jax.ShapeDtypeStruct(shape, "float32") for shape in operands))
    assert lowered.out_info.shape == layer.y_shape
    # What is zero is left out.
    return int(lowered.cost_analysis().get("flops", 0))


@settings(max_examples=500)
@given(cases())
def test_useful_products_are_those_of_xla(case: Case) -> None:
    layer = layer_of(case, bias=False)
    assert (
        2 * nc.count_conv2d(case.x_shape, case.weight_shape, **case.options).mul
        == nc.convert(layer, "xla")
        == flops(layer)
    )


@one_in(10)
@given(cases())
def test_a_bias_is_one_more_for_each_output(case: Case) -> None:
    layer = layer_of(case, bias=True)
    assert nc.convert(layer, "xla") == flops(layer)


@one_in(5)
@given(transposed_layers())
def test_transposed_layers_keep_what_falls_on_the_output(layer: Layer) -> None:
    assert nc.convert(layer, "xla") == layer.times * flops(layer)
