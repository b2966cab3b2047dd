"""All shapes of an ONNX graph that follow from those of its inputs.

ONNX infers most. Where a file computes a shape while it runs (it splits channels by half of their number, or resizes to
twice the height), the few numbers that this takes are computed here.
"""

from collections.abc import Iterator
from contextlib import suppress
from math import prod
from typing import Any

from npconv.models.extra import optional

# A shape, or what one is computed from, has no more numbers than this.
FEW = 64
DATA = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data")


def inferred(onnx: Any, model: Any) -> tuple[Any, str]:
    """Return a model with all shapes that can be found, and why that may not be all."""
    model, reason = by_onnx(onnx, model)
    while fold(onnx, model):
        model, reason = by_onnx(onnx, model)
    return model, reason


def by_onnx(onnx: Any, model: Any) -> tuple[Any, str]:
    """Return a model with the shapes that ONNX infers, and why that is not all, if it says so."""
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True), ""
    except onnx.shape_inference.InferenceError as fault:
        # Operators of others, whose shapes are not known, are no reason to stop: the layers may not need them.
        return onnx.shape_inference.infer_shapes(model, data_prop=True), " ".join(str(fault).split())


def shapes(model: Any) -> dict[str, tuple[int, ...] | None]:
    """Return the shape of each value, or None if it is not known to the last axis."""
    graph = model.graph
    known: dict[str, tuple[int, ...] | None] = {name: None for node in graph.node for name in node.output}
    for each in (*graph.value_info, *graph.input, *graph.output):
        tensor = each.type.tensor_type
        whole = tensor.HasField("shape") and all(axis.HasField("dim_value") for axis in tensor.shape.dim)
        known[each.name] = tuple(axis.dim_value for axis in tensor.shape.dim) if whole else None
    return known | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def without_data(model: Any) -> Any:
    """Return a model that has forgotten what its larger constants hold: their shapes are enough, and quicker to copy."""
    values = [
        each.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for each in node.attribute
        if each.name == "value"
    ]
    for tensor in (*model.graph.initializer, *values):
        if prod(tensor.dims) > FEW:
            for name in DATA:
                tensor.ClearField(name)
    return model


def fold(onnx: Any, model: Any) -> bool:
    """Replace nodes that only compute with few known numbers by what they give; return whether it was needed and did any."""
    graph, sizes = model.graph, shapes(model)
    if None not in sizes.values():
        return False
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if is_small(tensor)}
    kept = []
    for node in graph.node:
        values = list(computed(onnx, model, node, known, sizes))
        given = dict(zip(node.output, values, strict=True)) if values else {}
        known |= given
        graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in given.items())
        kept += [] if values else [node]
    folded = len(kept) < len(graph.node)
    del graph.node[:]
    graph.node.extend(kept)
    return folded


def is_small(tensor: Any) -> bool:
    """Return whether a constant is in the file and holds few numbers."""
    return prod(tensor.dims) <= FEW and not tensor.external_data


def computed(
    onnx: Any, model: Any, node: Any, known: dict[str, Any], sizes: dict[str, tuple[int, ...] | None]
) -> Iterator[Any]:
    """Yield what a node gives, if its inputs are few known numbers; the shape of a value is known without it."""
    import numpy as np

    if node.op_type == "Shape" and sizes.get(node.input[0]) is not None:
        only = {each.name: each.i for each in node.attribute}
        yield np.array((sizes[node.input[0]] or ())[only.get("start", 0) : only.get("end")], np.int64)
    elif is_computable(node, known):
        make = onnx.helper
        inputs = [
            make.make_tensor_value_info(name, make.np_dtype_to_tensor_dtype(known[name].dtype), known[name].shape)
            for name in dict.fromkeys(node.input)
            if name
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        graph = make.make_graph([node], "alone", inputs, outputs)
        alone = make.make_model(graph, opset_imports=model.opset_import)
        # What ONNX has no program for stays unknown, and whatever needs it says so.
        with suppress(NotImplementedError, RuntimeError, TypeError, ValueError):
            evaluator = optional("onnx.reference", "an ONNX file").ReferenceEvaluator(alone)
            values = evaluator.run(None, {each.name: known[each.name] for each in inputs})
            if all(np.size(value) <= FEW for value in values):
                yield from map(np.asarray, values)


def is_computable(node: Any, known: dict[str, Any]) -> bool:
    """Return whether a node of ONNX's own, without a graph of its own, has few known numbers for inputs, or holds them."""
    if node.op_type == "Constant":
        return all(is_small(each.t) for each in node.attribute if each.name == "value")
    own = node.domain == "" and not any(each.HasField("g") for each in node.attribute)
    return own and len(node.input) > 0 and all(name in known for name in node.input if name)
