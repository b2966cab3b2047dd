"""Both parts of a separable convolution in one pass: the bits and the counts of two calls."""

from typing import Any

import numpy as np
import pytest

import npconv as nc
from npconv import separable
from npconv.geometry import Geometry, conv2d_geometry
from npconv.layouts import NotServedError
from npconv.layouts.separable import one_pass, separable_layout
from npconv.separable import SeparablePlan, choose_pass

# Shape of x, of the depthwise weights, number of filters, options: one and several bands, stripes and planes in a tile; multipliers.
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, dict[str, Any]]] = {
    "same": ((1, 4, 10, 20), (4, 1, 3, 3), 5, {"padding": 1}),
    "batch of two": ((2, 3, 8, 17), (3, 1, 3, 3), 1, {"padding": 1}),
    "stride": ((1, 3, 13, 40), (3, 1, 3, 3), 7, {"padding": ((0, 1), (0, 1)), "stride": 2}),
    "multiplier": ((1, 2, 6, 33), (6, 1, 3, 3), 4, {"padding": (1, 0)}),
    "rows that meet padding alone": ((1, 2, 3, 18), (2, 1, 3, 3), 9, {"padding": 4}),
}
each_case = pytest.mark.parametrize("name", CASES)


def geometries(name: str) -> tuple[Geometry, Geometry]:
    shape, weight, filters, options = CASES[name]
    first = conv2d_geometry(shape, weight, groups=shape[1], **options)
    return first, conv2d_geometry(first.y_shape, (filters, first.O, 1, 1))


def operands(name: str, dtype: str) -> list[Any]:
    draw = np.random.default_rng(len(name))
    first, second = geometries(name)
    shapes = (first.x_shape, first.weight_shape, second.weight_shape, (second.O,))
    if dtype == "int16":
        return [draw.integers(-9, 10, shape).astype(dtype) for shape in shapes]
    return [draw.standard_normal(shape).astype(dtype) for shape in shapes]


