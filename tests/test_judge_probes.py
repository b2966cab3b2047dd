"""What a function under test is asked for: geometries of every kind, and arrays that show what they say they show."""

from itertools import islice

import numpy as np
import pytest

from npconv.arrays import FLOATS, INTEGERS
from npconv.geometry import Geometry, conv2d_geometry
from npconv.judge.call import checked_call
from npconv.judge.case import FEATURES, Case
from npconv.judge.geometries import EDGES, choose_geometry, geometries
from npconv.judge.model import MODELS, Model, model_of
from npconv.judge.oracle import expected
from npconv.judge.probes import PROBES, exact_up_to, probes_for
from npconv.judge.shrink import shrunk

DTYPES = (*FLOATS, *INTEGERS)
MANY = list(islice(geometries(0), 300))


def case(probe: str, geometry: Geometry, dtype: str = "float32", model: Model | None = None, seed: int = 0) -> Case:
    one = np.ones((1, 1, 1, 1), dtype)
    return Case(geometry, PROBES[probe], np.dtype(dtype), model or model_of(None, checked_call(one, one)), seed)


def test_the_same_seed_asks_for_the_same_geometries() -> None:
    assert list(islice(geometries(7), 60)) == list(islice(geometries(7), 60))
    assert list(islice(geometries(7), 60)) != list(islice(geometries(8), 60))


@pytest.mark.parametrize("feature", FEATURES)
def test_edges_have_every_feature(feature: str) -> None:
    assert sum(map(FEATURES[feature], EDGES)) >= 1
    # Alone, too: a function that lacks everything else is still judged on it.
    others = [name for name in FEATURES if name != feature]
    assert any(FEATURES[feature](g) and sum(FEATURES[name](g) for name in others) <= 2 for g in EDGES)


def test_geometries_have_the_breadth_that_finds_mistakes() -> None:
    wanted = {
        "rows and columns of an image differ": lambda g: g.H != g.W,
        "rows and columns of a kernel differ": lambda g: g.KH != g.KW,
        "padding beyond the kernel": lambda g: g.padding[0][0] >= g.KH > 1,
        "stride above the kernel": lambda g: g.stride[0] > g.KH,
        "kernel above the image": lambda g: g.KH > g.H,
        "an axis of one": lambda g: g.H == 1 < g.W,
        "filters and channels of a group differ": lambda g: g.groups > 1 and g.group_channels != g.group_filters > 1,
        "depthwise": lambda g: g.group_channels == g.group_filters == 1 < g.groups,
        "depthwise with a multiplier": lambda g: g.group_channels == 1 < g.group_filters and g.groups > 1,
        "N, C and O pairwise different": lambda g: len({g.N, g.C, g.O}) == 3 and g.N > 1,
        "lengths around vectors": lambda g: g.OW in (15, 16, 17, 31, 33),
        "cells that no window reaches": lambda g: (
            (g.H + sum(g.padding[0]) - g.dilation[0] * (g.KH - 1) - 1) % g.stride[0]
        ),
        "a layer as networks have it": lambda g: g.KH == g.KW == 3 and g.padding == ((1, 1), (1, 1)) and g.C > 1,
        "a thousand products to a sum": lambda g: g.K >= 1000,
    }
    missing = [name for name, has in wanted.items() if sum(map(bool, map(has, MANY))) < 3]
    assert missing == []
    assert max(g.P * g.K for g in MANY) > 300_000
    assert all(g.P * g.K < 10_000_000 and g.N * g.C * g.H * g.W < 4_000_000 for g in MANY)


