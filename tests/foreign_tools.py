"""What a counting tool prints for the layers of `sample_facts`: ``python tests/foreign_tools.py thop``.

A process for each tool, since some of them patch PyTorch and do not always clean up.
"""

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from npconv.conventions import Facts
from sample_facts import sample


def torch_module(f: Facts) -> Any:
    """Return a PyTorch module that calls the layer as the facts say."""
    nn: Any = import_module("torch.nn")
    if f.caller == "function":
        return wrapped(lambda self, x: called(f, self.kernels, self.shifts, x), **tensors(f))
    layer = torch_layer(f)
    if f.parents > 1:
        holders = [wrapped(lambda self, x: self.held(x), held=layer) for _ in range(f.parents)]
        return wrapped(lambda self, x: [holder(x) for holder in self.holders], holders=nn.ModuleList(holders))
    if f.times > 1:
        return wrapped(lambda self, x: [self.layer(x) for _ in range(f.times)], layer=layer)
    return layer


def torch_layer(f: Facts) -> Any:
    """Return the layer itself."""
    nn: Any = import_module("torch.nn")
    if f.fully_connected:
        return nn.Linear(f.C, f.filters, bias=f.bias)
    kind = getattr(nn, f"Conv{'Transpose' * f.transposed}{len(f.kernel)}d")
    if f.caller == "subclass":
        kind = type(f.class_name, (kind,), {})
    options = {
        "stride": f.stride,
        "padding": f.padding_word or tuple(before for before, _ in f.padding),
        "dilation": f.dilation,
        "groups": f.groups,
        "bias": f.bias,
        "padding_mode": "circular" if f.circular else "zeros",
    }
    if f.transposed:
        options["output_padding"] = f.output_padding
    layer = kind(f.C, f.filters, f.kernel, **options)
    return nn.utils.parametrizations.weight_norm(layer) if f.caller == "parametrized" else layer


def wrapped(forward: Callable[[Any, Any], Any], **held: Any) -> Any:
    """Return a module that holds something and does something."""
    nn: Any = import_module("torch.nn")
    module = type("Wrapped", (nn.Module,), {"forward": forward})()
    for name, value in held.items():
        setattr(module, name, value)
    return module


def tensors(f: Facts) -> dict[str, Any]:
    """Return parameters for a functional call, by names that tell nobody what they are."""
    torch: Any = import_module("torch")
    kernels = torch.nn.Parameter(torch.ones(f.weight_shape))
    return {"kernels": kernels, "shifts": torch.nn.Parameter(torch.ones(f.filters)) if f.bias else None}


def called(f: Facts, kernels: Any, shifts: Any, x: Any) -> Any:
    """Call the function of `torch.nn.functional`, looked up at the last moment, as some tools replace it."""
    functional: Any = import_module("torch.nn.functional")
    call = getattr(functional, f"conv{'_transpose' * f.transposed}{len(f.kernel)}d")
    options = {"stride": f.stride, "dilation": f.dilation, "groups": f.groups}
    options["padding"] = f.padding_word or tuple(before for before, _ in f.padding)
    if f.transposed:
        options["output_padding"] = f.output_padding
    return call(x, kernels, shifts, **options)


def torch_input(f: Facts) -> Any:
    """Return what the module is called on."""
    torch: Any = import_module("torch")
    return torch.ones(f.x_shape[:2] if f.fully_connected else f.x_shape)


def flop_counter_mode(f: Facts) -> list[float]:
    mode: Any = import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
    with mode:
        torch_module(f)(torch_input(f))
    return [mode.get_total_flops()]


def torch_profiler(f: Facts) -> list[float]:
    profiler: Any = import_module("torch.profiler")
    module, x = torch_module(f), torch_input(f)
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU], with_flops=True) as seen:
        module(x)
    return [sum(event.flops for event in seen.key_averages())]


def fvcore(f: Facts) -> list[float]:
    nn: Any = import_module("fvcore.nn")
    return [nn.FlopCountAnalysis(torch_module(f), torch_input(f)).unsupported_ops_warnings(False).total()]


def thop(f: Facts) -> list[float]:
    return [import_module("thop").profile(torch_module(f), inputs=(torch_input(f),), verbose=False)[0]]


