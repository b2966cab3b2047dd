"""An ONNX file as a network: its graph is read node by node, with the shapes that ONNX infers; nothing runs."""

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from npconv.arguments import complaint, members, shown
from npconv.models.extra import optional
from npconv.models.model import Model
from npconv.models.onnx_graph import Graph
from npconv.models.onnx_shapes import inferred, without_data


def from_onnx(
    path: str | PathLike[str], *, input_shape: Mapping[str, Sequence[int]] | Sequence[int] | None = None
) -> Model:
    """List the convolutions (cross-correlations) and matrix products of an ONNX file, from the shapes in it.

    Parameters
    ----------
    path : str or path
        The file. Weights that it keeps in other files are not read.
    input_shape : sequence of int, or mapping from names to them, optional
        The shape of the network's one input, or of each by name, where the file leaves it open. A batch that is left
        open is 1.

    Returns
    -------
    Model
        Its layers. Their names are those of their nodes. What multiplies and could not be counted is named in
        ``uncounted``.

    Raises
    ------
    ModuleNotFoundError
        If the package onnx is not installed.
    OSError
        If the file cannot be opened.
    ValueError
        If it is no ONNX file, if the shape of an input or of what a layer reads is not known, or if nothing in it can
        be counted.

    Notes
    -----
    As `from_torch`, a product with a constant matrix is a 1x1 convolution, and a convolution along one axis has images
    of one row. Padding by ``auto_pad``, and by a node of its own before a convolution, is padding of that convolution.

    Examples
    --------
    >>> import npconv as nc
    >>> nc.networks.from_onnx("model.onnx")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'model.onnx'
    """
    onnx = optional("onnx", "an ONNX file")
    return Graph(onnx, *opened(onnx, fspath(path), input_shape)).model(Path(path).stem)


def opened(onnx: Any, path: str, input_shape: Any) -> tuple[Any, str]:
    """Return a file's model with all shapes that follow from those of its inputs, and why that may not be all."""
    data = Path(path).read_bytes()
    try:
        model = onnx.load_model_from_string(data)
    except Exception as fault:
        rule = f"{path} is no ONNX file, {fault}"
        raise complaint("from_onnx", ValueError(f"{rule}. Did you mean another file?"), {"path": path}) from fault
    if model.functions:
        model = optional("onnx.inliner", "an ONNX file").inline_local_functions(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    given = input_shape if isinstance(input_shape, Mapping) else {inputs[0].name: input_shape} if inputs else {}
    for each in inputs:
        set_shape(each, given.get(each.name), path)
    # What is written beside the graph may speak of other inputs.
    del model.graph.value_info[:]
    for each in model.graph.output:
        each.type.tensor_type.ClearField("shape")
    return inferred(onnx, without_data(model))


def set_shape(graph_input: Any, given: Any, path: str) -> None:
    """Give an input the shape that was asked for, and leave nothing open but a batch, which is then 1."""
    name, axes = graph_input.name, graph_input.type.tensor_type.shape.dim
    stated = [axis.dim_value or axis.dim_param or "?" for axis in axes]
    shape = (
        [1 if i == 0 and isinstance(n, str) else n for i, n in enumerate(stated)] if given is None else members(given)
    )
    likely = tuple(1 if isinstance(n, str) else n for n in stated) if len(stated) != 4 else (1, 3, 224, 224)
    if shape is None or len(shape) != len(stated) or not all(isinstance(n, int) and n > 0 for n in shape):
        rule = f"input {name!r} has the shape {shown(tuple(stated))} in the file, and {shown(given)} was given"
        fault = ValueError(f"{rule}, but each size must be a number. Did you mean input_shape={likely}?")
        raise complaint("from_onnx", fault, {"path": path})
    for axis, n in zip(axes, shape, strict=True):
        axis.dim_value = n
