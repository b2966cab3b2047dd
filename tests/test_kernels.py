"""Every kernel in a few register tiles: right, and the same bits whatever threads, batch split, memory layout, tile, method or JIT."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import npconv as nc
from bounds import tap_by_tap
from cases import CASES, Array, Case, bits, full_mantissa, full_range, small_integers, specials
from npconv.arrays import result_dtypes
from npconv.kernels.targets import target
from npconv.kernels.work import LINE
from npconv.layouts import NotServedError, lay_out
from npconv.plan import Conv2dPlan
from npconv.workspace import Workspace
from processes import COMPILED, EVERY_TILE, INTERPRETED, JIT, compiled_kernels, run_python

# The tiles that the ordinary run keeps to.
DENSE_TILE = (3, 2)
PLANES_TILE = (1, 1)
# The method "depthwise" has two kernels, and its tile says which: planes and vectors of pixels, or pixels of channels.
CHANNELS_TILE = (4,)
KERNELS = {"depthwise": ("depthwise", PLANES_TILE), "channelwise": ("depthwise", CHANNELS_TILE)}
BANDS = (1, 2, 3, 100) if JIT else (3, 100)
MOST_PRODUCTS = 100_000 if JIT else 6_000

# Several tiles, bands and images each, few of them full; in the depthwise ones two or three rows of a tile.
MANY_TILES = {
    "padded": Case((2, 2, 6, 21), (7, 2, 3, 3), padding=((1, 2), (2, 0))),
    "from the image itself": Case((1, 2, 9, 30), (5, 2, 3, 2)),
    "strides": Case((2, 1, 10, 45), (4, 1, 3, 4), stride=(2, 3), padding=(1, 2)),
    "dilations": Case((1, 2, 8, 37), (4, 2, 3, 3), dilation=(3, 2), padding=(3, 1)),
    "groups": Case((1, 6, 5, 17), (12, 2, 2, 3), groups=3, padding=1),
    "pointwise": Case((2, 5, 7, 9), (17, 5, 1, 1)),
    "channels beyond one panel": Case((1, 31, 3, 13), (4, 31, 3, 3), padding=1),
    "depthwise": Case((1, 4, 6, 35), (4, 1, 3, 3), groups=4, padding=1),
    "depthwise, dilated": Case((2, 2, 9, 23), (2, 1, 3, 4), groups=2, dilation=(2, 3), padding=(3, 4)),
    "depthwise, stride 2": Case((2, 2, 7, 70), (2, 1, 3, 3), groups=2, stride=2, padding=1),
    "depthwise, strides 2 and 3": Case((1, 2, 9, 80), (2, 1, 4, 3), groups=2, stride=(2, 3), padding=(2, 1)),
    "filters that fill vectors": Case((1, 1, 2, 5), (32, 1, 1, 2)),
    "channels that fill vectors": Case((1, 16, 3, 5), (16, 1, 2, 2), groups=16),
    "zeros wider than a vector": Case((1, 1, 2, 3), (2, 1, 1, 2), padding=((0, 0), (20, 0))),
    "depthwise, multiplier 3": Case((1, 3, 5, 19), (9, 1, 3, 5), groups=3, padding=2),
}
EVERY_CASE = {name: case for name, case in CASES.items() if case.products <= MOST_PRODUCTS} | MANY_TILES
OFTEN = [*MANY_TILES] if JIT else ["padded", "strides", "depthwise", "depthwise, dilated", "depthwise, strides 2 and 3"]


def window_of(case: Case) -> tuple[int, int]:
    """Return how many rows the depthwise tile of a case has, and the step of its loads; (0, 0) where it has none."""
    if "depthwise" not in case.methods():
        return 0, 0
    tile = lay_out(case.geometry, np.dtype("float32"), "depthwise", tile=PLANES_TILE).tile
    return tile.rows, tile.step


# The depthwise kernels that are compiled here: three rows, and two rows with a stride of 2 or more.
WINDOWS = [(3, 1), (2, 2), (2, 0)]
METHODS = {
    name: (
        *("im2col", "direct", "filterwise"),
        *["depthwise"] * (window_of(case) in WINDOWS),
        *["channelwise"] * (case.geometry.group_channels == 1),
    )
    for name, case in EVERY_CASE.items()
}

each_case = pytest.mark.parametrize("name", EVERY_CASE)
each_of_many_tiles = pytest.mark.parametrize("name", OFTEN)

Operands = tuple[Array, Array, Array | None]


def dense_tiles() -> list[tuple[int, int]]:
    """Return every tile, or the largest; without the JIT the smallest, which is the quickest."""
    tiles = list(target().tiles())
    if EVERY_TILE:
        return tiles
    return [max(tiles, key=lambda tile: tile[0] * tile[1]) if JIT else tiles[0]]


def planes_tiles(rows: int) -> list[tuple[int, int]]:
    """Return every (planes, vectors) that fit with so many rows, or one beside the usual one."""
    every = [(p, v) for p in (1, 2, 4) for v in range(1, 9) if target().fits(rows, p * v)]
    return every if EVERY_TILE else [(2, 1)]


def plan_of(
    case: Case,
    operands: Operands,
    method: str,
    tile: tuple[int, ...] | None = None,
    pieces: int = 1,
    num_threads: int = 1,
) -> Conv2dPlan:
    """Return a plan that uses this tile, and threads however small the call is."""
    x, weight, bias = operands
    method, usual = KERNELS.get(method, (method, DENSE_TILE))
    tile = tile or usual
    dtypes = result_dtypes("test", x.dtype, weight.dtype)
    return Conv2dPlan(case.geometry, weight, bias, dtypes, method, num_threads, tile=tile, pieces=pieces)


def run(case: Case, operands: Operands, method: str, **how: Any) -> Array:
    """Return the result of one call, every element written by it."""
    plan = plan_of(case, operands, method, **how)
    out = np.full(case.geometry.y_shape, 77, plan.dtype)
    y: Array = plan(operands[0], out=out)
    return y


def dense(case: Case, dtype: str = "float32", biased: bool = True) -> Operands:
    """Return operands whose sums depend on the order of every step."""
    x, weight, bias = full_mantissa(case, dtype, seed=7)
    return x, weight, bias if biased else None


def special(case: Case, seed: int, biased: bool) -> Operands:
    """Return operands with signed zeros, infinities and NaN, on the image and at its padding."""
    x, weight, bias = (operand.astype(np.float32) for operand in specials(case, seed))
    return x, weight, bias if biased else None


@pytest.mark.kernels
@each_case
def test_every_kernel_is_right_and_counts_what_its_plan_predicts(name: str) -> None:
    case = EVERY_CASE[name]
    x, weight, bias = small_integers(case, "float32", seed=1)
    exact = tap_by_tap(x, weight, None, case.geometry)
    for method in ("naive", *METHODS[name]):
        for b in (None, bias):
            plan = plan_of(case, (x, weight, b), method)
            y, counts = plan(x, return_counts=True)
            np.testing.assert_array_equal(y, exact if b is None else exact + b[:, None, None], err_msg=method)
            assert counts == plan.counts, method


@pytest.mark.kernels
@pytest.mark.parametrize(("name", "method"), [("padded", "direct"), ("depthwise", "depthwise")])
def test_kernels_are_right_in_the_other_types(name: str, method: str) -> None:
    case = EVERY_CASE[name]
    for x, weight, bias in (full_range(case, "int64", seed=2), small_integers(case, "float64", seed=2)):
        exact = tap_by_tap(x, weight, bias, case.geometry)
        np.testing.assert_array_equal(run(case, (x, weight, bias), method), exact)


@pytest.mark.kernels
@each_case
def test_methods_agree_in_every_bit(name: str) -> None:
    case = EVERY_CASE[name]
    for operands in (dense(case), dense(case, biased=False), special(case, 1, True), special(case, 2, False)):
        assert len({bits(run(case, operands, method)) for method in METHODS[name]}) == 1


@pytest.mark.kernels
@each_of_many_tiles
def test_no_thread_and_no_band_changes_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = EVERY_CASE[name]
    operands = dense(case)
    expected = bits(run(case, operands, "direct"))
    for method in METHODS[name]:
        for bands in BANDS:
            for num_threads in (1, 2, 2, 2) if JIT else (2,):
                assert bits(run(case, operands, method, pieces=bands, num_threads=num_threads)) == expected

    def last_thread_first(task: Callable[[int, int], None], num_threads: int, _: object) -> None:
        for thread in reversed(range(num_threads)):
            task(thread, 0)

    monkeypatch.setattr("npconv.workspace.share", last_thread_first)
    for method in METHODS[name]:
        plan = plan_of(case, operands, method, pieces=3, num_threads=3)
        y, counts = plan(operands[0], return_counts=True)
        assert bits(y) == expected
        assert counts == plan.counts


@pytest.mark.kernels
def test_naive_too_is_the_same_in_every_thread() -> None:
    case = CASES["batch of five"]
    operands = dense(case)
    assert bits(run(case, operands, "naive")) == bits(run(case, operands, "naive", num_threads=2))


@pytest.mark.kernels
@each_of_many_tiles
def test_no_split_of_the_batch_changes_a_bit(name: str) -> None:
    case = replace(EVERY_CASE[name], x_shape=(4, *EVERY_CASE[name].x_shape[1:]))
    x, weight, bias = dense(case)
    for method in METHODS[name]:
        whole = run(case, (x, weight, bias), method)
        for stops in ((1, 2, 3), (3,)):
            parts = []
            for part in np.split(x, stops):
                part_case = replace(case, x_shape=(len(part), *case.x_shape[1:]))
                parts.append(run(part_case, (part, weight, bias), method))
            assert bits(np.concatenate(parts)) == bits(whole)


def layouts_of(values: Array) -> dict[str, Array]:
    """Return the same values in every layout that NumPy has."""
    every_second = np.zeros([2 * n for n in values.shape], values.dtype)[(slice(None, None, 2),) * values.ndim]
    every_second[...] = values
    backwards = np.ascontiguousarray(np.flip(values))
    unaligned = np.zeros(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(values.shape)
    unaligned[...] = values
    read_only = values.copy()
    read_only.flags.writeable = False
    return {
        "Fortran order": np.asfortranarray(values),
        "negative strides": np.flip(backwards),
        "every second element": every_second,
        "unaligned": unaligned,
        "big-endian": values.astype(values.dtype.newbyteorder(">")),
        "read-only": read_only,
    }


@pytest.mark.kernels
@pytest.mark.parametrize("name", ["four paddings", "even kernel", "depthwise, multiplier 3"])
def test_no_memory_layout_changes_a_bit(name: str) -> None:
    case = EVERY_CASE[name]
    x, weight, bias = dense(case)
    assert bias is not None
    expected = bits(run(case, (x, weight, bias), "direct"))
    layouts = [layouts_of(operand) for operand in (x, weight, bias)]
    for method in METHODS[name]:
        for layout in layouts[0]:
            for operands in ((layouts[0][layout], weight, bias), (x, layouts[1][layout], layouts[2][layout])):
                before = [operand.tobytes() for operand in operands]
                assert bits(run(case, operands, method)) == expected, layout
                assert [operand.tobytes() for operand in operands] == before
    row: Array = np.random.default_rng(1).standard_normal(x.shape[3:]).astype(np.float32)
    broadcast: Array = np.broadcast_to(row, x.shape)
    for method in METHODS[name]:
        y = run(case, (broadcast, weight, bias), method)
        assert bits(y) == bits(run(case, (broadcast.copy(), weight, bias), "direct"))


@pytest.mark.kernels
@each_of_many_tiles
def test_no_tile_changes_a_bit(name: str) -> None:
    case = EVERY_CASE[name]
    operands = dense(case, biased=name != "padded")
    expected = bits(run(case, operands, "direct"))
    for tile in dense_tiles():
        for method in ("direct", "im2col", "filterwise"):
            assert bits(run(case, operands, method, tile=tile)) == expected, (method, tile)
    if "depthwise" in METHODS[name] and window_of(case) == (3, 1):
        one_filter = case.geometry.group_filters == 1
        for planes, vectors in planes_tiles(3):
            if planes == 1 or (one_filter and case.geometry.C % planes == 0):
                y = run(case, operands, "depthwise", tile=(planes, vectors))
                assert bits(y) == expected, (planes, vectors)


@pytest.mark.parametrize(("channels", "filters"), [(6, 6), (4, 8)])
def test_a_tile_of_planes_that_does_not_fit_is_refused(channels: int, filters: int) -> None:
    case = Case((1, channels, 5, 9), (filters, 1, 3, 3), groups=channels, padding=1)
    with pytest.raises(NotServedError, match=f"4 planes .* {channels} channels"):
        plan_of(case, dense(case), "depthwise", tile=(4, 1))


@pytest.mark.kernels
@each_of_many_tiles
def test_a_tail_of_any_width_changes_no_bit_and_is_predicted(name: str) -> None:
    case = EVERY_CASE[name]
    operands = dense(case)
    expected = bits(run(case, operands, "direct"))
    for method, tail in product(("direct", "im2col"), (1, 2)):
        plan = plan_of(case, operands, method, tile=(*DENSE_TILE, tail))
        y, counts = plan(operands[0], return_counts=True)
        assert bits(y) == expected, (method, tail)
        assert counts == plan.counts, (method, tail)


@pytest.mark.kernels
@pytest.mark.parametrize(("near", "deep"), [(1, 1), (1, 10_000), (10_000, 1), (2**20, 2**20)])
@pytest.mark.parametrize("name", ["channels beyond one panel", "pointwise"])
def test_no_depth_of_a_panel_changes_a_bit_and_no_place_that_is_fetched_ahead(
    name: str, near: int, deep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = EVERY_CASE[name]
    operands = dense(case)
    expected = bits(run(case, operands, "direct"))
    monkeypatch.setattr("npconv.layouts.im2col.NEAR_PANEL_BYTES", near)
    monkeypatch.setattr("npconv.layouts.im2col.FAR_PANEL_BYTES", deep)
    for largest in (0, 2**30):
        monkeypatch.setattr("npconv.layouts.im2col.NEAR_BYTES", largest)
        plan = plan_of(case, operands, "im2col")
        y, counts = plan(operands[0], return_counts=True)
        assert bits(y) == expected
        assert counts == plan.counts


@pytest.mark.kernels
@pytest.mark.parametrize("tile", [(2, 1), (3, 2, 1)])
@pytest.mark.parametrize("abreast", [2, 8])
@pytest.mark.parametrize("name", ["channels beyond one panel", "pointwise", "padded", "groups"])
def test_panels_that_are_packed_together_change_no_bit(
    name: str, abreast: int, tile: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = EVERY_CASE[name]
    operands = dense(case)
    monkeypatch.setattr("npconv.layouts.im2col.NEAR_IMAGE_BYTES", -1)
    monkeypatch.setattr("npconv.layouts.im2col.MOST_ABREAST", abreast)
    plan, alone = (
        plan_of(case, operands, "im2col", tile=tile),
        plan_of(case, operands, "im2col", tile=tile, pieces=2**20),
    )
    assert plan.layout.units <= alone.layout.units
    y, counts = plan(operands[0], return_counts=True)
    assert bits(y) == bits(run(case, operands, "direct"))
    assert counts == plan.counts == alone.counts


@pytest.mark.kernels
@pytest.mark.parametrize("weights", [1, 300, 2**20])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", ["pointwise", "padded", "strides"])
def test_no_depth_of_a_tile_of_filters_changes_a_bit(
    name: str, weights: int, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = EVERY_CASE[name]
    operands = dense(case, biased=biased)
    monkeypatch.setattr("npconv.layouts.filterwise.WEIGHTS_BYTES", weights)
    plan = plan_of(case, operands, "filterwise")
    y, counts = plan(operands[0], return_counts=True)
    assert bits(y) == bits(run(case, operands, "direct"))
    assert counts == plan.counts


@pytest.mark.kernels
@pytest.mark.skipif(not JIT, reason="NumPy would convert them")
@pytest.mark.parametrize("position", range(4))
def test_a_kernel_refuses_elements_of_another_size(position: int) -> None:
    case = EVERY_CASE["pointwise"]
    x, weight, _ = dense(case)
    layout = plan_of(case, (x, weight, None), "direct").layout
    operands = [x, layout.pack(weight), np.empty(0, x.dtype), np.zeros(case.geometry.y_shape, x.dtype)]
    workspace = Workspace.of(1, layout.scratch, layout.dtype)
    workspace.run(layout.entry, tuple(operands))
    assert bits(operands[-1]) == bits(run(case, (x, weight, None), "direct"))
    operands[position] = operands[position].astype(np.float64)
    with pytest.raises(TypeError, match="a kernel was given other arrays than it was compiled for"):
        workspace.run(layout.entry, tuple(operands))


@pytest.mark.kernels
def test_a_kernel_refuses_a_result_that_lies_among_what_it_reads() -> None:
    case = EVERY_CASE["pointwise"]
    x, weight, _ = dense(case)
    layout = plan_of(case, (x, weight, None), "direct").layout
    room = np.zeros(x.size + case.geometry.P, x.dtype)
    room[: x.size] = x.reshape(-1)
    packed, none = layout.pack(weight), np.empty(0, x.dtype)
    workspace = Workspace.of(1, layout.scratch, layout.dtype)
    workspace.run(layout.entry, (room[: x.size], packed, none, room[x.size :]))
    assert bits(room[x.size :].reshape(case.geometry.y_shape)) == bits(run(case, (x, weight, None), "direct"))
    with pytest.raises(ValueError, match="a kernel was given a result to write that lies among what it reads"):
        workspace.run(layout.entry, (room[: x.size], packed, none, room[x.size - 1 : -1]))


# Output rows and columns, the stride, and the pixels of a tile and of the last one: a part of a row, some rows that all are tiled by, and
# rows with others left.
PIXELS_OF_TILES = {
    "a tail": (3, 11, 1, 4, 3),
    "a tail that is wider than what is left": (3, 10, 1, 4, 3),
    "a tail that is too narrow": (2, 7, 1, 4, 2),
    "two rows": (4, 3, 1, 6, 6),
    "two rows, and one is left": (5, 3, 1, 6, 3),
    "three rows, and two are left": (5, 2, 2, 6, 4),
    "two rows and no tail for the last": (5, 3, 1, 6, 6),
    "a stride that the tile does not know": (4, 3, 5, 6, 6),
}


@pytest.mark.kernels
@pytest.mark.parametrize("weights", [300, 2**20])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("name", PIXELS_OF_TILES)
def test_tiles_of_rows_and_tails_have_the_same_bits(
    name: str, padding: int, weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    OH, OW, stride, pixels, tail = PIXELS_OF_TILES[name]
    H, W = ((outputs - 1) * stride + 3 - 2 * padding for outputs in (OH, OW))
    monkeypatch.setattr("npconv.layouts.filterwise.WEIGHTS_BYTES", weights)
    for method, channels, groups in (("filterwise", 4, 1), ("depthwise", 19, 19)):
        shape = 19, channels // groups, 3, 3
        case = Case((2, channels, H, W), shape, stride=(stride, stride), padding=padding, groups=groups)
        operands = dense(case)
        expected = run(case, operands, "direct")
        for pieces in (1, 3):
            plan = plan_of(case, operands, method, (pixels, 1, tail), pieces)
            y, counts = plan(operands[0], return_counts=True)
            assert bits(y) == bits(expected)
            assert counts == plan.counts


@pytest.mark.kernels
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", ["dilations", "groups", "filters that fill vectors", "channels beyond one panel"])
def test_a_kernel_that_packs_the_weights_itself_has_the_same_bits(name: str, biased: bool) -> None:
    case = EVERY_CASE[name]
    operands = x, weight, bias = dense(case, biased=biased)
    dtypes = result_dtypes("test", x.dtype, weight.dtype)
    plan = Conv2dPlan(case.geometry, weight, bias, dtypes, "filterwise", 1, tile=DENSE_TILE, keeps=False)
    assert "packed at each call" in str(plan)
    y = np.full(case.geometry.y_shape, 77, plan.dtype)
    counts = plan.run(x, y, counted=True, weight=weight)
    assert bits(y) == bits(run(case, operands, "direct"))
    assert counts == plan_of(case, operands, "filterwise").counts


@pytest.mark.kernels
def test_float16_is_rounded_once_whatever_the_method() -> None:
    case = EVERY_CASE["depthwise"]
    x, weight, bias = full_mantissa(case, "float16", seed=7)
    wide = run(case, (x.astype(np.float32), weight.astype(np.float32), bias.astype(np.float32)), "direct")
    for method in METHODS["depthwise"]:
        assert bits(run(case, (x, weight, bias), method)) == bits(wide.astype(np.float16))


@pytest.mark.kernels
def test_channels_change_places() -> None:
    for dtype in ("int8", "float16", "float32", "float64"):
        x = np.random.default_rng(0).integers(0, 100, (2, 6, 5, 13)).astype(dtype)
        for groups in (1, 2, 3, 6):
            y = nc.channel_shuffle(x, groups)
            expected = x.reshape(2, groups, 6 // groups, 5, 13).swapaxes(1, 2).reshape(x.shape)
            np.testing.assert_array_equal(y, expected, strict=True)
            np.testing.assert_array_equal(nc.channel_unshuffle(y, groups), x, strict=True)


@pytest.mark.kernels
@pytest.mark.parametrize("name", ["padded", "strides", "dilations", "no window meets the image", "pointwise"])
def test_windows_unfold_and_fold(name: str) -> None:
    case = EVERY_CASE[name]
    g = case.geometry
    options: dict[str, Any] = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation}
    x = small_integers(case, "float32", seed=3)[0]
    columns = nc.im2col(x, (g.KH, g.KW), **options)
    one_tap_each = np.eye(g.C * g.KH * g.KW, dtype=np.float32).reshape(-1, g.C, g.KH, g.KW)
    taps = tap_by_tap(x, one_tap_each, None, replace(g, O=len(one_tap_each), groups=1))
    np.testing.assert_array_equal(columns, taps.reshape(columns.shape))
    # The adjoint: <im2col(x), c> = <x, col2im(c)>.
    c = np.random.default_rng(4).integers(-8, 9, columns.shape)
    folded = nc.col2im(c, x.shape, (g.KH, g.KW), **options)
    assert (columns.astype(np.int64) * c).sum() == (x.astype(np.int64) * folded).sum()


def digests() -> dict[str, str]:
    """Return a hash of the result of every method on tiny convolutions: what must not depend on the JIT."""
    found = {}
    names = [name for name, case in EVERY_CASE.items() if case.products < 3_000]
    calls = [
        (name, method, kind, operands)
        for name in names
        for kind, operands in (("dense", dense(EVERY_CASE[name])), ("specials", special(EVERY_CASE[name], 3, False)))
        for method in ("naive", *METHODS[name])
    ]
    for name, method in (
        ("padded", "direct"),
        ("padded", "filterwise"),
        ("depthwise", "depthwise"),
        ("depthwise", "channelwise"),
    ):
        calls.append((name, method, "float64", dense(EVERY_CASE[name], "float64")))
        calls.append((name, method, "int64", full_range(EVERY_CASE[name], "int64", seed=5)))
    for name, method, kind, operands in calls:
        y = run(EVERY_CASE[name], operands, method)
        found[f"{name}, {method}, {kind}"] = hashlib.sha256(bits(y)).hexdigest()[:16]
    return found


@pytest.mark.kernels
def test_the_jit_changes_no_bit() -> None:
    interpreted = json.loads(
        run_python("import json, test_kernels as t; print(json.dumps(t.digests()))", **INTERPRETED)
    )
    assert len(interpreted) > 150
    assert interpreted == digests()


class Number:
    """A number without a value that counts its operations, in all and of the sum that it is."""

    mul = 0
    add = 0

    def __init__(self, products: int = 0, useful: int = 0, additions: int = 0) -> None:
        self.products, self.useful, self.additions = products, useful, additions

    def __mul__(self, other: object) -> "Number":
        Number.mul += 1
        return Number(1, int(isinstance(other, Number)))

    __rmul__ = __mul__

    def __add__(self, other: object) -> "Number":
        Number.add += 1
        # The plain zero of a sum that is thrown away.
        term = other if isinstance(other, Number) else Number()
        additions = self.additions + term.additions + 1
        return Number(self.products + term.products, self.useful + term.useful, additions)

    __radd__ = __add__


def numbers(shape: tuple[int, ...] | int) -> Array:
    """Return an array of such numbers."""
    array = np.empty(shape, object)
    for i in np.ndindex(array.shape):
        array[i] = Number()
    return array


def count_by_numbers() -> list[str]:
    """Run every kernel as plain Python over numbers that count; return what they and the tally disagree about."""
    wrong = []
    for name in MANY_TILES:
        case = EVERY_CASE[name]
        small = replace(case, x_shape=(1, *case.x_shape[1:]))
        for method in ("naive", *METHODS[name]):
            for biased in (False, True):
                wrong += disagreements(small, method, biased)
    return wrong


def disagreements(case: Case, method: str, biased: bool) -> list[str]:
    """Compare one kernel's tally with the numbers: executed, thrown away, useful."""
    g = case.geometry
    # Python objects take the bytes of a float64, so as many lanes.
    name, tile = KERNELS.get(method, (method, DENSE_TILE))
    layout = lay_out(g, np.dtype("float64"), name, tile=tile)
    packed = layout.pack(numbers(g.weight_shape))
    # Rows of a tile to spare get plain zeros as weights: as numbers they count as any other.
    weight = numbers(packed.size)
    bias = numbers(layout.pack_bias(numbers(g.O)).size) if biased else np.empty(0, object)
    y, counters, tally = np.empty(g.P, object), np.zeros(2 * LINE, np.int64), np.zeros(LINE, np.int64)
    scratch = [np.empty(layout.scratch, object)] * 2 if layout.scratch else []
    Number.mul = Number.add = 0
    layout.kernel(*layout.head, numbers(g.N * g.C * g.H * g.W), weight, bias, y, counters, tally, *scratch)
    counted = (
        Number.mul,
        Number.add,
        *(sum(getattr(sum_, field) for sum_ in y) for field in ("products", "additions")),
    )
    tallied = (tally[0], tally[1], tally[0] - tally[2], tally[1] - tally[3])
    useful = sum(sum_.useful for sum_ in y)
    closed = nc.count_conv2d(case.x_shape, case.weight_shape, bias=biased, **case.options)
    verdicts = {
        "executed and kept": (counted, tuple(int(n) for n in tallied)),
        "useful": (useful, closed.mul),
        "dense": (counted[2:], (closed.dense_mul, closed.dense_add)),
    }
    return [f"{case} {method} {biased}: {what} {a} {b}" for what, (a, b) in verdicts.items() if a != b]


