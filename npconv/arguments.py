"""What each argument may be: integers, pairs, shapes and padding, and the one form of every error's text.

A rule raises a bare sentence. The function that the user called puts its name before it and the call behind it
(`complaint`), so a call that is in order pays nothing for the text.
"""

import operator
from collections.abc import Iterable, Mapping
from reprlib import repr as brief
from typing import Any, SupportsIndex, TypeAlias

ShapeLike: TypeAlias = Iterable[SupportsIndex]
PairLike: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
PaddingLike: TypeAlias = SupportsIndex | str | Iterable[SupportsIndex] | Iterable[Iterable[SupportsIndex]]
Shape: TypeAlias = tuple[int, int, int, int]
Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[Pair, Pair]

PADDING_WORDS = ("valid", "same", "same_lower")
SIDES = ("top", "bottom", "left", "right")
# An error leaves these out of the call that it shows.
DEFAULTS = {"stride": "1", "padding": "0", "dilation": "1", "groups": "1"}


def index(operation: str, name: str, value: SupportsIndex, minimum: int) -> int:
    """Return an option as a plain integer, or tell the caller of `operation` what is wrong with it.

    >>> index("channel_shuffle", "groups", 3, 1)
    3
    """
    try:
        return checked_index(name, value, minimum)
    except (TypeError, ValueError) as fault:
        raise complaint(operation, fault, {name: value}) from None


def pair(operation: str, name: str, value: PairLike, minimum: int) -> Pair:
    """Return an option for rows and columns as two plain integers, or tell the caller of `operation` what is wrong.

    >>> pair("im2col", "kernel_size", 3, 1)
    (3, 3)
    """
    try:
        return checked_pair(name, value, minimum)
    except (TypeError, ValueError) as fault:
        raise complaint(operation, fault, {name: value}) from None


def flag(operation: str, name: str, value: object) -> bool:
    """Return whether an operand is there, or tell the caller of `operation` that this is a matter of yes or no.

    >>> flag("count_conv2d", "bias", True)
    True
    """
    if isinstance(value, bool):
        return value
    fault = TypeError(f"{name} is {shown(value)}, but must be True or False. Did you mean {name}={name} is not None?")
    raise complaint(operation, fault, {name: value})


def complaint(operation: str, fault: Exception, options: Mapping[str, Any], **shapes: Any) -> TypeError | ValueError:
    """Return a fault as the user reads it: the operation, the fault, and the call with every option that is unusual."""
    call = [f"{name} {shown(shape)}" for name, shape in shapes.items()]
    call += [f"{name}={shown(value)}" for name, value in options.items() if shown(value) != DEFAULTS.get(name)]
    kind = TypeError if isinstance(fault, TypeError) else ValueError
    return kind(f"{operation}: {fault}\n        ({', '.join(call)})")


def shown(value: Any) -> str:
    """Return a value as Python writes it, on one line and not at length."""
    return " ".join(brief(value).split())


def checked_index(name: str, value: Any, minimum: int) -> int:
    """Return an option as a plain integer."""
    number = value if type(value) is int else integer(name, value, minimum)
    if number < minimum:
        raise ValueError(f"{name} is {number}, but must be at least {minimum}. Did you mean {minimum}?")
    return number


def checked_pair(name: str, value: Any, minimum: int) -> Pair:
    """Return one integer or a sequence of two as (rows, columns)."""
    entries = None if type(value) is int else members(value)
    if entries is None:
        number = checked_index(name, value, minimum)
        return number, number
    if len(entries) != 2:
        raise ValueError(f"{name} has length {len(entries)}, but a pair has length 2. Did you mean (rows, columns)?")
    return checked_index(f"{name}[0]", entries[0], minimum), checked_index(f"{name}[1]", entries[1], minimum)


def checked_shape(name: str, axes: tuple[str, str, str, str], shape: Any) -> Shape:
    """Return the four extents of a shape, none below 1 but that of the batch, N."""
    entries = members(shape) if getattr(shape, "ndim", 1) == 1 else None
    if entries is None:
        given = f"{shown(shape)} ({type(shape).__name__})"
        raise TypeError(f"{name}_shape is {given}, but must be 4 integers. Did you mean {name}.shape?")
    if len(entries) != 4:
        likely = shown((1, 1, 1, 1, *entries)[-4:])
        raise ValueError(
            f"{name} is {len(entries)}-dimensional, but must have 4 axes, ({', '.join(axes)}). Did you mean {likely}?"
        )
    for n in entries:
        if type(n) is not int or n < 1:
            entries = unusual_extents(name, axes, entries)
            break
    a, b, c, d = entries
    return a, b, c, d