def ptflops(f: Facts, backend: str = "pytorch") -> list[float]:
    count: Any = import_module("ptflops").get_model_complexity_info
    x = torch_input(f)
    options = {"input_constructor": lambda _: x, "print_per_layer_stat": False, "as_strings": False}
    return [count(torch_module(f), tuple(x.shape), backend=backend, **options)[0]]


def ptflops_aten(f: Facts) -> list[float]:
    return ptflops(f, "aten")


def torchinfo(f: Facts) -> list[float]:
    return [import_module("torchinfo").summary(torch_module(f), input_data=torch_input(f), verbose=0).total_mult_adds]


def torchprofile(f: Facts) -> list[float]:
    return [import_module("torchprofile").profile_macs(torch_module(f), torch_input(f))]


def calflops(f: Facts) -> list[float]:
    count: Any = import_module("calflops").calculate_flops
    options = {"print_results": False, "print_detailed": False, "output_as_string": False}
    functions = vars(import_module("torch.nn.functional"))
    before = functions.copy()
    try:
        flops, macs, _ = count(torch_module(f), args=[torch_input(f)], **options)
    except AssertionError:
        # It has left its own functions there, and every later layer would count once more.
        functions.update(before)
        return []
    return [flops, macs]


def onnx_tool(f: Facts) -> list[float]:
    model = import_module("onnx_tool").Model(onnx_model(f), {"verbose": False})
    model.graph.shape_infer(None)
    model.graph.profile()
    return [model.graph.macs[0]]


def onnx_model(f: Facts) -> Any:
    """Return a graph of the nodes that an exporter writes for the layer, one for each run."""
    helper, numpy_helper = (import_module(f"onnx.{name}") for name in ("helper", "numpy_helper"))
    options: dict[str, Any] = {}
    x_shape: tuple[int, ...] = (f.N, f.C) if f.fully_connected else (f.N, f.C, *f.x_size)
    weight_shape = f.weight_shape[:2] if f.fully_connected else f.weight_shape
    if f.fully_connected:
        kind, options = "Gemm", {"transB": 1}
    else:
        kind = "ConvTranspose" if f.transposed else "Conv"
        options = {"strides": f.stride, "dilations": f.dilation, "group": f.groups, "kernel_shape": f.kernel}
        if f.circular:
            # Another node pads before.
            x_shape = (f.N, f.C, *(n + sum(ends) for n, ends in zip(f.x_size, f.padding, strict=True)))
        else:
            options["pads"] = [amount for ends in zip(*f.padding, strict=True) for amount in ends]
        if f.transposed:
            options["output_padding"] = f.output_padding
    inputs = ["x", "weight", *["bias"] * f.bias]
    nodes = [helper.make_node(kind, inputs, [f"y{run}"], f"node{run}", **options) for run in range(f.times)]
    stored = [numpy_helper.from_array(np.ones(weight_shape, np.float32), "weight")]
    if f.bias:
        stored.append(numpy_helper.from_array(np.ones(f.filters, np.float32), "bias"))
    declared = [helper.make_tensor_value_info("x", 1, x_shape)]
    results = [helper.make_tensor_value_info(f"y{run}", 1, None) for run in range(f.times)]
    return helper.make_model(helper.make_graph(nodes, "layer", declared, results, stored))


# By the conventions whose numbers a tool prints, in that order.
TOOLS: dict[str, Callable[[Facts], list[float]]] = {
    "flop-counter-mode": flop_counter_mode,
    "torch-profiler": torch_profiler,
    "fvcore": fvcore,
    "thop": thop,
    "ptflops": ptflops,
    "ptflops-aten": ptflops_aten,
    "torchinfo": torchinfo,
    "torchprofile": torchprofile,
    "calflops calflops-macs": calflops,
    "onnx-tool": onnx_tool,
}


def main(tool: str, seed: str = "0") -> None:
    """Print what the tool prints for every layer, as JSON."""
    warnings.simplefilter("ignore")
    numbers = {}
    for name, f in sample(int(seed)).items():
        with contextlib.redirect_stdout(io.StringIO()):
            numbers[name] = TOOLS[tool](f)
    print(json.dumps(numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
