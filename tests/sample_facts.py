"""Layers of every kind that a counting tool may meet, drawn at random and always the same."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from npconv.conventions import Facts
from npconv.networks import Layer

# What is fixed of a layer, and how many are drawn; all else is random.
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "ordinary": (10, {}),
    "of one axis": (4, {"axes": 1}),
    "of three axes": (4, {"axes": 3}),
    "transposed": (10, {"transposed": True}),
    "transposed, of one axis": (3, {"transposed": True, "axes": 1}),
    "transposed, of three axes": (3, {"transposed": True, "axes": 3}),
    "transposed, depthwise": (2, {"transposed": True, "per_group": (1, 1)}),
    "same": (6, {"padding": "same"}),
    "same, of one axis": (2, {"padding": "same", "axes": 1}),
    "valid": (2, {"padding": "valid"}),
    "circular": (3, {"circular": True}),
    "circular same": (2, {"circular": True, "padding": "same"}),
    "without a batch": (4, {"batch": False}),
    "without a batch, of one axis": (2, {"batch": False, "axes": 1}),
    "transposed without a batch": (2, {"batch": False, "transposed": True}),
    "function": (3, {"caller": "function"}),
    "function, transposed": (2, {"caller": "function", "transposed": True}),
    "function, same": (1, {"caller": "function", "padding": "same"}),
    "subclass by another name": (3, {"caller": "subclass", "class_name": "Mine"}),
    "subclass by a like name": (2, {"caller": "subclass", "class_name": "MyConv"}),
    "parametrized": (3, {"caller": "parametrized"}),
    "run three times": (3, {"times": 3}),
    "transposed, run twice": (1, {"times": 2, "transposed": True}),
    "held by two parents": (3, {"times": 2, "parents": 2}),
    "held by three parents": (1, {"times": 3, "parents": 3}),
}


def sample(seed: int = 0) -> dict[str, Facts]:
    """Return all of them by name."""
    draw = np.random.default_rng(seed)
    layers = {f"{kind} {i}": drawn(draw, **options) for kind, (number, options) in KINDS.items() for i in range(number)}
    # The rows are taken for the channels, and there are as many.
    layers["square without a batch"] = Facts.of_call((8, 8, 5), (6, 4, 3, 3), padding=1, bias=True, groups=2)
    return layers | {f"fully connected {i}": connected for i, connected in enumerate(fully_connected(draw))}


def drawn(
    draw: np.random.Generator,
    *,
    axes: int = 2,
    batch: bool = True,
    transposed: bool = False,
    padding: str | None = None,
    per_group: tuple[int, int] | None = None,
    **options: Any,
) -> Facts:
    """Draw a layer: few channels, the output's size first and the input's derived from it, half of them with a bias."""
    a, b = per_group or between(draw, 1, 4, 2)
    groups = int(draw.choice([1, 1, 2, 3, 5]))
    kernel, dilation = between(draw, 1, 4, axes), between(draw, 1, 2, axes)
    stride = (1,) * axes if padding == "same" else between(draw, 1, 3, axes)
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    outputs = between(draw, 2, 5, axes)
    if padding:
        pads: Any = padding
        size = [o + span for o, span in zip(outputs, spans, strict=True)]
    else:
        pads = tuple(int(draw.integers(0, span + 1)) for span in spans)
        size = [
            max(p, 1, (o - 1) * s + span + 1 - 2 * p) + int(draw.integers(0, s))
            for o, s, span, p in zip(outputs, stride, spans, pads, strict=True)
        ]
    if transposed:
        # Twice a padding of at most half a span leaves the first element's first products at least.
        pads, size = tuple(p // 2 for p in pads), [*outputs]
        options["output_padding"] = tuple(int(draw.integers(0, s)) for s in stride)
    channels = (groups * a, b) if transposed else (groups * b, a)
    x_shape = (groups * a, *size)
    return Facts.of_call(
        (int(draw.integers(1, 4)), *x_shape) if batch else x_shape,
        (*channels, *kernel),
        stride=stride,
        padding=pads,
        dilation=dilation,
        groups=groups,
        bias=bool(draw.integers(2)),
        transposed=transposed,
        **options,
    )


def between(draw: np.random.Generator, low: int, high: int, number: int) -> tuple[int, ...]:
    """Draw so many integers, both ends included."""
    return tuple(map(int, draw.integers(low, high + 1, number)))


def fully_connected(draw: np.random.Generator) -> Iterator[Facts]:
    """Yield layers on vectors, with a bias and without, of one sample and of several, run once and twice."""
    for N in (1, 3):
        for bias in (False, True):
            C, O = between(draw, 2, 9, 2)
            layer = Layer("fc", (N, C, 1, 1), (O, C, 1, 1), bias=bias, fully_connected=True)
            yield replace(Facts.of_layer(layer), class_name="Linear", times=1 + bias)