def test_a_geometry_can_be_chosen_by_the_simplest_of_all_choices() -> None:
    simplest = choose_geometry(lambda values: values[0], 1)
    assert (simplest.x_shape, simplest.weight_shape) == ((1, 1, 1, 1), (1, 1, 1, 1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_have_the_shapes_and_types_asked_for_and_repeat(dtype: np.dtype) -> None:
    one = np.ones((1, 1, 1, 1), dtype)
    model = model_of(None, checked_call(one, one))
    for probe in probes_for(dtype):
        for geometry in EDGES:
            first, second = (probe.arrays(geometry, dtype, model, 3) for _ in range(2))
            assert [array.tobytes() for array in first] == [array.tobytes() for array in second]
            assert [array.shape for array in first] == [geometry.x_shape, geometry.weight_shape, (geometry.O,)]
            assert {array.dtype for array in first} == {dtype}
        assert probe.sentence.endswith(".")
        assert probe.shows


@pytest.mark.parametrize("probe", ["exact integers", "addresses", "off-centre Dirac", "ones", "signed zeros"])
@pytest.mark.parametrize("model", ["float32", "float64", "bfloat16", "tf32", "mixed_float16", "mixed_bfloat16"])
def test_integers_are_exact_in_the_arithmetic_under_test(probe: str, model: str) -> None:
    dtype = "float64" if model == "float64" else "float32"
    for geometry in MANY[:60]:
        # With as many products as a sum of 8 bits has room for, not even ones are exact.
        if geometry.K + 1 <= exact_up_to(MODELS[model], np.dtype(dtype))[1]:
            made = case(probe, geometry, dtype, MODELS[model]).call
            assert expected(made, MODELS[model]).exact.all()


def test_integers_are_as_large_as_sums_allow() -> None:
    made = case("exact integers", conv2d_geometry((1, 512, 5, 5), (4, 512, 3, 3))).call
    assert 2**24 / 4 < expected(made, MODELS["float32"]).S.max() <= 2**24


def test_addresses_tell_which_pixel_was_read() -> None:
    g = conv2d_geometry((1, 2, 4, 5), (18, 2, 3, 3), stride=(1, 2))
    x, weight, _ = case("addresses", g).probe.arrays(g, np.dtype("float32"), MODELS["float32"], 0)
    assert len(np.unique(x)) == x.size
    taps = weight.reshape(18, -1)
    assert (taps.sum(1) == 1).all()
    # As many filters as taps: each passes another one.
    assert (taps.sum(0) == 1).all()


def test_a_dirac_is_off_the_centre_and_in_every_group() -> None:
    g = conv2d_geometry((3, 6, 5, 7), (4, 3, 3, 3), groups=2)
    x = case("off-centre Dirac", g).call.x
    lit = np.argwhere(x)
    assert len(lit) == 3 * 2
    assert {(n, c // 3) for n, c, _, _ in lit.tolist()} == {(n, group) for n in range(3) for group in range(2)}
    assert all(h != 2 and w != 3 for _, _, h, w in lit.tolist())


def test_sparse_pixels_leave_about_six_products() -> None:
    g = conv2d_geometry((1, 512, 6, 6), (4, 512, 3, 3))
    h = expected(case("sparse", g).call, MODELS["float32"]).h
    assert 3 < h.mean() < 9


def test_dye_colours_its_receptive_set() -> None:
    g = conv2d_geometry((1, 2, 6, 7), (2, 2, 3, 2), padding=1)
    kinds = set()
    for seed in range(12):
        made = case("dye", g, seed=seed).call
        (at,) = np.argwhere(~np.isfinite(made.x))
        kinds.add(str(made.x[tuple(at)]))
        y = expected(made, MODELS["float32"]).y
        _, _, h, w = at
        coloured = {(oh, ow) for oh in range(g.OH) for ow in range(g.OW) if 0 <= h + 1 - oh < 3 and 0 <= w + 1 - ow < 2}
        for o in range(2):
            assert {tuple(spot) for spot in np.argwhere(~np.isfinite(y[0, o])).tolist()} == coloured
    assert kinds == {"nan", "inf", "-inf"}


def test_subnormals_are_pixels_or_products() -> None:
    g = conv2d_geometry((1, 2, 4, 4), (2, 2, 2, 2))
    smallest_normal = np.finfo("float32").smallest_normal
    kinds = set()
    for seed in range(12):
        made = case("subnormals", g, seed=seed).call
        y = expected(made, MODELS["float32"]).y
        assert (np.abs(y) < smallest_normal).all()
        assert y.any()
        kinds.add(bool((np.abs(made.x) < smallest_normal).all()))
    assert kinds == {True, False}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_huge_sums_do_not_overflow(dtype: str) -> None:
    for geometry in MANY[:60]:
        made = case("huge", geometry, dtype).call
        y = expected(made, MODELS[dtype])
        assert not y.overflows.any()
        # Half of the range is left, a product is a quarter of its limit at least, and a sum has one more term than products.
        assert FEATURES["padding"](geometry) or not geometry.N or y.S.max() > float(np.finfo(dtype).max) / 64


def test_cancelling_sums_are_small() -> None:
    made = case("cancelling", conv2d_geometry((1, 8, 5, 5), (4, 8, 3, 3))).call
    result = expected(made, MODELS["float32"])
    assert np.median(np.abs(result.y) / result.S) < 1e-5


def test_signed_zeros_have_both_signs() -> None:
    x = case("signed zeros", conv2d_geometry((2, 4, 5, 5), (3, 4, 3, 3))).call.x
    zeros = x[x == 0]
    assert 0 < np.signbit(zeros).sum() < zeros.size < x.size


def test_a_case_shows_itself() -> None:
    geometry = conv2d_geometry((1, 4, 5, 6), (4, 2, 3, 3), stride=2, padding=((1, 0), (0, 0)), dilation=1, groups=2)
    assert str(case("ones", geometry)) == (
        "x (1, 4, 5, 6), weight (4, 2, 3, 3), stride=(2, 2), padding=((1, 0), (0, 0)), groups=2, probe ones, seed 0"
    )


def test_shrinking_ends_where_no_number_can_be_smaller() -> None:
    large = conv2d_geometry(
        (3, 12, 19, 18), (9, 4, 5, 4), stride=(3, 2), padding=((2, 1), (0, 3)), dilation=(2, 1), groups=3
    )
    assert shrunk(large, lambda g: True, 5.0) == EDGES[0]
    small = shrunk(large, lambda g: g.padding[0][0] != g.padding[0][1] and g.groups == 2 and g.KH > 2, 5.0)
    assert (small.KH, small.groups, small.N, small.KW, small.stride, small.dilation) == (3, 2, 1, 1, (1, 1), (1, 1))
    assert min(small.padding[0]) == 0
    # A row of the image or a row of zeros: either will do for the window's third.
    assert small.H + sum(small.padding[0]) == 3


def test_shrinking_stops_in_time() -> None:
    assert shrunk(EDGES[-1], lambda g: True, -1.0) == EDGES[-1]
