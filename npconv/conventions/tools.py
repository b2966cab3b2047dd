"""What each tool prints for a layer: its rule as it is written in its source, known faults included."""

from math import prod

from npconv.conventions.convention import (
    DENSE,
    DENSE_AND_BIAS,
    TWICE_DENSE,
    TWICE_DENSE_AND_BIAS,
    TWICE_USEFUL,
    TWICE_USEFUL_AND_BIAS,
    Convention,
)
from npconv.conventions.facts import Facts, Sizes


def torch_profiler(f: Facts) -> int:
    """Look at `aten::conv2d` of four axes and at `aten::addmm` alone."""
    seen = f.fully_connected or (len(f.kernel) == 2 and f.batched and not f.transposed and not by_word(f))
    return 2 * f.dense if seen else 0


def fvcore(f: Facts) -> int:
    """Look at `aten::_convolution`; padding by a word is another operator."""
    return 0 if by_word(f) else f.dense


def thop(f: Facts) -> int:
    """Look at modules of exactly the known classes, once for each parent, and sum over parents again."""
    if f.caller != "module":
        return 0
    # The second axis is taken for the channels, and the output's size for that of the windows.
    return f.parents**2 * f.outputs * (f.x_shape[1] // f.groups) * f.taps


def ptflops(f: Facts) -> int:
    """Look at modules of exactly the known classes, and sum over parents; the first axis is taken for the batch."""
    if f.caller != "module":
        return 0
    batch, *_ = f.x_shape
    positions = prod(f.x_shape[2:] if f.transposed else f.y_shape[2:])
    products = f.taps * f.C * (f.filters // f.groups) * positions
    return f.parents * f.times * batch * (products + f.bias * prod(f.y_shape[1:]))


def torchinfo(f: Facts) -> int:
    """Multiply the parameters of layers without children by the positions of the output."""
    if f.caller in ("function", "parametrized"):
        return 0
    parameters = prod(f.weight_shape) + f.bias * f.filters
    images, _, *size = f.y_shape
    return f.times * images * parameters * (prod(size) if "Conv" in f.class_name else 1)


def torchprofile(f: Facts) -> int:
    """Look at `aten::_convolution`; which axis of the weight has the channels is guessed from the output."""
    if by_word(f):
        return 0
    channels = f.weight_shape[1] if f.weight_shape[0] == f.filters else f.weight_shape[0]
    return f.outputs * channels * f.taps


def calflops(f: Facts) -> int | None:
    """Replace the functions of `torch.nn.functional`, and sum over parents; twice the products, and the biases."""
    macs = calflops_macs(f)
    if macs is None or f.fully_connected or not f.bias:
        return None if macs is None else 2 * macs
    # A transposed output is taken for that of an ordinary layer, with the filters of one group.
    filters = f.weight_shape[1] if f.transposed else f.filters
    return 2 * macs + f.parents * f.times * f.x_shape[0] * filters * prod(_forward_size(f))


def calflops_macs(f: Facts) -> int | None:
    """As `calflops`, without the biases and once."""
    batch, channels, *size = f.x_shape
    if f.transposed:
        filters, positions = f.weight_shape[1] // f.groups, prod(size)
    elif channels == f.C:
        filters, positions = f.filters // f.groups, prod(_forward_size(f))
    else:
        # An image without a batch; if it has as many rows as channels, it passes.
        return None
    return f.parents * f.times * batch * f.taps * channels * filters * positions


def onnx_tool(f: Facts) -> int:
    """Multiply the elements of the output by those of the weight behind its first axis, transposed or not."""
    return f.outputs * prod(f.weight_shape[1:]) + f.biases


def by_word(f: Facts) -> bool:
    """Return whether the operator itself is given its padding by a word; circular padding is made before it."""
    return f.padding_word != "" and not f.circular


def _forward_size(f: Facts) -> Sizes:
    """Return the output's size by the formula of an ordinary layer; "same" pads equally at both ends, even if that is not enough."""
    spans = [d * (k - 1) for d, k in zip(f.dilation, f.kernel, strict=True)]
    equal = f.padding_word == "same" and not f.circular
    pads = [span // 2 * 2 if equal else sum(ends) for span, ends in zip(spans, f.padding, strict=True)]
    axes = zip(f.x_shape[2:], spans, f.stride, pads, strict=False)
    return tuple((n + zeros - span - 1) // s + 1 for n, span, s, zeros in axes)


TOOLS = (
    Convention(
        "flop-counter-mode",
        "FLOPs",
        TWICE_DENSE,
        lambda f: 2 * f.dense,
        "PyTorch 2.13, torch/utils/flop_counter.py, conv_flop_count",
    ),
    Convention(
        "torch-profiler",
        "FLOPs",
        TWICE_DENSE,
        torch_profiler,
        "PyTorch 2.13, torch/csrc/profiler/util.cpp, computeFlops",
        (
            "transposed layers count as 0",
            "layers of one and of three axes count as 0",
            "padding by a word counts as 0",
            "images without a batch count as 0",
        ),
    ),
    Convention(
        "fvcore",
        "flops",
        DENSE,
        fvcore,
        "fvcore 0.1.5, fvcore/nn/jit_handles.py, conv_flop_count",
        ("padding by a word counts as 0",),
    ),
    Convention(
        "thop",
        "MACs",
        DENSE,
        thop,
        "thop 0.1.1, thop/vision/calc_func.py, calculate_conv2d_flops",
        (
            "transposed layers are multiplied by output positions where the products go by input positions: by the strides",
            "functional calls, subclasses and layers with a computed weight count as 0",
            "a layer that p parents hold counts p*p times",
            "without a batch, the rows are taken for channels",
        ),
    ),
    Convention(
        "ptflops",
        "MACs",
        DENSE_AND_BIAS,
        ptflops,
        "ptflops 0.7.5, ptflops/pytorch_ops.py, conv_flops_counter_hook",
        (
            "functional calls, subclasses and layers with a computed weight count as 0",
            "a layer that p parents hold counts p times",
            "without a batch, the channels are taken for the batch and the rows are lost",
        ),
        per_image=True,
    ),
    Convention(
        "ptflops-aten",
        "MACs",
        DENSE_AND_BIAS,
        lambda f: f.dense + f.biases,
        "ptflops 0.7.5, ptflops/aten_ops.py, conv_flop_count",
    ),
    Convention(
        "torchinfo",
        "mult-adds",
        DENSE_AND_BIAS,
        torchinfo,
        "torchinfo 1.8.0, torchinfo/layer_info.py, LayerInfo.calculate_macs",
        (
            "transposed layers are multiplied by output positions where the products go by input positions: by the strides",
            "functional calls and layers with a computed weight count as 0",
            'classes without "Conv" in their name count the weight once per image',
            "without a batch, the output's channels are taken for the batch and its rows are lost",
        ),
    ),
    Convention(
        "torchprofile",
        "MACs",
        DENSE,
        torchprofile,
        "torchprofile 0.1.0, torchprofile/handlers.py, _convolution",
        (
            "transposed layers are multiplied by output positions where the products go by input positions: by the strides",
            "grouped transposed layers with C != O are multiplied by the groups too",
            "padding by a word counts as 0",
        ),
    ),
    Convention(
        "calflops",
        "FLOPs",
        TWICE_DENSE_AND_BIAS,
        calflops,
        "calflops 0.3.2, calflops/pytorch_ops.py, _conv_flops_compute and _conv_trans_flops_compute",
        (
            "grouped transposed layers are divided by the groups, depthwise ones count as 0",
            "the bias of a transposed layer counts with the output's size of an ordinary one",
            '"same" counts an output too small for even kernels',
            "the bias of a fully connected layer is left out",
            "a layer that p parents hold counts p times",
            "an image without a batch is an error",
        ),
    ),
    Convention(
        "calflops-macs",
        "MACs",
        DENSE,
        calflops_macs,
        "as calflops",
        (
            "grouped transposed layers are divided by the groups, depthwise ones count as 0",
            '"same" counts an output too small for even kernels',
            "a layer that p parents hold counts p times",
            "an image without a batch is an error",
        ),
    ),
    Convention(
        "onnx-tool",
        "MACs",
        DENSE_AND_BIAS,
        onnx_tool,
        "onnx-tool 1.0.1, onnx_tool/node.py, ConvNode.profile and ConvTransposeNode.profile",
        ("transposed layers are multiplied by output positions and by O/g in place of C/g: by the strides and by O/C",),
    ),
    Convention(
        "xla",
        "flops",
        TWICE_USEFUL_AND_BIAS,
        lambda f: 2 * f.useful + f.biases,
        "XLA, xla/service/hlo_cost_analysis.cc, GetConvolutionFlops; JAX 0.10, Lowered.cost_analysis",
    ),
    Convention(
        "benchdnn",
        "ops",
        TWICE_USEFUL,
        lambda f: 2 * f.useful,
        "oneDNN 3, tests/benchdnn/conv/conv_aux.cpp, prb_t::count_ops",
    ),
)