def in_one_pass(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    """Let every plan from now on compute both parts in one pass, in so many units of work."""

    def always(parts: tuple[Geometry, Geometry], dtype: np.dtype[Any], _: int) -> Any:
        way = one_pass(*parts, dtype, pieces)
        return way, separable_layout(way)

    monkeypatch.setattr(separable, "choose_pass", always)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("pieces", [1, 4])
@each_case
def test_one_pass_has_the_bits_and_the_counts_of_two_calls(
    name: str, pieces: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, depthwise, pointwise, bias = operands(name, dtype)
    options = CASES[name][3]
    before = nc.get_num_threads()
    try:
        for threads, terms in ((1, bias), (2, None)):
            nc.set_num_threads(threads)
            between, first = nc.depthwise_conv2d(x, depthwise, **options, return_counts=True)
            expected, second = nc.pointwise_conv2d(between, pointwise, terms, return_counts=True)
            with monkeypatch.context() as patch:
                in_one_pass(patch, pieces)
                with nc.counting() as block:
                    y, counts = nc.separable_conv2d(x, depthwise, pointwise, terms, **options, return_counts=True)
            assert block.records[0].method == "separable"
            assert y.tobytes() == expected.tobytes()
            both = first + second
            for field in ("mul", "add", "padding_mul", "padding_add"):
                assert getattr(counts, field) == getattr(both, field), field
            # The additions of a tile that is thrown away go with its products.
            assert counts.idle_mul >= counts.idle_add >= 0
            assert counts.moved == 0
    finally:
        nc.set_num_threads(before)


@pytest.mark.kernels
@pytest.mark.parametrize("passes", [1, 2])
@each_case
def test_a_plan_predicts_what_is_counted(name: str, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if passes == 1:
        in_one_pass(monkeypatch, 4)
    else:
        monkeypatch.setattr(separable, "choose_pass", lambda *_: None)
    parts = geometries(name)
    x, depthwise, pointwise, bias = operands(name, "float32")
    for terms in (bias, None):
        plan = SeparablePlan("test", parts, (depthwise, pointwise), terms, (x.dtype, x.dtype), 1)
        assert (plan.method == "separable") == (passes == 1)
        y = np.empty(parts[1].y_shape, np.float32)
        assert plan.run(x, y, counted=True) == plan.counts
        assert plan.run(x, y, counted=False) is None
        assert len(plan.tiles) == 2


@pytest.mark.kernels
def test_an_empty_batch_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    in_one_pass(monkeypatch, 1)
    x, depthwise, pointwise, _ = operands("same", "float32")
    plan = SeparablePlan("test", geometries("same"), (depthwise, pointwise), None, (x.dtype, x.dtype), 1)
    nothing = np.empty((0, 5, 10, 20), np.float32)
    assert plan.run(x[:0], nothing, counted=True) == nc.OpCount()
    assert plan.run(x[:0], nothing, counted=False) is None
    monkeypatch.undo()
    y, counts = nc.separable_conv2d(x[:0], depthwise, pointwise, padding=1, return_counts=True)
    assert (y.shape, counts) == ((0, 5, 10, 20), nc.OpCount())


@pytest.mark.kernels
def test_half_precision_is_rounded_between_the_parts() -> None:
    x, depthwise, pointwise, bias = operands("same", "float16")
    expected = nc.pointwise_conv2d(nc.depthwise_conv2d(x, depthwise, padding=1), pointwise, bias)
    with nc.counting() as block:
        y = nc.separable_conv2d(x, depthwise, pointwise, bias, padding=1)
    assert block.records[0].method != "separable"
    assert y.tobytes() == expected.tobytes()


def test_what_one_pass_cannot_serve_is_done_in_two_calls() -> None:
    dtype = np.dtype(np.float32)
    dilated = conv2d_geometry((1, 2, 9, 40), (2, 1, 3, 3), dilation=2, groups=2)
    narrow = conv2d_geometry((1, 2, 3, 3), (2, 1, 3, 3), groups=2)
    for first, reason in ((dilated, "this dilation does not"), (narrow, "shorter than a vector")):
        second = conv2d_geometry(first.y_shape, (4, 2, 1, 1))
        with pytest.raises(NotServedError, match=reason):
            one_pass(first, second, dtype)
        assert choose_pass((first, second), dtype, 1) is None
    none = conv2d_geometry((0, 2, 9, 40), (2, 1, 3, 3), groups=2)
    assert choose_pass((none, conv2d_geometry(none.y_shape, (4, 2, 1, 1))), dtype, 2) is None


def test_one_pass_is_chosen_where_what_lies_between_is_large() -> None:
    dtype = np.dtype(np.float32)
    for size, O, better in ((112, 64, True), (7, 1024, False)):
        first = conv2d_geometry((1, O // 2, size, size), (O // 2, 1, 3, 3), padding=1, groups=O // 2)
        second = conv2d_geometry(first.y_shape, (O, O // 2, 1, 1))
        for threads in (1, 2):
            assert (choose_pass((first, second), dtype, threads) is not None) == better


def test_planes_of_a_band_do_not_compete_for_one_place_in_the_cache() -> None:
    first = conv2d_geometry((1, 64, 8, 128), (64, 1, 3, 3), padding=1, groups=64)
    way = one_pass(first, conv2d_geometry(first.y_shape, (8, 64, 1, 1)), np.dtype(np.float32))
    assert way.columns * 4 % 4096 == 0
    assert way.plane * 4 % 4096 != 0


@pytest.mark.parametrize(("most", "kept"), [(2**20, 1), (0, 0)])
def test_small_workspaces_outlive_their_plan_and_large_ones_do_not(
    most: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npconv.choice.SPARE_BYTES", most)
    parts = (
        conv2d_geometry((1, 8, 20, 20), (8, 1, 3, 3), groups=8, padding=1),
        conv2d_geometry((1, 8, 20, 20), (8, 8, 1, 1)),
    )
    way = one_pass(*parts, np.dtype("float32"))
    layout = separable_layout(way)
    monkeypatch.setattr(separable, "choose_pass", lambda *_: (way, layout))
    ones = [np.ones(shape, np.float32) for shape in ((1, 8, 20, 20), (8, 1, 3, 3), (8, 8))]
    for _ in range(2):
        nc.separable_conv2d(*ones, padding=1)
    assert len(layout.spare) == kept
