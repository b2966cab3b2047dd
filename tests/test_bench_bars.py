"""What the benchmarks measure besides layers: each command runs, its judges can fail. No test here looks at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench import bars, bits, calls, memory, separable, shuffle, timed, trials
from bench.__main__ import main
from bench.layers import Layer
from bench.rows import OURS, Row
from bench.worker import working
from bench_rows import DENSE, PEERS, POINTWISE, row
from npconv.geometry import conv2d_geometry

PAIR = separable.Pair(
    Layer(conv2d_geometry((1, 4, 9, 8), (4, 1, 3, 3), stride=2, padding=((0, 1), (1, 1)), groups=4)),
    Layer(conv2d_geometry((1, 4, 4, 4), (6, 4, 1, 1))),
)


def trial(name: str = "toy", threads: int = 1, **seconds: float) -> trials.Trial:
    """Return a trial with the same time in every round."""
    names = {
        "fused": separable.FUSED,
        "two": separable.TWO,
        "pointwise": separable.POINTWISE,
        "shuffle": "channel_shuffle",
    }
    return trials.Trial(name, threads, {names.get(label, label): np.full(3, of) for label, of in seconds.items()})


def test_everyone_is_first_in_turn() -> None:
    order: list[str] = []

    def timer(name: str) -> Callable[[float], float]:
        def time(seconds: float) -> float:
            order.append(name)
            return seconds

        return time

    assert timed.in_turns({name: timer(name) for name in "abc"}, 2, 0.5) == {name: [0.5, 0.5] for name in "abc"}
    assert "".join(order) == "abcbca"


@pytest.mark.parametrize(("gain", "met"), [(1.9, True), (1.7, False)])
@pytest.mark.parametrize(("peak", "bandwidth"), [(2, 1), (20, 2)])
def test_two_threads_are_held_to_the_roof_that_bounds_the_layer(
    gain: float, met: bool, peak: float, bandwidth: float
) -> None:
    # Multiply-adds bound the first; the second is bound by copies, since its peak is ten times as high.
    slow = {1: 1.0, 2: 1 / gain}
    rows = []
    for threads, seconds in slow.items():
        of = row({OURS: seconds}, threads=threads)
        roof = (1e11 * threads, 1e10) if (peak, bandwidth) == (2, 1) else (1e20 * threads * 10, 1e6 * threads)
        rows.append(Row(of.layer, (), of.dtype, threads, of.timings, *roof))
    (bar,) = [bar for bar in bars.together(rows, judged=True) if "calibration gain" in bar.asked]
    assert bar.met is met
    short = [Row(of.layer, (), of.dtype, of.threads, row({OURS: 1e-6}).timings, 1.0, 1.0) for of in rows]
    assert bars.scaling_bar(short, "float32", judged=True).met is None


@pytest.mark.parametrize(("theirs", "met"), [(1.3, True), (1.1, False)])
def test_calls_are_judged_by_mean_and_the_tiny_one_by_itself(theirs: float, met: bool) -> None:
    rows = [row({OURS: 1.0, PEERS[0]: theirs}, layer=layer) for layer in (DENSE, POINTWISE)]
    tiny = row({OURS: 1.0, PEERS[0]: 0.9}, layer=calls.TINY)
    assert [bar.met for bar in calls.calls([*rows, tiny], judged=True)] == [met, False]
    assert [bar.met for bar in calls.calls(rows, judged=True)] == [met, None]
    assert calls.with_tiny({DENSE: ("toy",)}) == {DENSE: ("toy",), calls.TINY: ()}


def test_shuffles_are_judged_shape_by_shape() -> None:
    folded = [shuffle.Folded("toy", 1, np.log([1.01] * 3), 1.0), shuffle.Folded("toy", 2, np.log([1.03] * 3), 1.0)]
    shapes = [trial(shuffle=1.0, copy=0.9, PyTorch=1.6), trial(threads=2, shuffle=1.0, copy=0.8, PyTorch=1.4)]
    shapes.append(trial(threads=2, shuffle=1.0, copy=0.9, PyTorch=1.6))
    assert [bar.met for bar in shuffle.bars(shapes, folded, 1, judged=True)] == [True] * 3
    judged = shuffle.bars(shapes, folded, 2, judged=True)
    assert [bar.met for bar in judged] == [False] * 3
    assert judged[0].measured.startswith("1 of 2 reach it; the lowest 0.80")
    alone = shuffle.bars([trial(shuffle=1.0, copy=0.9)], folded, 1, judged=True)
    assert [bar.met for bar in alone] == [True, None, True]


def test_a_shuffle_is_the_definition() -> None:
    x = shuffle.numbered((1, 6, 1, 1))
    assert shuffle.shuffled(x, 2).ravel().tolist() == [0, 3, 1, 4, 2, 5]
    assert len(shuffle.layers()) == len({layer.name for layer in shuffle.layers()})
    assert {layer.geometry.groups for layer in shuffle.layers()} == {3, 8}


def test_separable_calls_are_judged_by_mean() -> None:
    pairs = [
        trial(fused=1.0, two=1.5, pointwise=1.0, PyTorch=2.0),
        trial(fused=1.0, two=1.2, pointwise=1.2, PyTorch=1.5),
    ]
    assert [bar.met for bar in separable.bars(pairs, 1, judged=True)] == [True, False]
    assert [bar.met for bar in separable.bars(pairs[1:], 1, judged=True)] == [False, False]
    assert [bar.met for bar in separable.bars(pairs, 1, judged=False)] == [None, None]
    assert [bar.met for bar in separable.bars([], 1, judged=True)] == [None, None]
    assert "would be 1.22 of two" in separable.possible(pairs, 1)


def test_mobilenet_has_thirteen_pairs() -> None:
    pairs = separable.pairs("mobilenet-v1")
    assert len(pairs) == 13
    assert all(pair.depthwise.geometry.y_shape == pair.pointwise.geometry.x_shape for pair in pairs)


def test_pairs_are_judged() -> None:
    judge = separable.PairJudge(1)
    judge.prepare_pair(PAIR, "float32")
    with working("bench.separable:Separable") as worker:
        outputs = {OURS: worker.call("prepare", PAIR, "float32")}
    assert list(separable.faults(PAIR, outputs, judge.worst)) == []
    wrong = outputs[OURS][separable.TWO] * np.float32(1 + 1e-3)
    found = list(separable.faults(PAIR, {OURS: {**outputs[OURS], separable.TWO: wrong}}, judge.worst))
    assert len(found) == 2
    assert "other bits than two" in found[0]
    assert "npconv, two calls, is off by" in found[1]


@pytest.mark.parametrize("layer", [Layer.square(6, 4, 3, 5, 2), PAIR.depthwise, PAIR.pointwise])
def test_bits_are_compared_in_every_way(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = bits.Bits(1)
    ways = worker.compare(layer, "float32")
    assert set(ways.values()) == {True}
    assert {"2 threads", "another tile", "three pieces", "in a batch"} <= set(ways)
    # What a way returns is what is compared: one bit more or less is seen.
    honest = bits.other_ways

    def off_by_one(*arguments: Any) -> Any:
        for way, run in honest(*arguments):
            yield way, lambda run=run: np.nextafter(run(), np.float32(9))

    monkeypatch.setattr(bits, "other_ways", off_by_one)
    assert set(worker.compare(layer, "float32").values()) == {False}
    assert set(worker.compare_pair(PAIR, "float32").values()) == {True}


def test_bits_are_judged_together() -> None:
    compared = {("float32", "2 threads"): [True, True], ("float64", "direct"): [True]}
    assert bits.bar(compared, judged=True).met is True
    assert bits.bar(compared, judged=False).met is None
    broken = bits.bar({**compared, ("float32", "direct"): [True, False]}, judged=True)
    assert (broken.met, broken.measured) == (False, "4 of 5 outputs")


def test_bits_tell_zeros_apart() -> None:
    assert not np.array_equal(bits.bits(np.array([0.0])), bits.bits(np.array([-0.0])))


@pytest.mark.parametrize(("peak", "met"), [(1.25, True), (1.26, False)])
def test_memory_is_judged_by_our_own_ways(peak: float, met: bool) -> None:
    g = memory.SMALL.geometry
    size = 4 * (g.C * g.H * g.W + g.P)
    peaks = {("conv2d", 1): memory.Peak(100, 200, 100 + size), ("a plan", 2): memory.Peak(0, 0, int(peak * size))}
    peaks[PEERS[0], 1] = memory.Peak(0, 0, 9 * size)
    assert memory.bar(memory.SMALL, peaks, judged=True).met is met
    assert memory.bar(memory.SMALL, peaks, judged=False).met is None


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("calls", "8 depthwise 3x3 8x8"),
        ("shuffle", "1 x 60 channels in 3 groups, 28x28"),
        ("separable", "1024 depthwise 3x3 7x7 -> 1024"),
        ("bits", "separable, 2 threads"),
        ("memory", "64 3x3 256x256"),
    ],
)
def test_each_command_runs(command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [command, "--quick", "--peers", "none", "--threads", "1", "--dtype", "float32", "--only", "32 -> 8 1x1"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert shown in said
    assert "WRONG" not in said
