"""Mistakes in the filters: flipped, read in another layout, or not to their end."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.fault import Evidence, Family, Fault, Mistake, vectors, with_weight
from npconv.judge.reading import Array, Reading


def _read_as(w: Array, axes: str) -> Array:
    """Return the filters that a kernel sees which takes the memory of OIHW for that of other axes."""
    extents = dict(zip("OIHW", w.shape, strict=True))
    return w.reshape([extents[axis] for axis in axes]).transpose([axes.index(axis) for axis in "OIHW"])


def _written_as(w: Array, axes: str) -> Array:
    """Return the filters that a kernel sees which takes memory of other axes for that of OIHW."""
    return w.transpose(["OIHW".index(axis) for axis in axes]).reshape(w.shape)


def _without(where: tuple[slice | int, ...]) -> Mistake:
    """Return the mistake of never multiplying some taps, which an index of (O, I, KH, KW) selects."""

    def mistake(right: Reading) -> Reading:
        weight, skipped = right.weight.copy(), np.zeros(right.weight.shape[1:], bool)
        weight[where], skipped[where[1:]] = 0, True
        return replace(right, weight=weight, skipped=skipped)

    return mistake


def _some_channels(some: slice) -> Mistake:
    """Return the mistake of a loop over channels that begins late or ends early."""

    def mistake(right: Reading) -> Reading:
        return replace(right, channels=right.channels[:, some], weight=right.weight[:, some])

    return mistake


def _some_rows(some: slice) -> Mistake:
    """Return the mistake of a loop over the rows of a filter that begins late or ends early."""

    def mistake(right: Reading) -> Reading:
        return replace(right, rows=right.rows[:, some], weight=right.weight[:, :, some])

    return mistake


def _some_columns(some: slice) -> Mistake:
    """Return the mistake of a loop over the columns of a filter that begins late or ends early."""

    def mistake(right: Reading) -> Reading:
        return replace(right, columns=right.columns[:, some], weight=right.weight[..., some])

    return mistake


def _two_rows_and_columns(g: Geometry) -> bool:
    return g.KH > 1 and g.KW > 1


_ALL = slice(None)
KERNEL, LAYOUT, TAPS, CHANNELS = "kernel", "weight layout", "taps", "channels"

# Orders of the axes that differ from OIHW, from IOHW and from each other, as far as extents of 1 leave them.
_ORDERS: dict[str, Callable[[Geometry], bool]] = {
    "OHWI": lambda g: g.KH * g.KW > 1,
    "HWIO": lambda g: g.KH * g.KW > 1 and g.group_channels > 1,
    "IHWO": lambda g: g.KH * g.KW > 1 and g.group_channels > 1,
    "HWOI": lambda g: g.KH * g.KW > 1,
}

FAULTS = (
    Fault(
        "kernel flipped in y",
        "The rows of each filter are read from last to first.",
        KERNEL,
        with_weight(lambda w: w[:, :, ::-1]),
    ),
    Fault(
        "kernel flipped in x",
        "The columns of each filter are read from last to first.",
        KERNEL,
        with_weight(lambda w: w[..., ::-1]),
    ),
    Fault(
        "kernel flipped in y and x",
        "Filters are rotated by half a turn: a convolution in the sense of mathematics.",
        KERNEL,
        with_weight(lambda w: w[:, :, ::-1, ::-1]),
        _two_rows_and_columns,
    ),
    Fault(
        "kernel transposed",
        "Rows and columns of each filter are exchanged: OIWH is read where OIHW is stored.",
        KERNEL,
        with_weight(lambda w: _read_as(w, "OIWH")),
    ),
    Fault(
        "OIWH weights read as OIHW",
        "Filters stored with rows and columns exchanged are read as if they were not.",
        KERNEL,
        with_weight(partial(_written_as, axes="OIWH")),
        lambda g: g.KH != g.KW and _two_rows_and_columns(g),
    ),
    Fault(
        "IOHW weights read as OIHW",
        "Filters stored with their first two axes exchanged are read as if they were not.",
        LAYOUT,
        with_weight(partial(_written_as, axes="IOHW")),
        lambda g: g.group_channels != g.O,
    ),
    Fault(
        "O and I exchanged",
        "Filters are read with their first two axes exchanged: IOHW where OIHW is stored.",
        LAYOUT,
        with_weight(lambda w: _read_as(w, "IOHW")),
    ),
    *(
        Fault(
            f"{axes} weights read as OIHW",
            f"Filters stored as {axes} are read as if they were OIHW.",
            LAYOUT,
            with_weight(partial(_written_as, axes=axes)),
            _ORDERS[axes],
        )
        for axes in ("OHWI", "HWIO", "IHWO", "HWOI")
    ),
    *(
        Fault(
            f"OIHW weights read as {axes}",
            f"Filters stored as OIHW are read as if they were {axes}.",
            LAYOUT,
            with_weight(partial(_read_as, axes=axes)),
            _ORDERS[axes],
        )
        for axes in ("OHWI", "HWIO", "IHWO", "HWOI")
    ),
    Fault("no product added", "Outputs are the bias alone.", TAPS, _some_columns(slice(0))),
    *(
        Fault(name, f"{what} is never multiplied.", TAPS, _without(where), room)
        for name, what, where, room in (
            (
                "last tap dropped",
                "The last tap of each filter, in every channel,",
                (_ALL, _ALL, -1, -1),
                _two_rows_and_columns,
            ),
            (
                "first tap dropped",
                "The first tap of each filter, in every channel,",
                (_ALL, _ALL, 0, 0),
                _two_rows_and_columns,
            ),
            (
                "last product dropped",
                "The last tap of the last channel of each filter",
                (_ALL, -1, -1, -1),
                lambda g: g.group_channels > 1 and g.KH * g.KW > 1,
            ),
        )
    ),
    Fault(
        "last kernel row dropped",
        "The last row of each filter is never multiplied.",
        TAPS,
        _some_rows(slice(-1)),
        lambda g: g.KH > 1,
    ),
    Fault(
        "first kernel row dropped",
        "The first row of each filter is never multiplied.",
        TAPS,
        _some_rows(slice(1, None)),
        lambda g: g.KH > 1,
    ),
    Fault(
        "last kernel column dropped",
        "The last column of each filter is never multiplied.",
        TAPS,
        _some_columns(slice(-1)),
        lambda g: g.KW > 1,
    ),
    Fault(
        "first kernel column dropped",
        "The first column of each filter is never multiplied.",
        TAPS,
        _some_columns(slice(1, None)),
        lambda g: g.KW > 1,
    ),
    Fault(
        "last channel dropped",
        "The last channel of each group is never read.",
        CHANNELS,
        _some_channels(slice(-1)),
        lambda g: g.group_channels > 1,
    ),
    Fault(
        "first channel dropped",
        "The first channel of each group is never read.",
        CHANNELS,
        _some_channels(slice(1, None)),
        lambda g: g.group_channels > 1,
    ),
)


def _whole_vectors(right: Reading, lanes: int) -> Reading | None:
    count = right.geometry.group_channels // lanes * lanes
    return replace(right, channels=right.channels[:, :count], weight=right.weight[:, :count])


def _lanes(right: Reading, evidence: Evidence | None) -> Iterable[int]:
    return vectors(right.geometry.group_channels)


FAMILIES = (
    Family(
        "channels beyond the last {} dropped",
        "The channels of a group are read {} at a time, and what is left of them never.",
        CHANNELS,
        _whole_vectors,
        _lanes,
    ),
)