@pytest.mark.kernels
def test_numbers_that_count_agree_with_the_tally() -> None:
    assert (
        json.loads(run_python("import json, test_kernels as t; print(json.dumps(t.count_by_numbers()))", **INTERPRETED))
        == []
    )


@pytest.mark.kernels
@pytest.mark.parametrize("stride", [1, 2])
def test_vectors_inside_a_row_need_no_sets_of_lanes(stride: int) -> None:
    lanes = target().lanes(4)
    case = Case((1, 1, 5, 3 * lanes * stride - 1), (1, 1, 3, 3), groups=1, stride=stride, padding=1)
    operands = dense(case)
    assert plan_of(case, operands, "depthwise", tile=(1, 3)).layout.tile.edge == 1
    assert bits(run(case, operands, "depthwise", tile=(1, 3))) == bits(run(case, operands, "im2col"))


@pytest.mark.kernels
def test_bands_that_lie_in_the_padding_are_zeros() -> None:
    case = Case((1, 1, 4, 9), (2, 1, 2, 2), stride=(1, 2), padding=((9, 0), (1, 0)))
    operands = dense(case)
    assert bits(run(case, operands, "direct", pieces=6)) == bits(run(case, operands, "im2col"))


def specialisations() -> dict[str, int]:
    """Call each method in every layout of x and out, and return how many forms of its kernel were compiled."""
    case = EVERY_CASE["depthwise"]
    x, weight, bias = dense(case)
    found = {}
    for method in METHODS["depthwise"]:
        plan = plan_of(case, (x, weight, bias), method, pieces=2, num_threads=2)
        for layout in layouts_of(x).values():
            plan(layout, return_counts=True)
        plan_of(case, (x, weight, None), method)(x)
        kernel: Any = plan.layout.kernel
        found[method] = len(kernel.signatures)
    return found


@compiled_kernels
def test_each_kernel_is_compiled_once_for_a_tile_and_a_type() -> None:
    found = json.loads(run_python("import json, test_kernels as t; print(json.dumps(t.specialisations()))", **COMPILED))
    assert found == {"im2col": 1, "direct": 1, "filterwise": 1, "depthwise": 1, "channelwise": 1}
