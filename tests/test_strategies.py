"""The random geometries reach every edge that they promise, within the work that they promise, and reject nothing."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.statistics import collector

from cases import Case
from npconv.geometry import Geometry, covered_outputs
from strategies import LANES, MANY_PRODUCTS, PRODUCTS, TALL, TILES, Spelling, cases, large_cases, spell_axis

STRATEGIES = {"cases": cases(), "large_cases": large_cases()}
DRAWN = 500  # as many geometries as every run of the suite draws
SCARCE = 3  # of them, at least so many on each edge


class Axis(NamedTuple):
    """One axis of a geometry, in the letters of its formulas."""

    n: int
    k: int
    s: int
    d: int
    p0: int
    p1: int
    o: int

    @property
    def reach(self) -> int:
        """Cells from the first to the last tap."""
        return self.d * (self.k - 1) + 1

    @property
    def unread(self) -> int:
        """Cells at the end of the padded axis that no window fills."""
        return self.n + self.p0 + self.p1 - self.reach - (self.o - 1) * self.s


def rows(g: Geometry) -> Axis:
    """Return the vertical axis."""
    return Axis(g.H, g.KH, g.stride[0], g.dilation[0], *g.padding[0], g.OH)


def columns(g: Geometry) -> Axis:
    """Return the horizontal axis."""
    return Axis(g.W, g.KW, g.stride[1], g.dilation[1], *g.padding[1], g.OW)


def on(axis: Callable[[Geometry], Axis], test: Callable[[Axis], bool]) -> Callable[[Geometry], bool]:
    """Return a test of a geometry that looks at one axis."""
    return lambda g: test(axis(g))


def of_size(extent: str, size: int) -> Callable[[Geometry], bool]:
    """Return a test for a geometry with this extent."""
    return lambda g: getattr(g, extent) == size


def every_option_differs(g: Geometry) -> bool:
    """Tell whether nothing could be swapped between the axes, or the ends of an axis, unnoticed."""
    pairs = [(g.H, g.W), (g.KH, g.KW), g.stride, g.dilation, *g.padding, g.padding, (g.OH, g.OW)]
    return all(first != second for first, second in pairs)


def pointwise(g: Geometry) -> bool:
    """Tell whether each output reads one pixel, in place."""
    return (g.KH, g.KW, g.stride, g.padding) == (1, 1, (1, 1), ((0, 0), (0, 0)))


def depthwise(g: Geometry) -> bool:
    """Tell whether each channel has its own filters."""
    return g.groups > 1 and g.group_channels == 1


ON_EACH_AXIS: dict[str, Callable[[Axis], bool]] = {
    "even kernel": lambda a: a.k % 2 == 0,
    "padding differs between the ends": lambda a: a.p0 != a.p1,
    "padding reaches the kernel at the start": lambda a: a.p0 >= a.reach > 1,
    "padding reaches the kernel at the end": lambda a: a.p1 >= a.reach > 1,
    "padding beyond the kernel": lambda a: max(a.p0, a.p1) > a.reach > 1,
    "windows of padding alone": lambda a: covered_outputs(*a[:6]) < a.o,
    "stride above the kernel": lambda a: a.s > a.reach > 1,
    "stride and dilation": lambda a: a.s > 1 and a.d > 1 and a.k > 1,
    "cells that no window reads": lambda a: a.unread > 0,
    "kernel above the input": lambda a: a.k > a.n,
    "dilated kernel above the input": lambda a: a.reach > a.n >= a.k > 1,
    "input of one cell": lambda a: a.n == 1,
    "output of one cell": lambda a: a.o == 1,
    "kernel of one cell": lambda a: a.k == 1,
    "kernel above any register tile's rows": lambda a: a.k in TALL,
}

EDGES: dict[str, Callable[[Geometry], bool]] = {
    **{f"{name}, rows": on(rows, test) for name, test in ON_EACH_AXIS.items()},
    **{f"{name}, columns": on(columns, test) for name, test in ON_EACH_AXIS.items()},
    **{f"{lanes} output columns": of_size("OW", lanes) for lanes in LANES},
    **{f"{lanes} filters per group": of_size("group_filters", lanes) for lanes in LANES},
    **{f"{lanes} channels per group": of_size("group_channels", lanes) for lanes in LANES},
    "H is not W": lambda g: g.H != g.W,
    "KH is not KW": lambda g: g.KH != g.KW,
    "strides differ": lambda g: g.stride[0] != g.stride[1],
    "dilations differ": lambda g: g.dilation[0] != g.dilation[1],
    "every option differs": every_option_differs,
    "no padding at all": lambda g: g.padding == ((0, 0), (0, 0)),
    "image of one pixel": lambda g: g.H == g.W == 1,
    "empty batch": lambda g: g.N == 0,
    "one image": lambda g: g.N == 1,
    "many images": lambda g: g.N > 1,
    "more filters than channels in a group": lambda g: g.groups > 1 and g.group_filters > g.group_channels > 1,
    "more channels than filters in a group": lambda g: g.groups > 1 and g.group_channels > g.group_filters > 1,
    "N, C and O differ": lambda g: len({g.N, g.C, g.O}) == 3 and g.N > 0,
    "ordinary": lambda g: g.groups == 1 and g.C > 1 and g.O > 1,
    "grouped": lambda g: g.groups > 1 and g.group_channels > 1 and g.group_filters > 1,
    "depthwise": lambda g: depthwise(g) and g.group_filters == 1,
    "depthwise, strided": lambda g: depthwise(g) and max(g.stride) > 1,
    "depthwise, many channels": lambda g: depthwise(g) and g.C >= LANES[0],
    "depth multiplier": lambda g: depthwise(g) and g.group_filters > 1,
    "pointwise": lambda g: pointwise(g) and g.groups == 1,
    "pointwise in groups": lambda g: pointwise(g) and g.groups > 1,
    "1x1, strided or padded": lambda g: g.KH == g.KW == 1 and not pointwise(g),
    "much work": lambda g: g.P * g.K > PRODUCTS[0],
}


def draw_many(strategy: str, count: int) -> list[Case]:
    """Return the geometries that a test of so many examples gets."""
    found: list[Case] = []

    @settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate])
    @given(STRATEGIES[strategy])
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


drawn = cache(draw_many)


@pytest.mark.parametrize("edge", EDGES)
def test_every_edge_is_reached(edge: str) -> None:
    assert sum(EDGES[edge](case.geometry) for case in drawn("cases", DRAWN)) >= SCARCE


def test_examples_are_not_repeated() -> None:
    assert len(set(drawn("cases", DRAWN))) > 0.8 * DRAWN


def test_the_reference_can_afford_every_example() -> None:
    work = [case.products for case in drawn("cases", DRAWN)]
    assert max(work) <= max(PRODUCTS)
    assert sum(work) / len(work) < PRODUCTS[0]
    assert sum(products > PRODUCTS[0] for products in work) < len(work) / 10


def test_images_stay_small() -> None:
    for case in (*drawn("cases", DRAWN), *drawn("large_cases", DRAWN)):
        N, C, H, W = case.x_shape
        assert max(H, W) < 400
        assert N * C * H * W < 2**25


def test_large_geometries_fill_several_tiles() -> None:
    geometries = [case.geometry for case in drawn("large_cases", DRAWN)]
    assert max(g.P * g.K for g in geometries) <= max(MANY_PRODUCTS)
    edges: dict[str, Callable[[Geometry], bool]] = {
        "deep sums": lambda g: g.K > 256,
        "many filters per group": lambda g: g.group_filters >= min(TILES),
        "long rows": lambda g: g.OW >= min(TILES),
        "many filters and long rows": lambda g: g.group_filters >= min(TILES) and g.OW >= min(TILES),
        "many filters over deep sums": lambda g: g.group_filters >= min(TILES) and g.K > 128,
        "long rows of deep sums": lambda g: g.OW >= min(TILES) and g.K > 128,
        "many depthwise channels": lambda g: depthwise(g) and g.groups >= min(TILES),
    }
    assert [name for name, edge in edges.items() if sum(map(edge, geometries)) < SCARCE] == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_example_is_rejected(strategy: str) -> None:
    reports: list[Any] = []
    statistics: Any = collector
    with statistics.with_value(reports.append):
        draw_many(strategy, DRAWN)
    [report] = reports
    statuses = Counter(example["status"] for example in report["generate-phase"]["test-cases"])
    # An "overrun" is Hypothesis stopping a trial of its own; an "invalid" one would be ours.
    assert statuses["valid"] == DRAWN
    assert set(statuses) <= {"valid", "overrun"}


@given(st.integers(1, 40), st.integers(1, 9), st.binary(min_size=5, max_size=5))
def test_the_derived_input_gives_the_drawn_output(o: int, k: int, letters: bytes) -> None:
    n, s, (p0, p1), d = spell_axis(Spelling(letters), o, k)
    assert n >= 1
    assert (n + p0 + p1 - d * (k - 1) - 1) // s + 1 == o