def unusual_extents(name: str, axes: tuple[str, str, str, str], entries: tuple[Any, ...]) -> tuple[int, ...]:
    """Return four extents that are not plain integers or not all positive as plain ones, if they may be so."""
    sizes = tuple(integer(f"{name}_shape[{i}]", n, 1) for i, n in enumerate(entries))
    for axis, n in zip(axes, sizes, strict=True):
        least = 0 if axis == "N" else 1
        if n < least:
            fix = f"Did you mean {-n}?" if n < 0 else "Did a slice come out empty?"
            raise ValueError(f"{name} has {axis} = {n}, but needs at least {least}: only the batch may be empty. {fix}")
    return sizes


def checked_padding(padding: Any, size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """Return padding of any form as ((top, bottom), (left, right))."""
    if type(padding) is int and padding >= 0:
        return (padding, padding), (padding, padding)
    if isinstance(padding, str):
        if padding not in PADDING_WORDS:
            words = ", ".join(f'"{word}"' for word in PADDING_WORDS)
            likely = padding.lower() if padding.lower() in PADDING_WORDS else "same"
            raise ValueError(f'padding is {shown(padding)}, but the words are {words}. Did you mean "{likely}"?')
        rows, columns = zip(size, kernel, stride, dilation, strict=True)
        return padding_by_word(padding, *rows), padding_by_word(padding, *columns)
    pads = padding_by_numbers(padding)
    for side, zeros in zip(SIDES, (*pads[0], *pads[1]), strict=True):
        if zeros < 0:
            raise ValueError(f"padding at the {side} is {zeros}, but must be at least 0. Did you mean to slice x?")
    return pads


def padding_by_word(word: str, n: int, k: int, s: int, d: int) -> Pair:
    """Return the zeros before and after an axis; "same" makes the output as long as that of a kernel of one cell."""
    if word == "valid":
        return 0, 0
    total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
    less, more = total // 2, total - total // 2
    return (less, more) if word == "same" else (more, less)


def padding_by_numbers(padding: Any) -> Padding:
    """Return one number, two, or two pairs as two pairs, of any sign."""
    entries = members(padding)
    if entries is None:
        number = integer("padding", padding, 0)
        return (number, number), (number, number)
    inner = [members(entry) for entry in entries]
    if inner == [None, None]:
        ph, pw = (integer(f"padding[{i}]", entry, 0) for i, entry in enumerate(entries))
        return (ph, ph), (pw, pw)
    if [len(side or ()) for side in inner] == [2, 2]:
        (top, bottom), (left, right) = (
            [integer(f"padding[{i}][{j}]", entry, 0) for j, entry in enumerate(side or ())]
            for i, side in enumerate(inner)
        )
        return (top, bottom), (left, right)
    if inner == [None] * 4:
        a, b, c, d = map(shown, entries)
        readings = [f"(({c}, {d}), ({a}, {b}))", f"(({a}, {c}), ({b}, {d}))", f"(({a}, {b}), ({c}, {d}))"]
        raise ValueError(
            f"padding is {shown(padding)}, but libraries disagree on the order of 4 numbers: left, right, top, bottom"
            " in PyTorch's F.pad; top, left, bottom, right in ONNX; top, bottom, left, right in TensorFlow and OpenCV."
            f" Did you mean {' or '.join(dict.fromkeys(readings))}?"
        )
    raise ValueError(
        f"padding is {shown(padding)}, which is none of its forms."
        ' Did you mean p, (ph, pw), ((top, bottom), (left, right)), "valid", "same" or "same_lower"?'
    )


def integer(name: str, value: Any, likely: int) -> int:
    """Return an integer of any type as a plain one; bools and floats are none."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    fix = f"int({name})" if hasattr(value, "__int__") else likely
    raise TypeError(f"{name} is {shown(value)} ({type(value).__name__}), but must be an integer. Did you mean {fix}?")


def members(value: Any) -> tuple[Any, ...] | None:
    """Return what an ordered collection holds, or None for anything else."""
    if isinstance(value, (str, bytes, dict, set, frozenset)):
        return None
    try:
        return tuple(value)
    except TypeError:
        return None
