"""Which convolutions a function under test is asked for: small ones by hand for every edge, then ever larger ones by chance.

The output size is chosen first and the input derived from it, so that no choice is ever rejected.
"""

from collections.abc import Callable, Iterator, Sequence
from math import isqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npconv.geometry import Geometry, conv2d_geometry

# Takes one of several values: at random, or as a property test shrinks it (the first value is the simplest).
Choose: TypeAlias = Callable[[Sequence[Any]], Any]

SMALL = (1, 2, 3, 4, 5, 6, 7)
KERNELS = (1, 2, 3, 3, 4, 5)
LANES = (15, 16, 17, 31, 32, 33, 64)  # around the lengths of vectors, where a remainder is 0, 1 or all but 1
EXTENTS = ("N", "groups", "C/g", "O/g", "KH", "KW", "OH", "OW")
# What makes an ordinary, a grouped, a depthwise, a multiplier, a pointwise, a grouped pointwise and a deep convolution.
KINDS: tuple[dict[str, tuple[int, ...]], ...] = (
    {"groups": (1,)},
    {"groups": (2, 3, 4, 5)},
    {"C/g": (1,), "O/g": (1,), "groups": (*SMALL, *LANES)},
    {"C/g": (1,), "O/g": (2, 3, 4), "groups": (*SMALL, *LANES)},
    {"groups": (1,), "KH": (1,), "KW": (1,)},
    {"groups": (2, 3, 4, 5), "KH": (1,), "KW": (1,)},
    {"groups": (1,), "C/g": (127, 256, 513)},
)
# Extents that are about as long as vectors, the others being small.
LONG = ((), (), ("N",), ("groups",), ("C/g",), ("O/g",), ("OH",), ("OW",), ("C/g", "O/g"), ("O/g", "OW"), ("C/g", "OW"))
# Products of a whole convolution; a round of random geometries climbs them.
BUDGETS = (300, 2_000, 10_000, 100_000, 1_000_000, 5_000_000)


