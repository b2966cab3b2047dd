"""What the nodes of an ONNX graph do to the values of a network: each may be a layer.

Operators: https://onnx.ai/onnx/operators.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from npconv.arguments import Pair, complaint, padding_by_word, shown
from npconv.models.model import Listing, Model, Value
from npconv.receptive import ReceptiveField, Window

# Which input of these is the image, which the weights, and which the bias.
CONVOLUTIONS = {"Conv": (0, 1, 2), "ConvTranspose": (0, 1, 2), "ConvInteger": (0, 1, -1), "QLinearConv": (0, 3, 8)}
# Which inputs of these are multiplied, and which is added.
PRODUCTS = {"Gemm": (0, 1, 2), "MatMul": (0, 1, -1), "MatMulInteger": (0, 1, -1), "QLinearMatMul": (0, 3, -1)}
POOLING = frozenset({"AveragePool", "LpPool", "MaxPool"})
# What multiplies matrices or slides windows in other ways, or runs a graph of its own.
UNCOUNTED = frozenset(
    {
        *("Attention", "DeformConv", "DFT", "Einsum", "GRU", "LSTM", "RNN", "STFT"),
        *("If", "Loop", "Scan", "SequenceMap"),
    }
)
# Whose operators are known; what a stranger's does is not.
KNOWN = ("", "ai.onnx", "ai.onnx.ml")
# Inputs of these that are fractions, and that training does not change.
NOT_LEARNED = {"BatchNormalization": slice(3, 5), "Resize": slice(1, None), "Upsample": slice(1, None)}
WORDS = {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


@dataclass(frozen=True, slots=True)
class Node:
    """One node, with its attributes by name; an input that it leaves out has no name."""

    kind: str
    place: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def input(self, number: int) -> str:
        """Return the name of an input, or nothing if there is none."""
        return self.inputs[number] if 0 <= number < len(self.inputs) else ""

    def numbers(self, name: str, rank: int, usual: int) -> list[int]:
        """Return an attribute with one number for each axis."""
        return list(self.attributes.get(name, [usual] * rank))


class Graph:
    """A graph whose shapes were inferred, read from its inputs on; `reason` says why some may not be known."""

    def __init__(self, onnx: Any, model: Any, reason: str) -> None:
        graph = model.graph
        self.onnx, self.reason = onnx, reason
        self.nodes = [self.node(each) for each in graph.node]
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.kind == "Constant" and "value" in node.attributes:
                self.constants[node.outputs[0]] = node.attributes["value"]
        self.shapes = {
            each.name: tuple(axis.dim_value for axis in each.type.tensor_type.shape.dim)
            for each in (*graph.value_info, *graph.input, *graph.output)
            if each.type.tensor_type.HasField("shape")
        } | {name: tuple(tensor.dims) for name, tensor in self.constants.items()}
        inputs = {each.name: self.shapes[each.name] for each in graph.input if each.name not in self.constants}
        self.listing = Listing(next((shape[0] for shape in inputs.values() if shape), 1))
        self.values = {
            name: Value(shape, frozenset([name])) for name, shape in self.shapes.items() if name in self.constants
        }
        for name, shape in inputs.items():
            self.values[name] = Value(shape, field=ReceptiveField() if len(shape) == 4 else None)

        self.readers: dict[str, Callable[[Node], Value | None]] = {
            **dict.fromkeys(CONVOLUTIONS, self.convolution),
            **dict.fromkeys(PRODUCTS, self.product),
            **dict.fromkeys(POOLING, self.pooling),
            "Pad": self.padding,
        }

    def node(self, proto: Any) -> Node:
        """Return a node as a record of plain values."""
        kind = proto.op_type if proto.domain in KNOWN else f"{proto.domain}.{proto.op_type}"
        attributes = {each.name: self.onnx.helper.get_attribute_value(each) for each in proto.attribute}
        return Node(
            kind, proto.name or next(iter(proto.output), kind), tuple(proto.input), tuple(proto.output), attributes
        )

    def model(self, name: str) -> Model:
        """Read all nodes and return what they make."""
        for node in self.nodes:
            read = self.readers.get(node.kind)
            value = read(node) if read else None
            if value is None:
                self.other(node)
            else:
                self.values[node.outputs[0]] = value
        return self.listing.model("from_onnx", name, self.parameters())

    def convolution(self, node: Node) -> Value:
        """Read a convolution or a transposed one."""
        image, filters, added = (node.input(number) for number in CONVOLUTIONS[node.kind])
        x, weight, y_shape = self.values[image], self.values[filters], self.shapes.get(node.outputs[0], ())
        rank = len(self.shape(image, node)) - 2
        stride, dilation = node.numbers("strides", rank, 1), node.numbers("dilations", rank, 1)
        extra = node.numbers("output_padding", rank, 0)
        axes = list(zip(x.shape[2:], self.shape(filters, node)[2:], stride, dilation, strict=True))
        transposed = node.kind == "ConvTranspose"
        if transposed and y_shape and ("output_shape" in node.attributes or self.word(node) not in ("", "valid")):
            padding = [
                halves((n - 1) * s + more + d * (k - 1) + 1 - o, self.word(node) == "same")
                for (n, k, s, d), more, o in zip(axes, extra, y_shape[2:], strict=True)
            ]
        else:
            padding = self.pads(node, axes)
        return self.listing.convolution(
            node.place,
            x,
            weight,
            y_shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=node.attributes.get("group", 1),
            bias=bool(added),
            transposed=transposed,
            output_padding=extra,
        )

    def product(self, node: Node) -> Value:
        """Read a product of two matrices, or of stacks of them, of which one is constant."""
        left, right, added = (node.input(number) for number in PRODUCTS[node.kind])
        one, two = self.values[left], self.values[right]
        y_shape, shapes = self.shape(node.outputs[0], node), (self.shape(left, node), self.shape(right, node))
        # The axis of each that is summed over is its last but one on the right, and its last on the left, unless it is turned.
        turned = bool(node.attributes.get("transB", 0)), not node.attributes.get("transA", 0)
        swapped = one.constant and not two.constant
        x, weight = (two, one) if swapped else (one, two)
        *stack, rows, columns = (1, *shapes[0 if swapped else 1])[-max(2, len(weight.shape)) :]
        C, O = (columns, rows) if turned[swapped] else (rows, columns)
        if len(weight.shape) == 1:
            C, O = columns, 1
        groups = prod(stack)
        sizes = prod(y_shape) // (groups * O), C, O
        bias = added or next(
            (name for name in self.added_to(node.outputs[0]) if self.shapes.get(name) in ((O,), (1, O))), ""
        )
        return self.listing.product(node.place, x, weight, y_shape, sizes, groups=groups, bias=bool(bias))

    def added_to(self, name: str) -> Sequence[str]:
        """Return the constants that a value is added to, if that is all that is done to it."""
        users = [node for node in self.nodes if name in node.inputs]
        if [node.kind for node in users] != ["Add"]:
            return ()
        return [other for other in users[0].inputs if other in self.constants]

    def pooling(self, node: Node) -> Value:
        """Read pooling, which has a field if its image has two axes."""
        x, y_shape = self.values[node.inputs[0]], self.shapes.get(node.outputs[0], ())
        if not x.field or len(y_shape) != 4 or len(x.shape) != 4:
            return Value(y_shape)
        kernel, stride, dilation = (
            node.numbers("kernel_shape", 2, 1),
            node.numbers("strides", 2, 1),
            node.numbers("dilations", 2, 1),
        )
        rows, columns = self.pads(node, list(zip(x.shape[2:], kernel, stride, dilation, strict=True)))
        window = Window((kernel[0], kernel[1]), (stride[0], stride[1]), (rows, columns), (dilation[0], dilation[1]))
        return self.listing.pooling(x, y_shape, window)

    def padding(self, node: Node) -> Value | None:
        """Read zeros around an image."""
        x, y_shape = self.values[node.inputs[0]], self.shapes.get(node.outputs[0], ())
        pads = node.attributes.get("pads") or self.data(node.input(1))
        filling = node.attributes.get("value", 0) or (node.input(2) and self.data(node.input(2)) != [0])
        rank = len(x.shape) - 2
        if (
            node.attributes.get("mode", b"constant") != b"constant"
            or filling
            or rank not in (1, 2)
            or len(pads) != 2 * rank + 4
        ):
            return None
        before, after = pads[: rank + 2], pads[rank + 2 :]
        if any((*before[:2], *after[:2])) or min(pads) < 0:
            return None
        *rows, columns = zip(before[2:], after[2:], strict=True)
        return self.listing.padding(x, y_shape, (rows[0] if rows else (0, 0), columns))

    def other(self, node: Node) -> None:
        """Read a node that is no layer."""
        inputs = [self.values[name] for name in node.inputs if name in self.values]
        missed = node.kind in UNCOUNTED or "." in node.kind
        if missed:
            self.listing.miss(node.kind, node.place)
        for part, name in enumerate(node.outputs):
            shape = self.shapes.get(name, ())
            if name in self.constants:
                self.values[name] = Value(shape, frozenset([name]))
            elif missed:
                self.values[name] = Value(shape)
            else:
                self.values[name] = self.listing.other(inputs, shape, (node.kind, part), moves=moves(node))

    def shape(self, name: str, node: Node) -> tuple[int, ...]:
        """Return a shape that a layer cannot do without."""
        shape = self.shapes.get(name, ())
        if 0 in shape or not shape:
            known = f"{shown(tuple(n or '?' for n in shape))}" if shape else "nothing"
            fault = ValueError(
                f"{known} is known of the shape of {name!r}, but {node.kind} {node.place!r} cannot be counted without it."
                f"{self.reason and f' ONNX says: {self.reason}.'}"
                " Did you mean to give input_shape, or to simplify the file, with onnxsim for one?"
            )
            raise complaint("from_onnx", fault, {"node": node.place})
        return shape

    def word(self, node: Node) -> str:
        """Return padding by a word in this library's words."""
        return WORDS.get(node.attributes.get("auto_pad", b"NOTSET").decode(), "")

    def pads(self, node: Node, axes: Sequence[tuple[int, int, int, int]]) -> list[Pair]:
        """Return the zeros before and after each axis of n cells under k taps, with stride s and dilation d."""
        if word := self.word(node):
            return [padding_by_word(word, *axis) for axis in axes]
        pads = node.numbers("pads", 2 * len(axes), 0)
        return list(zip(pads[: len(axes)], pads[len(axes) :], strict=True))

    def data(self, name: str) -> list[Any]:
        """Return what a small constant holds, or nothing if that is not in the file."""
        tensor = self.constants.get(name)
        stored = tensor is not None and not tensor.external_data
        return list(self.onnx.numpy_helper.to_array(tensor).ravel().tolist()) if stored else []

    def parameters(self) -> int:
        """Return how many numbers were learned: fractions, and more than one, but no running mean and no scale of an image."""
        followed = {name for node in self.nodes for name in node.inputs[NOT_LEARNED.get(node.kind, slice(0))]}
        types = self.onnx.TensorProto
        fractions = (types.FLOAT, types.FLOAT16, types.DOUBLE, types.BFLOAT16)
        sizes = (
            prod(tensor.dims)
            for name, tensor in self.constants.items()
            if tensor.data_type in fractions and name not in followed
        )
        return sum(size for size in sizes if size > 1)


def moves(node: Node) -> bool:
    """Return whether an operator takes pixels to other places: a transposition does if it changes the last two axes."""
    if node.kind == "Transpose":
        axes = list(node.attributes.get("perm", [0]))
        return axes[-2:] != [len(axes) - 2, len(axes) - 1]
    return node.kind == "Pad"


def halves(total: int, more_at_the_end: bool) -> Pair:
    """Return zeros of a transposed convolution at both ends; fewer than none are cells that it adds.

    >>> halves(3, True), halves(-1, True)
    ((1, 2), (0, -1))
    """
    less, more = max(0, total) // 2, total - max(0, total) // 2
    return (less, more) if more_at_the_end or total < 0 else (more, less)
