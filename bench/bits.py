"""That the bits of a result depend on nothing but the arithmetic: every layer computed in every way that there is, and compared."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import npconv as nc
import npconv.plan
from bench.layers import Array, Layer
from bench.progress import progress
from bench.report import Bar, Report, Table
from bench.separable import Pair, pairs
from bench.sets import NAMES
from bench.worker import working
from npconv.layouts import NotServedError
from npconv.plan import Conv2dPlan

# Tiles that are tried, until one serves that the plan did not choose: rows and vectors, or planes and vectors.
TILES = ((4, 2), (2, 1), (1, 1))
# Naive rounds each product.
METHODS = [method for method in npconv.plan.METHODS if method not in ("auto", "naive")]
THREADS = 2


class Bits:
    """Computes layers; lives in a worker."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def compare(self, layer: Layer, dtype: str) -> dict[str, bool]:
        """Return for each other way to compute a layer whether it gives the same bits as a plan on one thread."""
        x, weight = layer.arrays(dtype)
        plan = nc.plan_conv2d(x.shape, weight, **layer.options, num_threads=1)
        right = plan(x)
        return {way: np.array_equal(bits(run()), bits(right)) for way, run in other_ways(layer, x, weight, plan)}

    def compare_pair(self, pair: Pair, dtype: str) -> dict[str, bool]:
        """Return whether one call gives the same bits as two, on each number of threads."""
        x, depthwise, pointwise = pair.arrays(dtype)
        g = pair.depthwise.geometry
        options: dict[str, Any] = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation}
        nc.set_num_threads(1)
        right = nc.pointwise_conv2d(nc.depthwise_conv2d(x, depthwise, **options), pointwise)
        found = {}
        for n in (1, THREADS):
            nc.set_num_threads(n)
            fused = nc.separable_conv2d(x, depthwise, pointwise, **options)
            found[f"separable, {n} threads"] = np.array_equal(bits(fused), bits(right))
        return found


def other_ways(layer: Layer, x: Array, weight: Array, plan: Conv2dPlan) -> Iterator[tuple[str, Callable[[], Array]]]:
    """Yield each other way to compute a layer, by name."""
    g, options = layer.geometry, layer.options

    def planned(x: Array, **choices: Any) -> Array:
        y: Array = nc.plan_conv2d(x.shape, weight, **options, **choices)(x)
        return y

    yield f"{THREADS} threads", partial(planned, x, num_threads=THREADS)
    for method in METHODS:
        if method != plan.method and serves(layer, weight, method):
            yield method, partial(planned, x, method=method, num_threads=1)
    if other := other_tile(layer, weight, plan):
        yield "another tile", partial(other, x)
    yield "three pieces", partial(forced(layer, weight, plan.method, pieces=3), x)
    # Another image beside this one, and a batch that is taken apart.
    beside = np.concatenate([x, x[:, ::-1]])
    yield "in a batch", lambda: planned(beside, num_threads=THREADS)[: g.N]
    if g.groups > 1:

        def put_back() -> Array:
            y: Array = nc.channel_unshuffle(planned(x, shuffle_groups=g.groups, num_threads=1), g.groups)
            return y

        yield "shuffled in the store, and put back", put_back


def forced(layer: Layer, weight: Array, method: str, **choices: Any) -> Conv2dPlan:
    """Return a plan whose tile or pieces of work are not its own choice."""
    return Conv2dPlan(layer.geometry, weight, None, (weight.dtype, weight.dtype), method, 1, **choices)


def other_tile(layer: Layer, weight: Array, plan: Conv2dPlan) -> Conv2dPlan | None:
    """Return a plan of the same method with another tile."""
    for tile in TILES:
        if tile != plan.layout.choice[:2]:
            try:
                return forced(layer, weight, plan.method, tile=tile)
            except NotServedError:
                continue
    return None


def serves(layer: Layer, weight: Array, method: str) -> bool:
    """Return whether a method computes a layer."""
    try:
        nc.plan_conv2d(layer.geometry.x_shape, weight, **layer.options, method=method, num_threads=1)
    except ValueError:
        return False
    return True


def bits(array: Array) -> Array:
    """Return an array as integers, so that -0.0 is not 0.0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def measure(layers: Sequence[Layer], dtypes: Sequence[str], *, quick: bool) -> Report:
    """Compare every layer, and every depthwise separable pair of the networks; there is no time in it."""
    report = Report("bits")
    separable = list(dict.fromkeys(pair for name in NAMES for pair in pairs(name)))
    if quick:
        separable = sorted(separable, key=lambda pair: pair.depthwise.products)[:2]
    compared: dict[tuple[str, str], list[bool]] = {}
    work: list[tuple[str, Layer | Pair]] = [("compare", layer) for layer in layers]
    work += [("compare_pair", pair) for pair in separable]
    with working("bench.bits:Bits", THREADS) as worker, progress(len(dtypes) * len(work)) as step:
        for dtype, (method, what) in itertools.product(dtypes, work):
            step(f"bits: {what.name}, {dtype}")
            for way, same in worker.call(method, what, dtype).items():
                compared.setdefault((dtype, way), []).append(same)
                if not same:
                    report.faults.append(f"{what.name}, {dtype}: other bits, {way}")
    rows = [[dtype, way, str(len(of)), str(len(of) - sum(of))] for (dtype, way), of in compared.items()]
    report.tables.append(
        Table("Bits, beside a plan on one thread", ["dtype", "way", "compared", "other bits"], rows, words=2)
    )
    report.bars.append(bar(compared, judged=not quick))
    report.data["compared"] = [
        {"dtype": dtype, "way": way, "compared": len(of), "other_bits": len(of) - sum(of)}
        for (dtype, way), of in compared.items()
    ]
    return report


def bar(compared: Mapping[tuple[str, str], Sequence[bool]], *, judged: bool) -> Bar:
    """Return how many of all outputs have the bits that they should have."""
    found = [same for of in compared.values() for same in of]
    asked = "bits unchanged by threads, tile, method, pieces of work, batch and fusion, in every layer"
    return Bar(asked, f"{sum(found)} of {len(found)} outputs", all(found) if judged else None)