def _edge(
    x_shape: Any, weight_shape: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Geometry:
    return conv2d_geometry(x_shape, weight_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


# Everything that has a mistake of its own, alone and small; then several at once; at last all of it, every number different.
EDGES = (
    _edge((1, 1, 1, 1), (1, 1, 1, 1)),
    _edge((1, 1, 3, 4), (1, 1, 2, 3)),
    _edge((1, 3, 2, 4), (2, 3, 1, 1)),
    _edge((2, 1, 3, 4), (2, 1, 2, 2)),
    _edge((1, 1, 4, 5), (2, 1, 2, 3), padding=((1, 0), (0, 2))),
    _edge((1, 1, 7, 6), (1, 1, 2, 2), stride=(2, 3)),
    _edge((1, 1, 7, 8), (1, 1, 3, 3), dilation=(2, 3)),
    _edge((1, 4, 3, 4), (4, 2, 2, 2), groups=2),
    _edge((1, 1, 4, 5), (1, 1, 3, 3), padding=1),
    _edge((0, 2, 3, 4), (3, 2, 2, 2)),
    _edge((1, 1, 4, 5), (1, 1, 3, 2), padding=((0, 2), (1, 0))),
    _edge((1, 1, 6, 7), (1, 1, 3, 3), stride=2, padding="same"),
    _edge((1, 1, 6, 8), (1, 1, 3, 3), stride=2, padding="same_lower"),
    _edge((1, 1, 9, 8), (1, 1, 2, 1), stride=(4, 3)),
    _edge((1, 1, 6, 7), (1, 1, 2, 3), padding=(1, 2), dilation=(3, 2), stride=(1, 2)),
    _edge((1, 1, 1, 9), (2, 1, 1, 3), padding=(0, 1)),
    _edge((1, 1, 9, 1), (2, 1, 3, 1), padding=(1, 0)),
    _edge((1, 2, 2, 2), (1, 2, 3, 3), padding=(3, 2)),
    _edge((1, 6, 3, 4), (4, 3, 2, 2), groups=2),
    _edge((1, 4, 4, 3), (12, 1, 2, 3), groups=4, padding=1),
    _edge((2, 6, 4, 5), (9, 2, 3, 2), groups=3, padding=((1, 0), (1, 1))),
    _edge((1, 5, 5, 6), (5, 1, 3, 3), groups=5, padding=1),
    _edge((1, 17, 1, 3), (16, 17, 1, 1)),
    _edge((3, 4, 9, 11), (6, 2, 3, 2), stride=(2, 1), padding=((1, 2), (0, 3)), dilation=(1, 2), groups=2),
)


class Axis(NamedTuple):
    """One spatial axis: cells of the input, stride, zeros before and after, dilation."""

    n: int
    stride: int
    padding: tuple[int, int]
    dilation: int


def geometries(seed: int) -> Iterator[Geometry]:
    """Yield geometries without end: the edges, then rounds of random ones, each round from small to large.

    >>> first, second, *_ = (geometry for _, geometry in zip(range(40), geometries(0)))
    >>> first.x_shape, second.x_shape
    ((1, 1, 1, 1), (1, 1, 3, 4))
    """
    yield from EDGES
    rng = np.random.default_rng(seed)
    turn = 0
    while True:
        turn += 1
        for step, budget in enumerate(BUDGETS):
            # Large ones cost the most time and find the least, so fewer of them.
            for kind in KINDS if step < 4 else [KINDS[(turn + step + i) % len(KINDS)] for i in (0, 2, 4)]:
                yield choose_geometry(lambda values: values[int(rng.integers(len(values)))], budget, kind)


def choose_geometry(choose: Choose, products: int, kind: dict[str, tuple[int, ...]] | None = None) -> Geometry:
    """Choose one convolution of at most so many products, and of an image that is not much larger."""
    fixed = choose(KINDS) if kind is None else kind
    long = choose(LONG)
    # Four in ten are layers as networks have them, which engines treat apart: square, padded to the size of their input.
    usual = choose((0, 0, 0, 0, 0, 0, 3, 3, 5, 7))
    if usual:
        fixed = {"KH": (usual,), "KW": (usual,)} | fixed
    extent = dict.fromkeys(EXTENTS, 1)
    room = products
    # What cannot be 1 comes first, and leaves less room for the others.
    for name in sorted(_shuffled(choose, EXTENTS), key=lambda name: min(fixed.get(name, (1,))) == 1):
        values = fixed.get(name, LANES if name in long else SMALL if name[0] != "K" else KERNELS)
        # Not all the room for one extent, unless it can be no smaller, as the groups of a grouped convolution.
        extent[name] = choose([value for value in values if value * value <= room] or [fixed.get(name, (1,))[0]])
        room = max(1, room // extent[name])
    g = extent["groups"]
    N, C, O = extent["N"], g * extent["C/g"], g * extent["O/g"]
    if usual:
        stride = choose((1, 1, 2))
        rows, columns = (_usual_axis(extent[o], extent[k], stride) for o, k in (("OH", "KH"), ("OW", "KW")))
    else:
        longest = max(8, isqrt(8 * products // (N * C)))
        rows, columns = (_axis(choose, extent[o], extent[k], longest) for o, k in (("OH", "KH"), ("OW", "KW")))
    return _edge(
        (choose((*[N] * 39, 0)), C, rows.n, columns.n),
        (O, extent["C/g"], extent["KH"], extent["KW"]),
        (rows.stride, columns.stride),
        (rows.padding, columns.padding),
        (rows.dilation, columns.dilation),
        g,
    )


def _usual_axis(o: int, k: int, s: int) -> Axis:
    """Return an axis of `o` outputs whose windows begin where an odd kernel's centre meets each stride's first cell."""
    return Axis(o * s, s, (k // 2, (k - 1) // 2), 1)


def _axis(choose: Choose, o: int, k: int, longest: int) -> Axis:
    """Choose stride, dilation and padding of an axis of `o` outputs under `k` taps; the image follows.

    With ``r`` cells at the end that no window reaches, ``n + p0 + p1 = (o - 1)*s + d*(k - 1) + 1 + r``.
    """
    s = choose([s for s in (1, 1, 1, 2, 3, 5, 8) if s == 1 or s * (o - 1) <= longest])
    d = choose([d for d in (1, 1, 1, 2, 3, 4) if d == 1 or d * (k - 1) <= longest])
    reach = d * (k - 1)
    # At least one cell is left to the image.
    spare = (o - 1) * s + reach + choose(range(s))
    zeros = (0, 0, 0, 1, 1, reach // 2, reach // 2, reach, reach + 1, reach + 3)
    p0 = min(choose(zeros), spare)
    p1 = min(choose(zeros), spare - p0)
    return Axis(spare + 1 - p0 - p1, s, (p0, p1), d)


def _shuffled(choose: Choose, names: Sequence[str]) -> list[str]:
    rest, order = list(names), []
    while rest:
        order.append(choose(rest))
        rest.remove(order[-1])
    return order
