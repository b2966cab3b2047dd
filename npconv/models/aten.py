"""What PyTorch's operators do to the values of a network: each call, seen while a module runs, may be a layer.

Nothing here needs PyTorch: a tensor is what has a shape, and an operator is known by its name.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any, TypeAlias

from npconv.models.model import Listing, Value
from npconv.receptive import Window

# A word in the name of each operator that multiplies matrices or slides windows.
PRODUCTS = frozenset(
    {
        *("mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "vdot", "ger", "matmul", "linear", "einsum"),
        *("convolution", "conv", "attention", "encoder", "lstm", "gru", "rnn", "trilinear", "cdist", "fft"),
    }
)
# Whose operators are known; what a stranger's does is not.
KNOWN = ("aten", "prim", "prims", "profiler")
MOVING = frozenset({"constant_pad_nd", "flip", "roll", "rot90", "t"})


@dataclass(slots=True)
class Calls:
    """The calls of a forward pass, told one after another, and what is known of the tensors that they leave."""

    listing: Listing
    values: MutableMapping[Any, Value]
    numbers: Iterator[int]

    @classmethod
    def onto(cls, listing: Listing, values: MutableMapping[Any, Value]) -> "Calls":
        """Return an account of calls that lists its layers there, and knows these tensors to begin with."""
        return cls(listing, values, count())

    def value(self, tensor: Any) -> Value:
        """Return what is known of a tensor; one that nothing has made is a constant of its own."""
        if tensor not in self.values:
            self.values[tensor] = Value(tuple(tensor.shape), frozenset([next(self.numbers)]))
        return self.values[tensor]

    def see(self, name: str, place: str, arguments: Sequence[Any], options: Mapping[str, Any], result: Any) -> None:
        """Take in one call: the operator's name, such as "aten.mm", the module around it, what it got and what it gave."""
        namespace, _, operator = name.partition(".")
        place = place or operator
        read = READERS.get(name)
        value = read(self, place, arguments, result) if read else None
        if value is not None:
            self.values[tensors(result)[0]] = value
            return
        if namespace not in KNOWN or not PRODUCTS.isdisjoint(operator.split("_")):
            self.listing.miss(name, place)
            made = [Value(tuple(tensor.shape)) for tensor in tensors(result)]
        else:
            # What is only shaped like another tensor is a constant.
            shaped = operator.startswith("new_") or operator.endswith("_like")
            inputs = [] if shaped else [self.value(tensor) for tensor in tensors([arguments, options])]
            how = name, repr(numbers([arguments, options]))
            made = [
                self.listing.other(inputs, tensor.shape, (*how, part), moves=moves(operator, arguments))
                for part, tensor in enumerate(tensors(result))
            ]
        self.values.update(zip(tensors(result), made, strict=True))


def convolution(calls: Calls, place: str, arguments: Sequence[Any], result: Any) -> Value:
    """Read x, weight, bias, stride, padding, dilation, transposed, output_padding and groups."""
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = arguments[:9]
    return calls.listing.convolution(
        place,
        calls.value(x),
        calls.value(weight),
        result.shape,
        stride=stride,
        padding=[(p, p) for p in padding],
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        transposed=transposed,
        output_padding=output_padding,
    )


def product(calls: Calls, place: str, arguments: Sequence[Any], result: Any) -> Value:
    """Read two matrices, or two stacks of as many matrices, and before them what is added to their product, if anything is."""
    *added, a, b = arguments
    one, two = calls.value(a), calls.value(b)
    *stack, rows, C, O = *one.shape, two.shape[-1]
    if one.constant and not two.constant:
        one, two, rows, O = two, one, O, rows
    groups = stack[0] if stack else 1
    bias = any(calls.value(tensor).constant and prod(tensor.shape) == groups * O for tensor in added)
    return calls.listing.product(place, one, two, result.shape, (rows, C, O), groups=groups, bias=bias)


def pooling(calls: Calls, _: str, arguments: Sequence[Any], result: Any) -> Value:
    """Read x and kernel_size; then stride and padding, and for a maximum dilation, if they are there."""
    x, kernel, stride, padding, dilation = (*arguments, *((), 0, 1)[len(arguments) - 2 :])[:5]
    (ph, pw), size = pair(padding), pair(kernel)
    # An average has no dilation; it says next whether to round up.
    apart = (1, 1) if isinstance(dilation, bool) else pair(dilation)
    window = Window(size, pair(stride or size), ((ph, ph), (pw, pw)), apart)
    return calls.listing.pooling(calls.value(x), tensors(result)[0].shape, window)


def padding(calls: Calls, _: str, arguments: Sequence[Any], result: Any) -> Value | None:
    """Read x, cells before and after each axis from the last to the first, and what they hold, usually zero."""
    x, cells, *filling = arguments
    value, rank = calls.value(x), len(x.shape) - 2
    if rank not in (1, 2) or len(cells) > 2 * rank or min(cells) < 0 or any(filling):
        return None
    left, right, top, bottom = (*cells, 0, 0)[:4]
    return calls.listing.padding(value, result.shape, ((top, bottom), (left, right)))


READERS: dict[str, Callable[[Calls, str, Sequence[Any], Any], Value | None]] = {
    "aten.convolution": convolution,
    "aten._convolution": convolution,
    **dict.fromkeys(("aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm"), product),
    **dict.fromkeys(("aten.avg_pool2d", "aten.max_pool2d", "aten.max_pool2d_with_indices"), pooling),
    "aten.constant_pad_nd": padding,
}

Tree: TypeAlias = Any


def moves(operator: str, arguments: Sequence[Any]) -> bool:
    """Return whether an operator takes pixels to other places: a transposition does if it changes the last two axes."""
    if operator in ("permute", "transpose"):
        x, *axes = arguments
        rank = len(x.shape)
        if operator == "permute":
            return [axis % rank for axis in axes[0]][-2:] != [rank - 2, rank - 1]
        return any(axis % rank >= rank - 2 for axis in axes)
    return operator in MOVING


def tensors(tree: Tree) -> list[Any]:
    """Return all tensors in nested sequences and mappings."""
    if hasattr(tree, "shape"):
        return [tree]
    return [tensor for branch in branches(tree) for tensor in tensors(branch)]


def numbers(tree: Tree) -> Any:
    """Return what nested sequences and mappings hold beside tensors."""
    if hasattr(tree, "shape"):
        return None
    inner = branches(tree)
    return [numbers(branch) for branch in inner] if inner else tree


def branches(tree: Tree) -> list[Any]:
    """Return what a sequence or a mapping holds; nothing else holds anything.

    >>> branches({"dim": 1}), branches("mean")
    ([1], [])
    """
    if isinstance(tree, Mapping):
        return list(tree.values())
    return list(tree) if isinstance(tree, (list, tuple)) else []


def pair(numbers: Any) -> tuple[int, int]:
    """Return one number, alone or in a list, or two, as two.

    >>> pair([3]), pair((3, 5))
    ((3, 3), (3, 5))
    """
    both = [numbers] * 2 if isinstance(numbers, int) else (list(numbers) * 2)[:2]
    return both[0], both[1]
