"""A depthwise separable convolution made ready: in one pass over the image, or one convolution after the other."""

import functools
from typing import Any, TypeAlias

import numpy as np

from npconv.arrays import in_order
from npconv.choice import UNITS_PER_THREAD, choose, workspaces_of
from npconv.counts import OpCount, conv2d_counts
from npconv.geometry import Geometry
from npconv.layouts import Layout, NotServedError
from npconv.layouts.separable import OnePass, one_pass, separable_layout
from npconv.plan import make_plan
from npconv.reuse import new_result
from npconv.useful import useful

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Geometries: TypeAlias = tuple[Geometry, Geometry]

# Cycles to write an output of the depthwise part where the pointwise part reads it again, beyond what that takes within the cache. Fitted
# to the layers of MobileNetV1.
CYCLES_OF_AN_ELEMENT = 1


@functools.lru_cache(maxsize=128)
def choose_pass(geometries: Geometries, dtype: np.dtype[Any], num_threads: int) -> tuple[OnePass, Layout] | None:
    """Return how to do both in one pass, or None if two calls are estimated to take less time."""
    depthwise, pointwise = geometries
    if not depthwise.N:
        return None
    between = depthwise.P * CYCLES_OF_AN_ELEMENT / num_threads
    two = between + sum(choose(g, dtype, "auto", num_threads)[0].cycles_of(num_threads) for g in geometries)
    try:
        ways = [
            one_pass(depthwise, pointwise, dtype, units * num_threads)
            for units in (UNITS_PER_THREAD if num_threads > 1 else (1,))
        ]
    except NotServedError:
        return None
    laid_out = [(way, separable_layout(way)) for way in ways]
    best = min(laid_out, key=lambda way: way[1].cycles_of(num_threads))
    return best if best[1].cycles_of(num_threads) < two else None


class SeparablePlan:
    """Both convolutions with their weights packed; called by `separable_conv2d`.

    Where types allow it and the estimates say so, one pass computes both, and what lies between is never whole. Its bits are those of two
    calls.

    Attributes
    ----------
    geometry : Geometry
        Shapes and options of the pointwise part.
    y_shape : tuple of int
        Shape of the result.
    dtype : numpy.dtype
        Type of the result.
    method : str
        "separable", or the methods of two calls.
    tiles : list of RegisterTile
        The tiles of both parts.
    keeps : bool
        Whether it keeps its pointwise weights; if not, each `run` is given them.
    counts : OpCount
        What a call will count, predicted.
    """

    def __init__(
        self, operation: str, geometries: Geometries, weights: tuple[Array, Array], bias: Array | None,
        dtypes: tuple[np.dtype[Any], np.dtype[Any]], num_threads: int, *, keeps: bool = True,
    ) -> None:  # fmt: skip
        self._operation, self._geometries = operation, geometries
        self.geometry = geometries[1]
        self.y_shape = self.geometry.y_shape
        self.dtype, accumulator = dtypes
        # float16 is rounded between the two, which one pass does not do.
        self._pass = choose_pass(geometries, accumulator, num_threads) if dtypes[0] == dtypes[1] else None
        self._num_threads = num_threads
        self._biased = bias is not None
        if self._pass:
            way, layout = self._pass
            self.method = layout.method
            self._workspaces = workspaces_of(layout, min(num_threads, layout.units))
            self.tiles = [layout.tile, way.tiling.tile(way.tiling.vectors)]
            self._weight = in_order(
                layout.pack(*(weight.astype(accumulator, copy=False) for weight in weights)), accumulator
            )
            terms = np.empty(0, accumulator) if bias is None else bias.astype(accumulator, copy=False)
            self._terms = in_order(layout.pack_bias(terms), accumulator)
            self.keeps = True
        else:
            first = make_plan(operation, geometries[0], weights[0], None, dtypes, "auto", num_threads)
            last = make_plan(operation, geometries[1], weights[1], bias, dtypes, "auto", num_threads, keeps=keeps)
            self._parts = first, last
            self.keeps = last.keeps
            self.method = ", ".join(plan.method for plan in self._parts)
            self.tiles = [plan.layout.tile for plan in self._parts]

    def run(self, x: Array, y: Array, *, counted: bool, pointwise: Array | None = None) -> OpCount | None:
        """Convolve an array that has been checked into one that has; return what was executed if that is `counted`.

        A plan that does not keep its pointwise weights is given those of this call.
        """
        if self._pass is None:
            first, last = self._parts
            between = new_result(self._operation, "the depthwise result", self._geometries[0].y_shape, self.dtype)
            each = first.run(x, between, counted=counted), last.run(between, y, counted=counted, weight=pointwise)
            return sum(filter(None, each), OpCount()) if counted else None
        if not y.size:
            return OpCount() if counted else None
        way, layout = self._pass
        operands = in_order(x, self.dtype), self._weight, self._terms, y
        tallied = self._workspaces.run(layout.entry, operands, counted)
        return self._executed(way, tallied) if counted else None

    def _executed(self, way: OnePass, tallied: list[int]) -> OpCount:
        """Turn what the loops tallied into a record, as a plan of one convolution does."""
        mul, add, idle_mul, idle_add = tallied[:4]
        depthwise, pointwise = self._geometries
        window = way.window.tile
        met = useful(depthwise, self.dtype, "depthwise", window.planes, (window.planes, window.vectors), biased=False)
        met += useful(pointwise, self.dtype, "direct", 1, way.tiling.choice, biased=self._biased)
        return met + OpCount(
            padding_mul=mul - idle_mul - met.mul,
            padding_add=add - idle_add - met.add,
            idle_mul=idle_mul,
            idle_add=idle_add,
        )

    @functools.cached_property
    def counts(self) -> OpCount:
        """What a call will count: the closed forms, and what each part wastes."""
        if self._pass is None:
            return sum((plan.counts for plan in self._parts), OpCount())
        total = OpCount()
        for geometry, idle, biased in zip(self._geometries, self._pass[0].idle, (False, self._biased), strict=True):
            additions = geometry.K - (0 if biased else 1)
            total += conv2d_counts(geometry, biased) + OpCount(idle_mul=idle * geometry.K, idle_add=idle * additions)
        return total
