"""Run in a process of its own: kernels on arrays between two pages that nobody may touch, so that a step outside ends the process."""

import ctypes
import mmap
import random
import sys
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

import npconv as nc
from bounds import tap_by_tap
from npconv import rearrange
from npconv.geometry import Geometry, conv2d_geometry
from npconv.kernels.entry import Entry, written_down
from npconv.kernels.packing import pack_filters
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.kernels.work import LINE
from npconv.layouts import Layout, NotServedError
from npconv.layouts.layout import table
from npconv.layouts.separable import one_pass, separable_layout
from npconv.plan import Conv2dPlan

Array = np.ndarray[Any, np.dtype[Any]]

# Few tiles, since each takes a second to compile: what is under test is their edges.
DENSE_TILE = (3, 2)
# Planes and vectors of the depthwise tile: two planes where the kernel has three rows, an inner vector where the stride is 2.
PLANES_TILES = [(1, 1), (2, 1), (1, 3)]
# Pixels of a depthwise tile whose lanes are channels.
CHANNELS_TILE = (4,)
# Pixels and vectors of a tile whose lanes are filters: a small one leaves little room behind the planes.
FILTERS_TILES = [(1, 1), (3, 2), (3, 1, 1)]
# Tiles of whole rows, by the columns of outputs.
WHOLE_ROWS = {1: [(3, 1, 1), (3, 1, 3)], 3: [(6, 1, 3), (6, 1, 6)]}
# What has stepped outside before: the zeros behind the last row, as many as before it,
LEFT = conv2d_geometry((1, 2, 3, 7), (3, 2, 1, 2), padding=((0, 0), (12, 0)))
# and the last lane of an inner vector on the last pixel.
KNOWN = conv2d_geometry((1, 2, 5, 65), (2, 1, 3, 5), stride=2, padding=(1, 2), groups=2)

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded(array: Array, *, at_end: bool) -> Array:
    """Return a copy that ends where a forbidden page begins, or begins where one ends."""
    page, pages = mmap.PAGESIZE, max(1, -(-array.nbytes // mmap.PAGESIZE))
    room = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    for guard in (start, start + (pages + 1) * page):
        assert libc.mprotect(guard, page, 0) == 0
    copy = np.frombuffer(room, array.dtype, array.size, page + (pages * page - array.nbytes if at_end else 0))
    copy[:] = array.reshape(-1)
    copy.flags.writeable = array.flags.writeable
    return copy


def read_only(array: Array) -> Array:
    """Return a view that kernels take for an input."""
    view = array.view()
    view.flags.writeable = False
    return view


def convolve(geometry: Geometry, method: str, draw: random.Random, *, at_end: bool) -> None:
    """Run one method with every array guarded, and compare."""
    rng, dtype = np.random.default_rng(0), np.dtype(np.float32)
    x, weight = (rng.integers(-3, 4, shape).astype(dtype) for shape in (geometry.x_shape, geometry.weight_shape))
    bias = rng.integers(-3, 4, geometry.O).astype(dtype) if draw.random() < 0.5 else None
    tile: tuple[int, ...] = DENSE_TILE
    if method == "filterwise":
        tile = draw.choice([*FILTERS_TILES, *WHOLE_ROWS.get(geometry.OW, [])])
    elif method == "channelwise":
        method, tile = "depthwise", draw.choice([CHANNELS_TILE, *WHOLE_ROWS.get(geometry.OW, [])])
    elif method == "depthwise" and geometry.stride[1] == 2:
        tile = draw.choice(PLANES_TILES[::2])
    elif method == "depthwise":
        several = (geometry.KH, geometry.stride, geometry.group_filters, geometry.C % 2) == (3, (1, 1), 1, 0)
        tile = draw.choice(PLANES_TILES[:2]) if several else PLANES_TILES[0]
    keeps, pieces = draw.choice([True, False]), draw.choice([1, 3])
    plan = Conv2dPlan(geometry, weight, bias, (dtype, dtype), method, 1, tile=tile, pieces=pieces, keeps=keeps)
    layout = plan.layout
    head = [read_only(guarded(part, at_end=at_end)) if isinstance(part, np.ndarray) else part for part in layout.head]
    inputs = [read_only(guarded(array, at_end=at_end)) for array in (x, plan._packed(weight), plan._terms)]
    y = guarded(np.full(geometry.P, np.nan, dtype), at_end=at_end)
    integers = [guarded(np.zeros(n, np.int64), at_end=at_end) for n in (2 * LINE, LINE)]
    # What scratch held before must not matter.
    scratch = [guarded(np.full(layout.scratch, np.nan, dtype), at_end=at_end)] if layout.scratch else []
    run(layout, head, (*inputs, y), (*integers, *scratch, *(read_only(array) for array in scratch)))
    expected = tap_by_tap(x, weight, bias, geometry)
    assert np.array_equal(y.reshape(expected.shape), expected), (geometry, method)


def run(layout: Layout, head: list[Any], operands: tuple[Array, ...], own: tuple[Array, ...]) -> None:
    """Enter a layout's kernel with other arrays than a plan would give it."""
    entry = Entry.of(layout.kernel, head, layout.dtype, reads=3, scratch=len(own) > 2)
    entry.enter((entry.job, written_down((own[0][:0], *own)), operands, operands))


def separate(draw: random.Random, *, at_end: bool) -> None:
    """Run both parts of a separable convolution in one pass with every array guarded, and compare."""
    stride, C = draw.choice([1, 2]), draw.choice([1, 3])
    first = conv2d_geometry(
        (draw.choice([1, 2]), C, draw.choice([3, 9]), draw.choice([17, 40])),
        (C, 1, 3, 3),
        stride=stride,
        padding=1,
        groups=C,
    )
    second = conv2d_geometry(first.y_shape, (draw.choice([1, 5]), C, 1, 1))
    rng, dtype = np.random.default_rng(0), np.dtype(np.float32)
    x, *weights = (
        rng.integers(-3, 4, shape).astype(dtype) for shape in (first.x_shape, first.weight_shape, second.weight_shape)
    )
    try:
        layout = separable_layout(one_pass(first, second, dtype, draw.choice([1, 2, 4])))
    except NotServedError:
        return
    head = [
        read_only(guarded(part, at_end=at_end)) if isinstance(part, np.ndarray) and part.size else part
        for part in layout.head
    ]
    inputs = [read_only(guarded(array, at_end=at_end)) for array in (x, layout.pack(*weights))]
    y, scratch = (guarded(np.full(n, np.nan, dtype), at_end=at_end) for n in (second.P, layout.scratch))
    integers = [guarded(np.zeros(n, np.int64), at_end=at_end) for n in (2 * LINE, LINE)]
    run(layout, head, (*inputs, np.empty(0, dtype), y), (*integers, scratch, read_only(scratch)))
    between = tap_by_tap(x, weights[0], None, first)
    assert np.array_equal(y.reshape(second.y_shape), tap_by_tap(between, weights[1], None, second)), (first, second)


def move(geometry: Geometry, *, at_end: bool) -> None:
    """Unfold, fold and shuffle with every array guarded, and compare with what they do elsewhere."""
    x = np.random.default_rng(0).integers(-3, 4, geometry.x_shape).astype(np.float32)
    size = (geometry.KH, geometry.KW)
    options: dict[str, Any] = {"padding": geometry.padding, "stride": geometry.stride, "dilation": geometry.dilation}
    calls: list[Any] = [
        partial(nc.im2col, x, size, **options),
        partial(nc.col2im, nc.im2col(x, size, **options), x.shape, size, **options),
        partial(nc.channel_shuffle, x, geometry.groups),
    ]
    share_units = rearrange._share_units

    def between_pages(entry: Any, source: Array, target: Array, elements: int) -> list[int]:
        written = guarded(target, at_end=at_end)
        done = share_units(entry, guarded(source, at_end=at_end), written, elements)
        target[...] = written.reshape(target.shape)
        return done

    for call in calls:
        expected = call()
        rearrange._windows_entry.cache_clear()
        with mock.patch.multiple(
            rearrange, _share_units=between_pages, table=lambda values: guarded(table(values), at_end=at_end)
        ):
            assert np.array_equal(call(), expected)
        rearrange._windows_entry.cache_clear()


def pack(draw: random.Random, *, at_end: bool) -> None:
    """Pack the weights of a few filters with both arrays guarded, and compare."""
    groups, F, K, rows = (
        draw.choice([1, 2]),
        draw.choice([1, 3, 16, 40]),
        draw.choice([1, 9, 16, 33]),
        draw.choice([1, 6, 14, 16, 24, 32]),
    )
    blocks, lanes = -(-F // rows), target().lanes(4)
    weight = np.arange(groups * F * K, dtype=np.float32).reshape(groups, F, K)
    padded = np.zeros((groups, blocks * rows, K), np.float32)
    padded[:, :F] = weight
    packed = guarded(np.full(padded.size, np.nan, np.float32), at_end=at_end)
    sizes = (groups, blocks, rows, F, K)
    pack_filters(RegisterTile(lanes, 1, lanes), sizes, read_only(guarded(weight, at_end=at_end)), packed)
    assert np.array_equal(packed, padded.reshape(groups, blocks, rows, K).swapaxes(2, 3).reshape(-1)), sizes


def random_geometry(draw: random.Random) -> Geometry:
    """Return a geometry whose rows end a little before, at and after the end of a vector."""
    groups, C, F = draw.choice([1, 1, 2, 3, 4]), draw.choice([1, 1, 1, 2, 3]), draw.choice([1, 1, 2, 3, 5])
    kernel = (draw.choice([1, 2, 3, 5]), draw.choice([1, 2, 3, 5]))
    stride, dilation = (draw.choice([1, 2, 3]), draw.choice([1, 2, 3])), (draw.choice([1, 2, 3]), draw.choice([1, 2]))
    padding = tuple((draw.choice([0, 1, 2, 6]), draw.choice([0, 1, 3])) for _ in range(2))
    if draw.random() < 0.3:
        padding = ((0, 0), (0, 0))
    outputs = (draw.choice([1, 2, 3, 7]), draw.choice([1, 3, 7, 15, 16, 17, 33, 97]))
    image = [
        max(1, (o - 1) * s + d * (k - 1) + 1 - sum(p))
        for o, s, d, k, p in zip(outputs, stride, dilation, kernel, padding, strict=True)
    ]
    return conv2d_geometry(
        (draw.choice([1, 2]), groups * C, *image),
        (groups * F, C, *kernel),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def served_by_depthwise(geometry: Geometry) -> Geometry:
    """Return a geometry like this one for which one of few depthwise kernels is compiled: two rows, or three at stride 1."""
    KH = 3 if geometry.stride[1] == 1 or geometry.stride[0] == 2 else 2
    stride = (2 if KH == 3 and geometry.stride[1] > 1 else 1, geometry.stride[1])
    depthwise = replace(geometry, C=geometry.groups, KH=KH, stride=stride, dilation=(1, geometry.dilation[1]))
    (top, bottom), (p, q) = geometry.padding
    H = max(1, KH - top - bottom, geometry.H)
    return conv2d_geometry(
        (geometry.N, depthwise.C, H, geometry.W),
        (geometry.O, 1, KH, geometry.KW),
        stride=stride,
        padding=((top, bottom), (p, q)),
        dilation=depthwise.dilation,
        groups=geometry.groups,
    )


def main(seeds: int) -> None:
    """Run every kernel on so many random geometries, its arrays flush with either guard."""
    for seed in range(8):
        convolve(KNOWN, "depthwise", random.Random(seed), at_end=True)
        convolve(LEFT, "filterwise", random.Random(seed), at_end=True)
    for seed in range(seeds):
        draw = random.Random(seed)
        geometry = random_geometry(draw)
        for at_end in (False, True):
            for method in ("naive", "im2col", "direct", "filterwise"):
                convolve(geometry, method, draw, at_end=at_end)
            for method in ("depthwise", "channelwise"):
                convolve(served_by_depthwise(geometry), method, draw, at_end=at_end)
            move(geometry, at_end=at_end)
            pack(draw, at_end=at_end)
            separate(draw, at_end=at_end)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    # A page that is touched ends the process, or the test could not fail.
    if sys.argv[2:] == ["step outside"]:
        ctypes.memset(guarded(np.zeros(3), at_end=True).ctypes.data, 0, 25)
    print("no step outside")
