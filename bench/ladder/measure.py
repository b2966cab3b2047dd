"""Runs every rung on one layer, holds each to the bound, and tells its share of the peak that was measured in the same rounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.intervals import interval
from bench.ladder import loops, tiles
from bench.ladder.picture import share_text
from bench.layers import Array, Layer
from bench.progress import progress
from bench.report import Report, Table
from bench.speed import Pace
from bench.timed import Timed, in_turns
from bench.worker import Worker, working
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target

LAYER = Layer.square(64, 64, 3, 56)
# Plain Python would take half a minute for the layer, so it computes one with a twelve-thousandth of the products.
TINY = Layer.square(4, 4, 3, 8)
DTYPE = "float32"
# Vectors that hide the latency of a multiply-add, 4 cycles at 2 a cycle.
VECTORS = 8

# Each rung, and what is changed from the one before.
RUNGS = {
    "in_python": "The definition as seven loops, in plain Python.",
    "compiled": "The same lines, compiled by Numba.",
    "without_questions": "The image is copied into a frame of zeros, so that no window reaches over it.",
    "neighbours_inside": "The loop over neighbouring outputs is the innermost; the compiler makes vectors of it.",
    "one_vector": "A vector of sums stays in a register from the first tap to the last.",
    "more_vectors": f"{VECTORS} such vectors at once, which do not wait for each other.",
    "several_filters": "A block of filters at once: pixels that were loaded meet all of them.",
    "packed_weights": "Weights lie in the order in which they are read.",
    "sets_of_lanes": "No frame of zeros and nothing to crop: loads leave out the lanes that are off the image.",
    "plan": "npconv: a plan chooses the tile, and cuts the image into bands.",
}


def block_shape() -> tuple[int, int]:
    """Return filters and vectors of the block: 16 sums in registers where there are 32, otherwise 8."""
    return (8, 2) if target().fits(8, 2) else (4, 2)


class Rungs(Timed):
    """All rungs, ready; lives in a worker."""

    def prepare(self, layer: Layer, tiny: Layer) -> dict[str, Array]:
        """Take up the layer, and the tiny one for plain Python."""
        import npconv as nc

        x, weight = layer.arrays(DTYPE)
        plan = nc.plan_conv2d(x.shape, weight, **layer.options, num_threads=self.threads)
        y = np.empty(layer.geometry.y_shape, DTYPE)

        def ready(x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
            return {
                "in_python": python_rung(*tiny.arrays(DTYPE)),
                **loop_rungs(x[0], weight),
                **tile_rungs(x[0], weight),
                "plan": partial(plan, x, out=y),
            }

        return self.take_up((x, weight), ready)


def python_rung(x: Array, weight: Array) -> Callable[[], list[Any]]:
    """Return the first rung, which takes lists."""
    y: list[Any] = np.zeros((len(weight), *x.shape[2:])).tolist()
    image, filters = x[0].tolist(), weight.tolist()

    def run() -> list[Any]:
        loops.in_python(image, filters, y)
        return y

    return run


def loop_rungs(x: Array, weight: Array) -> dict[str, Callable[[], Array]]:
    """Return the rungs that ask at each pixel, or no longer."""
    C, H, W = x.shape
    y = np.empty((len(weight), H, W), x.dtype)
    padded = np.zeros((C, H + 2, W + 2), x.dtype)

    def compiled() -> Array:
        loops.compiled(x, weight, y)
        return y

    def without_questions() -> Array:
        loops.pad(x, padded)
        loops.without_questions(padded, weight, y)
        return y

    return {"compiled": compiled, "without_questions": without_questions}


def tile_rungs(x: Array, weight: Array) -> dict[str, Callable[[], Array]]:
    """Return the rungs that walk over flat columns."""
    lanes, (rows, vectors) = target().lanes(x.dtype.itemsize), block_shape()
    packed = weight.reshape(len(weight) // rows, rows, -1).swapaxes(1, 2).ravel()
    block = RegisterTile(rows, vectors, lanes)
    framed = partial(on_frame, x, len(weight))
    return {
        "neighbours_inside": framed(loops.neighbours_inside, weight.ravel(), lanes),
        "one_vector": framed(partial(tiles.one_filter, RegisterTile(1, 1, lanes)), weight.ravel(), lanes),
        "more_vectors": framed(
            partial(tiles.one_filter, RegisterTile(1, VECTORS, lanes)), weight.ravel(), VECTORS * lanes
        ),
        "several_filters": framed(partial(tiles.several_filters, block), weight.ravel(), vectors * lanes),
        "packed_weights": framed(partial(tiles.packed_weights, block), packed, vectors * lanes),
        "sets_of_lanes": on_image(x, len(weight), block, packed),
    }


def on_frame(x: Array, O: int, kernel: Callable[..., None], w: Array, width: int) -> Callable[[], Array]:
    """Return a call that pads the image, runs a kernel over its columns, which fill tiles of some width, and crops what it leaves."""
    C, H, W = x.shape
    pitch, plane = W + 2, (H + 2) * (W + 2)
    columns = -(-(H * pitch - 2) // width) * width
    offsets = np.array([c * plane + kh * pitch + kw for c in range(C) for kh in range(3) for kw in range(3)])
    # The last tile reads past the last plane.
    flat = np.zeros(C * plane + columns, x.dtype)
    padded = flat[: C * plane].reshape(C, H + 2, W + 2)
    wide, y = np.empty(O * columns, x.dtype), np.empty((O, H, W), x.dtype)
    sizes = O, 9 * C, columns

    def run() -> Array:
        loops.pad(x, padded)
        kernel(sizes, flat, offsets, w, wide)
        loops.crop(sizes, pitch, wide, y)
        return y

    return run


def on_image(x: Array, O: int, tile: RegisterTile, w: Array) -> Callable[[], Array]:
    """Return a call of the rung that reads the image itself, whose outputs fill whole tiles."""
    C, H, W = x.shape
    offsets = [(c * H * W + (kh - 1) * W + kw - 1, 3 * kh + kw) for c in range(C) for kh in range(3) for kw in range(3)]
    oh, ow = np.divmod(np.arange(H * W), W)
    bits = 1 << np.arange(H * W) % tile.lanes
    real = [
        np.where((oh + kh >= 0) & (oh + kh < H) & (ow + kw >= 0) & (ow + kw < W), bits, 0)
        .reshape(-1, tile.lanes)
        .sum(1)
        for kh in (-1, 0, 1)
        for kw in (-1, 0, 1)
    ]
    y = np.empty((O, H, W), x.dtype)
    arguments = (O, 9 * C, H * W), x.ravel(), np.array(offsets).ravel(), np.concatenate(real), w, y.reshape(-1)

    def run() -> Array:
        tiles.sets_of_lanes(tile, *arguments)
        return y

    return run


@dataclass(frozen=True, slots=True, eq=False)
class Rung:
    """One rung: seconds of each round, the peak that was measured beside it, and its worst error in units of what the bound allows."""

    name: str
    layer: Layer
    seconds: Array
    peaks: Array
    error: float

    @property
    def speed(self) -> float:
        """FLOP per second, a multiply-add being two."""
        return self.layer.flop / float(np.median(self.seconds))

    @property
    def share(self) -> float:
        """Speed as a share of the peak: the median of the rounds, each with its own."""
        return float(np.median(self.layer.flop / self.seconds / self.peaks))

    @property
    def share_interval(self) -> tuple[float, float]:
        """The 95 % interval of that share."""
        shares = self.layer.flop / self.seconds / self.peaks
        return interval(lambda picks: np.median(shares[picks], axis=1), len(shares))

    def data(self) -> dict[str, Any]:
        """Return the rung for JSON."""
        return {
            "name": self.name,
            "change": RUNGS[self.name],
            "layer": self.layer.name,
            "flops": self.speed,
            "share_of_peak": self.share,
            "error_in_bounds": self.error if np.isfinite(self.error) else None,
            "microseconds": (self.seconds * 1e6).round(3).tolist(),
            "peak_flops": self.peaks.round().tolist(),
        }


def measure(pace: Pace, *, quick: bool) -> Report:
    """Time every rung in turns with the peak; in a quick run on a layer of a quarter of the channels."""
    report = Report("ladder")
    layer = Layer.square(16, 16, 3, 56) if quick else LAYER
    with (
        working("bench.ladder.measure:Rungs", own_cache=True) as worker,
        working("bench.calibrate:Calibration", own_cache=True) as calibration,
        progress(pace.rounds + 1) as step,
    ):
        step("ladder: compiling")
        outputs = worker.call("prepare", layer, TINY)
        errors = worst_errors(outputs, layer)

        def rungs_in_turn(seconds: float) -> Any:
            step("ladder: a round")
            return worker.call("time", seconds)

        timers: dict[str, Callable[[float], Any]] = {
            "rungs": rungs_in_turn,
            "peak": partial(calibration.call, "peak", DTYPE),
        }
        rounds = in_turns(timers, pace.rounds, pace.seconds)
        interrupted = worker.call("interrupted")
    peaks = np.array(rounds["peak"])
    rungs = [
        Rung(name, TINY if name == "in_python" else layer, np.array([of[name] for of in rounds["rungs"]]), peaks, error)
        for name, error in errors.items()
    ]
    report.tables.append(table(rungs))
    report.faults.extend(f"{rung.name} is off by {rung.error:.3g} bounds" for rung in rungs if not rung.error <= 1)
    report.notes.append(
        f"One core, {DTYPE}, {layer.name}; in_python {TINY.name}. The peak, {np.median(peaks) / 1e9:.0f} GF/s, is that of "
        f"multiply-adds among registers in the same rounds. Interrupted calls: {interrupted:.0%}."
    )
    report.data["rungs"] = [rung.data() for rung in rungs]
    return report


def worst_errors(outputs: dict[str, Array], layer: Layer) -> dict[str, float]:
    """Return the worst error of each rung, in units of what the bound allows."""
    with working("bench.judge:Judge") as judge:
        judge.call("prepare", TINY, DTYPE)
        errors = {"in_python": judged(judge, outputs["in_python"], TINY)}
        judge.call("prepare", layer, DTYPE)
        return errors | {name: judged(judge, y, layer) for name, y in outputs.items() if name != "in_python"}


def judged(judge: Worker, y: Array, layer: Layer) -> float:
    """Return the worst error of one output."""
    error: float = judge.call("worst", y.reshape(layer.geometry.y_shape))
    return error


def table(rungs: Sequence[Rung]) -> Table:
    """Return the rungs as a table."""
    rows = []
    for i, rung in enumerate(rungs):
        low, high = rung.share_interval
        gain = f"{rung.speed / rungs[i - 1].speed:.2f}" if i else "-"
        shares = share_text(rung.share), f"{share_text(low)}..{share_text(high)}"
        cells = [f"{rung.speed / 1e9:.3g}", *shares, gain, f"{rung.error:.2g}"]
        rows.append([rung.name, RUNGS[rung.name], *cells])
    columns = ["rung", "what is changed", "GF/s", "of peak", "95 %", "times the one before", "error/bound"]
    return Table("The ladder", columns, rows, words=2)
