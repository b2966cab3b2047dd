"""Mistakes along rows and columns: padding, stride, dilation, windows off by one, edges that are left out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from npconv.geometry import Geometry, resolve_padding
from npconv.judge.fault import Fault, Mistake, left_out, stored, with_x
from npconv.judge.reading import OUTSIDE, Array, Reading

PADDING, STRIDE, DILATION, POSITION, EDGE = "padding", "stride", "dilation", "position", "edge"


def _read_with(change: Callable[[Geometry], Geometry | None]) -> Mistake:
    """Return the mistake of reading with other options; the caller's output keeps its size, and beyond the image is padding."""

    def mistake(right: Reading) -> Reading | None:
        changed = change(right.geometry)
        return None if changed is None else right.windows_of(changed)

    return mistake


def _padded(change: Callable[[Geometry], tuple[tuple[int, int], tuple[int, int]] | None]) -> Mistake:
    def changed(g: Geometry) -> Geometry | None:
        padding = change(g)
        return None if padding is None else replace(g, padding=padding)

    return _read_with(changed)


def _same(g: Geometry, word: str, other: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the padding of one word where the call has that of the other."""
    one, two = (resolve_padding((g.H, g.W), (g.KH, g.KW), w, g.stride, g.dilation) for w in (word, other))
    return two if g.padding == one else None


def _centred(g: Geometry) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return half of a filter on each side, where the call has the padding called same."""
    if g.padding not in [
        resolve_padding((g.H, g.W), (g.KH, g.KW), w, g.stride, g.dilation) for w in ("same", "same_lower")
    ]:
        return None
    rows, columns = g.dilation[0] * (g.KH - 1) // 2, g.dilation[1] * (g.KW - 1) // 2
    return (rows, rows), (columns, columns)


def _moved(rows: int, columns: int) -> Mistake:
    """Return the mistake of windows that begin some rows and columns too late; negative: too early."""
    return _padded(
        lambda g: (
            (g.padding[0][0] - rows, g.padding[0][1] + rows),
            (g.padding[1][0] - columns, g.padding[1][1] + columns),
        )
    )


def _filled(fill: Callable[[Array, int], Array]) -> Mistake:
    """Return the mistake of reading a real cell where padding belongs: `fill` says which, from cells beyond the image."""

    def mistake(right: Reading) -> Reading:
        g = right.geometry
        axes = []
        for cells, (n, k, s, d, before, _) in zip((right.rows, right.columns), g.axes, strict=True):
            beyond = np.arange(len(cells))[:, None] * s + np.arange(k) * d - before
            axes.append(fill(beyond, n))
        return replace(right, rows=axes[0], columns=axes[1])

    return mistake


def _reflected(cells: Array, n: int) -> Array:
    if n == 1:
        return np.zeros_like(cells)
    period = 2 * (n - 1)
    within: Array = np.minimum(cells % period, period - cells % period)
    return within


def _late(axis: int, shift: int) -> Mistake:
    """Return the mistake of storing outputs some places further on along an axis; the first are left as they were."""

    def moved(outputs: Array) -> Array:
        moved = np.roll(outputs, shift, axis)
        edge = [slice(None)] * 4
        edge[axis] = slice(shift) if shift > 0 else slice(shift, None)
        moved[tuple(edge)] = OUTSIDE
        return moved

    return stored(moved)


def _rounded_up(right: Reading) -> Reading | None:
    """Return outputs whose sizes were rounded up: the caller sees the first of them, laid out one row or column too wide."""
    g = right.geometry
    sizes = [
        o + ((n + sum(p) - d * (k - 1) - 1) % s > 0) for o, (n, k, s, d, *p) in zip((g.OH, g.OW), g.axes, strict=True)
    ]
    wider = right.windows_of(replace(g, OH=sizes[0], OW=sizes[1]))
    return replace(wider, order=np.arange(g.P).reshape(g.y_shape))


def _edge_unread(axis: str) -> Mistake:
    """Return the mistake of taking the last row or column of the image for padding."""

    def mistake(right: Reading) -> Reading:
        cells = getattr(right, axis)
        last = (right.geometry.H if axis == "rows" else right.geometry.W) - 1
        unread: dict[str, Any] = {axis: np.where(cells == last, OUTSIDE, cells)}
        return replace(right, **unread)

    return mistake


FAULTS = (
    Fault(
        "pad sides swapped in y",
        "The top padding is put at the bottom, and the bottom padding on top.",
        PADDING,
        _padded(lambda g: (g.padding[0][::-1], g.padding[1])),
    ),
    Fault(
        "pad sides swapped in x",
        "The left padding is put at the right, and the right padding at the left.",
        PADDING,
        _padded(lambda g: (g.padding[0], g.padding[1][::-1])),
    ),
    Fault(
        "pad sides swapped in y and x",
        "Top is exchanged with bottom, and left with right.",
        PADDING,
        _padded(lambda g: (g.padding[0][::-1], g.padding[1][::-1])),
        lambda g: g.padding[0][0] != g.padding[0][1] and g.padding[1][0] != g.padding[1][1],
    ),
    Fault(
        "pad axes swapped",
        "Rows are padded as columns should be, and columns as rows.",
        PADDING,
        _padded(lambda g: (g.padding[1], g.padding[0])),
    ),
    Fault(
        "padding ignored",
        "The first window begins at the first cell of the image, as if there were no padding.",
        PADDING,
        _padded(lambda g: ((0, 0), (0, 0))),
    ),
    Fault(
        "SAME_LOWER for SAME_UPPER",
        "An odd zero of the padding called same goes to the start in place of the end.",
        PADDING,
        _padded(lambda g: _same(g, "same", "same_lower")),
    ),
    Fault(
        "SAME_UPPER for SAME_LOWER",
        "An odd zero of the padding called same goes to the end in place of the start.",
        PADDING,
        _padded(lambda g: _same(g, "same_lower", "same")),
    ),
    Fault(
        "half a kernel for SAME",
        "Half of the kernel's span is padded on each side, whatever the stride, where same padding asks for less.",
        PADDING,
        _padded(_centred),
    ),
    Fault(
        "replicate padding",
        "The edge of the image is repeated where zeros belong.",
        PADDING,
        _filled(lambda cells, n: np.clip(cells, 0, n - 1)),
    ),
    Fault("reflect padding", "The image is mirrored at its edge where zeros belong.", PADDING, _filled(_reflected)),
    Fault(
        "circular padding",
        "The opposite edge of the image is read where zeros belong.",
        PADDING,
        _filled(lambda cells, n: cells % n),
    ),
    Fault("input shifted by one row down", "Windows begin one row too early.", POSITION, _moved(-1, 0)),
    Fault("input shifted by one row up", "Windows begin one row too late.", POSITION, _moved(1, 0)),
    Fault("input shifted by one column to the right", "Windows begin one column too early.", POSITION, _moved(0, -1)),
    Fault("input shifted by one column to the left", "Windows begin one column too late.", POSITION, _moved(0, 1)),
    Fault(
        "input pointer one element too far",
        "Every read of the image takes the next element in memory.",
        POSITION,
        with_x(lambda x: np.roll(x.ravel(), -1).reshape(x.shape)),
    ),
    Fault(
        "output stored one row too low",
        "Each output row is stored one further down; the first is left as it was.",
        POSITION,
        _late(2, 1),
        lambda g: g.OH > 1,
    ),
    Fault(
        "output stored one row too high",
        "Each output row is stored one further up; the last is left as it was.",
        POSITION,
        _late(2, -1),
        lambda g: g.OH > 1,
    ),
    Fault(
        "output stored one column too far right",
        "Each output column is stored one further right; the first is left as it was.",
        POSITION,
        _late(3, 1),
        lambda g: g.OW > 1,
    ),
    Fault(
        "output stored one column too far left",
        "Each output column is stored one further left; the last is left as it was.",
        POSITION,
        _late(3, -1),
        lambda g: g.OW > 1,
    ),
    Fault(
        "stride axes swapped",
        "Rows are stepped by the stride of columns, and columns by that of rows.",
        STRIDE,
        _read_with(lambda g: replace(g, stride=g.stride[::-1])),
        lambda g: g.stride[0] != g.stride[1],
    ),
    Fault(
        "stride ignored",
        "Windows are one cell apart whatever the stride.",
        STRIDE,
        _read_with(lambda g: replace(g, stride=(1, 1))),
    ),
    Fault(
        "row stride used for columns",
        "Columns are stepped by the stride of rows.",
        STRIDE,
        _read_with(lambda g: replace(g, stride=(g.stride[0],) * 2)),
        lambda g: g.stride[0] > 1,
    ),
    Fault(
        "column stride used for rows",
        "Rows are stepped by the stride of columns.",
        STRIDE,
        _read_with(lambda g: replace(g, stride=(g.stride[1],) * 2)),
        lambda g: g.stride[1] > 1,
    ),
    Fault(
        "dilation axes swapped",
        "Taps are spaced in rows as they should be in columns, and in columns as in rows.",
        DILATION,
        _read_with(lambda g: replace(g, dilation=g.dilation[::-1])),
    ),
    Fault(
        "dilation ignored",
        "The taps of a filter lie side by side whatever the dilation.",
        DILATION,
        _read_with(lambda g: replace(g, dilation=(1, 1))),
    ),
    Fault(
        "dilation one too large",
        "Taps are one cell too far apart, as if dilation counted the cells between them.",
        DILATION,
        _read_with(lambda g: replace(g, dilation=(g.dilation[0] + 1, g.dilation[1] + 1))),
    ),
    Fault(
        "dilation one too small",
        "Taps are one cell too close to each other.",
        DILATION,
        _read_with(lambda g: replace(g, dilation=(max(1, g.dilation[0] - 1), max(1, g.dilation[1] - 1)))),
        lambda g: max(g.dilation) > 2,
    ),
    Fault(
        "ceil instead of floor",
        "The output's size is rounded up, so that rows are laid out wider than the caller reads them.",
        EDGE,
        _rounded_up,
    ),
    Fault("last input row not read", "The last row of the image is taken for padding.", EDGE, _edge_unread("rows")),
    Fault(
        "last input column not read",
        "The last column of the image is taken for padding.",
        EDGE,
        _edge_unread("columns"),
    ),
    Fault(
        "last output row dropped",
        "The last row of the output is left as it was.",
        EDGE,
        left_out(lambda g: np.s_[:, :, -1]),
        lambda g: g.OH > 1,
    ),
    Fault(
        "first output row dropped",
        "The first row of the output is left as it was.",
        EDGE,
        left_out(lambda g: np.s_[:, :, 0]),
        lambda g: g.OH > 1,
    ),
    Fault(
        "last output column dropped",
        "The last column of the output is left as it was.",
        EDGE,
        left_out(lambda g: np.s_[..., -1]),
        lambda g: g.OW > 1,
    ),
    Fault(
        "first output column dropped",
        "The first column of the output is left as it was.",
        EDGE,
        left_out(lambda g: np.s_[..., 0]),
        lambda g: g.OW > 1,
    ),
)
