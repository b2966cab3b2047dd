"""Run in a process of its own: kernels on arrays between two pages that nobody may touch, so that a step outside ends the process."""

import ctypes
import mmap
import random
import sys
from typing import Any

import numpy as np

from npconv.geometry import Geometry, conv2d_geometry
from npconv.plan import Conv2dPlan
from npconv.workspace import TALLIES

Array = np.ndarray[Any, np.dtype[Any]]

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


def run(geometry: Geometry, method: str, draw: random.Random, *, at_end: bool) -> None:
    """Run one method with every array guarded, and compare."""
    rng, dtype = np.random.default_rng(0), np.dtype(np.float32)
    x, weight = (rng.integers(-3, 4, shape).astype(dtype) for shape in (geometry.x_shape, geometry.weight_shape))
    bias = rng.integers(-3, 4, geometry.O).astype(dtype) if draw.random() < 0.5 else None
    # One tile for all dense geometries: what is under test is its edges, and each tile takes a second to compile.
    tile = (4, 3) if method in ("im2col", "direct") else None
    plan = Conv2dPlan(geometry, weight, bias, (dtype, dtype), method, 1, tile=tile, bands=draw.choice([1, 3]))
    layout, expected = plan.layout, plan(x)
    head = [read_only(guarded(part, at_end=at_end)) if isinstance(part, np.ndarray) else part for part in layout.head]
    inputs = [read_only(guarded(array, at_end=at_end)) for array in (x, plan._weight, plan._terms)]
    y = guarded(np.full(geometry.P, np.nan, dtype), at_end=at_end)
    integers = [guarded(np.zeros(n, np.int64), at_end=at_end) for n in (1, TALLIES)]
    scratch = [guarded(np.zeros(layout.scratch, dtype), at_end=at_end)] if layout.scratch else []
    layout.kernel(*head, *inputs, y, *integers, *scratch, *(read_only(array) for array in scratch))
    assert np.array_equal(y.reshape(expected.shape), expected), (geometry, method)


def random_geometry(draw: random.Random) -> Geometry:
    """Return a geometry whose rows end a little before, at and after the end of a vector."""
    groups, C, F = draw.choice([1, 1, 2, 3]), draw.choice([1, 1, 2, 3]), draw.choice([1, 2, 3, 5])
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


if __name__ == "__main__":
    for seed in range(int(sys.argv[1])):
        draw = random.Random(seed)
        geometry = random_geometry(draw)
        for method in ("naive", "im2col", "direct", "depthwise")[: 4 if geometry.group_channels == 1 else 3]:
            for at_end in (False, True):
                run(geometry, method, draw, at_end=at_end)
    # A page that is touched ends the process, or the test could not fail.
    if sys.argv[2:] == ["step outside"]:
        ctypes.memset(guarded(np.zeros(3), at_end=True).ctypes.data, 0, 25)
    print("no step outside")
