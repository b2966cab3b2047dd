"""Where the wrong outputs are, in the fewest words: "group 1, last output column"."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import gcd

import numpy as np

from npconv.arguments import SIDES
from npconv.geometry import Geometry
from npconv.memory import Array


@dataclass(frozen=True, slots=True)
class Place:
    """A set of outputs: how many of an axis or a plane belong to it, and its words; none if all do."""

    count: int
    words: str


def where(wrong: Array, geometry: Geometry) -> str:
    """Return the smallest place that has a name and holds all wrong outputs, and how many of its outputs are wrong.

    Parameters
    ----------
    wrong : ndarray of bool, shape (N, O, OH, OW)
        Outputs, at least one of them wrong.
    geometry : Geometry
        Their convolution.

    Returns
    -------
    str
        Words for images, channels and the part of a plane, whichever are not all.

    Examples
    --------
    >>> from npconv.geometry import conv2d_geometry
    >>> layer = conv2d_geometry((1, 4, 8, 8), (6, 2, 3, 3), padding=1, groups=2)
    >>> wrong = np.zeros(layer.y_shape, bool)
    >>> wrong[:, 3:, :, 7] = True
    >>> where(wrong, layer)
    'group 1, last output column: all 24 outputs'
    """
    images, channels, rows, columns = (
        np.flatnonzero(wrong.any(axes)) for axes in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))
    )
    places = [
        indices(images, geometry.N, "image"),
        _channels(channels, geometry),
        _plane(np.any(wrong, (0, 1)), rows, columns, geometry),
    ]
    words = ", ".join(place.words for place in places if place.words) or "everywhere"
    total = places[0].count * places[1].count * places[2].count
    number = int(wrong.sum())
    if number < total:
        return f"{words}: {number:,} of {total:,} outputs"
    return f"{words}: " + ("this output alone" if total == 1 else f"all {total:,} outputs")


def indices(held: Array, size: int, noun: str) -> Place:
    """Return the smallest place on an axis of this size that holds some of its indices, in increasing order.

    >>> indices(np.array([7, 15, 23]), 24, "output column")
    Place(count=3, words='output columns 7 modulo 8')
    """
    return min(_runs(held, size, noun), key=lambda place: place.count)


def _runs(held: Array, size: int, noun: str) -> Iterator[Place]:
    """Yield places on an axis, the simpler ones first."""
    first, last, number = int(held[0]), int(held[-1]), len(held)
    ordinal = {0: "first", size - 1: "last"}
    if number == size:
        yield Place(size, "")
    elif number == 1:
        # Channels and images are known by their numbers, edges by their names.
        named = first in ordinal and noun.startswith("output")
        yield Place(1, f"{ordinal[first]} {noun}" if named else f"{noun} {first}")
    else:
        step = gcd(*(held - first).tolist())
        if step > 1 and (number > 2 or step % 4 == 0):
            yield Place(len(range(first % step, size, step)), f"{noun}s {first % step} modulo {step}")
        if first == 0:
            yield Place(last + 1, f"{noun}s up to {last}")
        elif last == size - 1:
            yield Place(size - first, f"{noun}s {first} and up")
        else:
            yield Place(last - first + 1, f"{noun}s {first} to {last}")
        if number <= 4:
            *others, final = map(str, held.tolist())
            yield Place(number, f"{noun}s {', '.join(others)} and {final}")
        missing = np.setdiff1d(np.arange(size), held)
        if len(missing) <= 2:
            yield Place(number, f"all {noun}s but {' and '.join(map(str, missing.tolist()))}")


def _channels(held: Array, geometry: Geometry) -> Place:
    """Return channels as such, or as groups and channels in a group."""
    g = geometry
    plain = indices(held, g.O, "channel")
    if g.groups == 1 or g.group_filters == 1:
        return plain
    groups = indices(np.unique(held // g.group_filters), g.groups, "group")
    inner = indices(np.unique(held % g.group_filters), g.group_filters, "channel")
    count = groups.count * inner.count
    words = " of ".join(place.words for place in (inner, groups) if place.words)
    if inner.words and not groups.words:
        words += " of each group"
    simple = bool(plain.words) and not (inner.words and groups.words) and "modulo" not in words
    return Place(count, words) if count < plain.count or (count == plain.count and simple) else plain


def _plane(held: Array, rows: Array, columns: Array, geometry: Geometry) -> Place:
    """Return the part of a plane: rows and columns, or the outputs whose windows touch padding, or a run in the order of memory."""
    return min(_parts(held, rows, columns, geometry), key=_plainness)


def _plainness(place: Place) -> tuple[int, bool, int]:
    """Return what to prefer: few outputs, then rows and columns, then few words."""
    return place.count, place.words.startswith("position"), place.words.count(",")


def _parts(held: Array, rows: Array, columns: Array, geometry: Geometry) -> Iterator[Place]:
    """Yield parts of a plane that hold some of its outputs, the simpler ones first."""
    g = geometry
    down, across = indices(rows, g.OH, "output row"), indices(columns, g.OW, "output column")
    words = ", ".join(place.words for place in (down, across) if place.words)
    yield Place(down.count * across.count, words)
    touching = touches(g)
    for number in range(1, 5):
        for sides in combinations(SIDES, number):
            part = np.any([touching[side] for side in sides], 0)
            if part.any() and not (held & ~part).any():
                yield Place(int(part.sum()), f"outputs whose window touches {_listed(sides)} padding")
    inside = ~np.any(list(touching.values()), 0)
    if not inside.all() and not (held & ~inside).any():
        yield Place(int(inside.sum()), "outputs whose window touches no padding")
    flat = indices(np.flatnonzero(held), g.OH * g.OW, "position")
    yield Place(flat.count, f"{flat.words} of each plane")


def touches(geometry: Geometry) -> dict[str, Array]:
    """Return, for each side, the outputs (OH, OW) whose window has a tap in the padding there."""
    g, sides = geometry, []
    for (n, k, s, d, p0, _), size in zip(g.axes, (g.OH, g.OW), strict=True):
        start = np.arange(size) * s - p0
        sides += [start < 0, start + (k - 1) * d >= n]
    top, bottom, left, right = sides
    every = np.ones((g.OH, g.OW), bool)
    return {
        "top": every & top[:, None],
        "bottom": every & bottom[:, None],
        "left": every & left,
        "right": every & right,
    }


def _listed(sides: tuple[str, ...]) -> str:
    """Write sides as a sentence has them."""
    if len(sides) == 4:
        return "any"
    *others, last = sides
    return f"the {', '.join(others)} or {last}" if others else f"the {last}"
