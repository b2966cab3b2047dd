"""The benchmarks run, their judges can fail, and what strips the counters strips nothing else. No test here looks at a time."""

import ast
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import bars, calibrate, counting, intervals, pictures, progress, records, report, sets, startup, strip
from bench.__main__ import main
from bench.engines import ENGINES
from bench.judge import Judge, by_taps
from bench.layers import KINDS, Array, Layer
from bench.rows import OURS, Row, Timing, rows_table
from bench.speed import IDLE_LOAD, best, present
from bench.summary import means_table, summarise
from bench.worker import WorkerError, working
from bench_rows import DENSE, PEERS, POINTWISE, row
from npconv.geometry import conv2d_geometry

SMALL = Layer.square(6, 4, 3, 5, 2)
# Two images, everything different along rows and columns, padding that no kernel centres.
UNEVEN = Layer(
    conv2d_geometry((2, 6, 9, 8), (4, 3, 3, 2), stride=(2, 1), padding=((1, 2), (0, 1)), dilation=(1, 2), groups=2)
)

WITH_COUNTERS = """
@kernel
def convolve(x, y, tally):
    mul = 0
    kept = 0
    for i in range(3):
        y[i] += x[i]
        mul += 1
        if x[i] > 0:
            kept = copy(x, y, min(i, 2))
        else:
            kept = 2 * i
    for i in range(3):
        mul += max(i, 1)
    last = copy(x, y, 0)
    y[last] = read(x)
    tally[MUL] += mul
    tally[MOVED] += move(x, y) + kept

@kernel
def move(x, y):
    moved = 0
    for i in range(3):
        y[i] = x[i]
        moved += 1
    return moved

@kernel
def copy(x, y, i):
    y[i] = x[i]
    return i

@kernel
def read(x):
    return x[0]

def plain(tally):
    tally[MUL] += 1
"""

WITHOUT_COUNTERS = """
@kernel
def convolve(x, y, tally):
    for i in range(3):
        y[i] += x[i]
        if x[i] > 0:
            copy(x, y, min(i, 2))
    last = copy(x, y, 0)
    y[last] = read(x)
    move(x, y)

@kernel
def move(x, y):
    for i in range(3):
        y[i] = x[i]
    return

@kernel
def copy(x, y, i):
    y[i] = x[i]
    return i

@kernel
def read(x):
    return x[0]

def plain(tally):
    tally[MUL] += 1
"""


class Sleeper:
    """A worker with nothing to do."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def answer(self) -> int:
        """Answer."""
        return self.threads


class Spinner(Sleeper):
    """A worker with a thread that never sleeps."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        threading.Thread(target=self.spin, daemon=True).start()

    def spin(self) -> None:
        """Spin."""
        while self.threads:
            pass


def test_strip_takes_what_serves_the_tally_and_nothing_else() -> None:
    tree = ast.parse(WITH_COUNTERS)
    removed = strip.strip({"toy": tree})
    assert ast.unparse(tree) == WITHOUT_COUNTERS.strip()
    assert removed > 0


def test_stripped_kernels_have_no_tally_left() -> None:
    before, after = strip.kernel_trees(), strip.kernel_trees()
    strip.strip(after)
    for module, tree in before.items():
        updates = [
            ast.unparse(node) for node in ast.walk(after[module]) if isinstance(node, ast.AugAssign | ast.Assign)
        ]
        assert not [update for update in updates if update.startswith(strip.TALLY)]
        signatures = [[(f.name, ast.unparse(f.args)) for f in strip.kernels(of)] for of in (tree, after[module])]
        assert signatures[0] == signatures[1]
    assert any(ast.unparse(before[module]) != ast.unparse(after[module]) for module in before)


def test_the_layers_are_twelve_and_of_four_classes() -> None:
    layers = sets.twelve()
    assert len({layer.name for layer in layers}) == 12
    assert {layer.kind for layer in layers} == {"dense", "pointwise", "grouped", "depthwise"}
    assert {layer.kind for layer in sets.containing(layers, "depthwise")} == {"depthwise"}
    assert DENSE.flop == 2 * 64 * 64 * 3 * 3 * 56 * 56
    assert DENSE.traffic("float64") == 8 * (2 * 64 * 56 * 56 + 64 * 64 * 3 * 3)


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "options", "kind", "name"),
    [
        ((1, 3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}, "stem", "3 -> 64 7x7/2 224x224"),
        ((1, 3, 15, 15), (8, 3, 1, 1), {}, "pointwise", "3 -> 8 1x1 15x15"),
        ((1, 8, 15, 9), (8, 8, 3, 1), {"padding": (1, 0)}, "dense", "8 3x1 15x9"),
        ((1, 8, 15, 15), (8, 8, 3, 3), {}, "dense", "8 3x3 pad 0 15x15"),
        ((1, 8, 8, 8), (8, 2, 1, 1), {"groups": 4, "stride": (2, 1)}, "pointwise", "8 g4 1x1/2x1 8x8"),
        ((1, 8, 8, 8), (16, 1, 3, 3), {"groups": 8, "padding": "same", "stride": 2}, "depthwise", None),
        (UNEVEN.geometry.x_shape, UNEVEN.geometry.weight_shape, UNEVEN.options, "grouped", None),
        ((1, 8, 9, 9), (8, 8, 3, 3), {"dilation": 2, "padding": 2}, "dense", "8 3x3 dilated 2 9x9"),
    ],
)
def test_layers_have_a_class_and_a_name(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], options: dict[str, Any], kind: str, name: str | None
) -> None:
    layer = Layer(conv2d_geometry(x_shape, weight_shape, **options))
    names = {
        "depthwise": "8 -> 16 depthwise 3x3/2 pad 0,1,0,1 8x8",
        "grouped": "6 -> 4 g2 3x2/2x1 dilated 1x2 pad 1,2,0,1 9x8",
    }
    assert (layer.kind, layer.name) == (kind, name or names[kind])
    assert layer.of_batch(3).name == layer.name
    assert layer.of_batch(3).products == 3 * layer.products // layer.geometry.N


def test_networks_are_measured_whole_and_once() -> None:
    layers = sets.networks()
    assert {name for names in layers.values() for name in names} == set(sets.NAMES)
    assert {layer.kind for layer in layers} == set(KINDS)
    assert len({layer.name for layer in layers}) == len(layers)
    stem = Layer(conv2d_geometry((1, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3))
    assert layers[stem][:2] == ("resnet-50", "resnext-50-32x4d")
    assert all(layer.geometry.N == 1 for layer in layers)
    batches = sets.of_batches(layers, [1, 8])
    assert len(batches) == 2 * len(layers)
    assert batches[stem.of_batch(8)] == layers[stem]


def test_a_spread_has_each_class() -> None:
    layers = sets.spread(sets.networks(), 2)
    assert [layer.kind for layer in layers] == [kind for kind in KINDS for _ in range(2)]
    assert [layer.kind for layer in sets.spread({DENSE: ()}, 2)] == ["dense"]


@pytest.mark.parametrize("name", sets.SWEEPS)
def test_a_sweep_changes_one_size(name: str) -> None:
    layers = [layer for layer, names in sets.sweeps().items() if name in names]
    assert len({pictures.like(layer, name) for layer in layers}) == 1
    assert len({pictures.size(layer, name) for layer in layers}) == len(layers) == len(sets.SWEEPS[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [SMALL, UNEVEN])
def test_judge_knows_right_from_wrong(layer: Layer, dtype: str) -> None:
    judge = Judge(1)
    judge.prepare(layer, dtype)
    right = by_taps(layer.geometry, *layer.arrays(dtype))
    assert right.dtype == dtype
    assert judge.worst(right) <= 1
    for wrong in (right * (1 + 1e-3), right[..., ::-1], np.where(right == right.max(), np.nan, right)):
        assert not judge.worst(wrong) <= 1


def test_judge_wants_zero_where_there_is_only_padding() -> None:
    judge = Judge(1)
    layer = Layer(conv2d_geometry((1, 1, 2, 2), (1, 1, 1, 1), padding=1))
    judge.prepare(layer, "float32")
    y = by_taps(layer.geometry, *layer.arrays("float32"))
    assert judge.worst(y) <= 1
    y[0, 0, 0, 0] = 1e-30
    assert judge.worst(y) == np.inf


@pytest.mark.parametrize("layer", [SMALL, UNEVEN])
@pytest.mark.parametrize("label", [label for label, engine in ENGINES.items() if not engine.missing()])
def test_every_engine_that_is_installed_computes_and_is_timed(label: str, layer: Layer) -> None:
    judge = Judge(1)
    judge.prepare(layer, "float32")
    with working(f"bench.engines:{ENGINES[label].__name__}") as worker:
        outputs = worker.call("prepare", layer, "float32")
        assert {name: judge.worst(y) <= 1 for name, y in outputs.items()} == dict.fromkeys(outputs, True)
        assert all(seconds > 0 for seconds in worker.call("time", 0.001).values())
        assert 0 <= worker.call("interrupted") <= 1


def test_a_worker_that_dies_is_noticed(capfd: pytest.CaptureFixture[str]) -> None:
    with working("bench.engines:Npconv") as worker, pytest.raises(WorkerError, match="Npconv ended when"):
        worker.call("no_such_method")
    assert "no_such_method" in capfd.readouterr().err


def test_a_worker_that_does_not_sleep_is_noticed() -> None:
    with working("test_bench:Sleeper") as sleeper, working("test_bench:Spinner") as spinner:
        for worker in (sleeper, spinner):
            worker.call("answer")
        time.sleep(0.3)
        for worker in (sleeper, spinner):
            worker.call("answer")
        assert sleeper.idle_load < IDLE_LOAD < spinner.idle_load


def test_an_engine_that_is_missing_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENGINES[PEERS[0]], "packages", ("no_such_package",))
    of = report.Report("toy")
    assert present([OURS, PEERS[0]], of) == [OURS]
    assert of.notes == [f"{PEERS[0]} is left out: no_such_package not installed."]


def test_the_best_variant_is_one_that_is_right() -> None:
    rounds = [{"fast": 1.0, "slow": 2.0}] * 3
    assert best(rounds, {"fast": 0.5, "slow": 0.5}).variant == "fast"
    assert best(rounds, {"fast": float("nan"), "slow": 0.5}).variant == "slow"
    assert best(rounds, {"fast": 2.0, "slow": 2.0}).variant == "fast"


def test_ratio_is_against_the_best_peer_that_is_right() -> None:
    slow, fast = PEERS[:2]
    of = row({OURS: 1.0, slow: 3.0, fast: 2.0}, {fast: 1.5})
    assert (of.best_peer, of.ratio, of.ratio_interval) == (slow, 3.0, (3.0, 3.0))
    without = row({OURS: 1.0, slow: 3.0}, {slow: float("nan")})
    assert (without.best_peer, without.ratio, without.ratio_interval) == (None, None, None)
    assert row({OURS: 1.0, slow: 3.0}, {OURS: 1.5}).ratio is None


def test_a_row_is_held_to_both_roofs() -> None:
    of = row({OURS: 1e-3})
    assert of.share_of_peak == pytest.approx(DENSE.flop / 1e-3 / 1e11)
    assert of.share_of_copy == pytest.approx(4 * (2 * 64 * 56 * 56 + 64 * 64 * 9) / 1e-3 / 1e10)
    roof = calibrate.Roof({}, {2**16: 4.0, 2**22: 2.0})
    assert [roof.copy(size) for size in (1, 2**18, 2**20, 2**30)] == [4.0, 4.0, 2.0, 2.0]


@pytest.mark.parametrize("error", [0.25, float("nan")])
def test_a_row_is_read_as_it_was_written(error: float) -> None:
    of = row({OURS: 1.0, PEERS[0]: 2.0}, {OURS: error}, layer=UNEVEN, threads=2)
    written = json.dumps(of.data(), allow_nan=False)
    again = Row.of(json.loads(written))
    assert (again.key, again.names) == (of.key, of.names)
    assert json.dumps(again.data(), allow_nan=False) == written


@pytest.mark.parametrize(
    ("seconds", "error", "met"), [(0.85, 1.0, True), (0.84, 1.0, False), (0.85, 1.01, None), (0.85, np.nan, None)]
)
def test_bar_of_each_row_is_judged(seconds: float, error: float, met: bool | None) -> None:
    rows = [row({OURS: 1.0, PEERS[0]: seconds}, {OURS: error})]
    assert [bar.met for bar in bars.each_row(rows, judged=True)] == [met, None, None, None]
    assert [bar.met for bar in bars.each_row(rows, judged=False)] == [None] * 4


def verdicts(rows: list[Row], words: str) -> list[bool | None]:
    """Return the verdicts of the bars that contain some words."""
    return [bar.met for bar in bars.together(rows, judged=True) if words in bar.asked]


def test_bars_of_the_networks_are_judged_by_thread_count() -> None:
    quick, slow = {OURS: 1e-3, PEERS[0]: 2e-3}, {OURS: 1e-3, PEERS[0]: 0.9e-3}
    rows = [row(quick), row(slow, layer=POINTWISE), row(slow, threads=2)]
    assert verdicts(rows, "float32 all layers") == [True, False]
    assert verdicts(rows, "float32 dense 3x3 and larger") == [True, False]
    assert verdicts(rows, "float32 1x1") == [False, None]
    assert verdicts(rows, "float32 depthwise") == [None, None]
    assert verdicts(rows, "none below") == [False, False]
    assert verdicts([row({OURS: 1e-6, PEERS[0]: 0.5e-6})], "none below") == [None]
    assert verdicts([row({PEERS[0]: 2.6, OURS: 1.0}, dtype="float64")], "float64 all layers") == [True]
    assert verdicts([row(quick), row(quick, {OURS: 2.0}, layer=POINTWISE)], "float32 all layers") == [False]
    assert [bar.met for bar in bars.together(rows, judged=False)] == [None] * 18


@pytest.mark.parametrize(("share", "met"), [(0.91, True), (0.89, False)])
def test_bar_of_the_peak_is_judged(share: float, met: bool) -> None:
    assert verdicts([row({OURS: DENSE.flop / (share * 1e11)})], "of peak") == [met]
    assert verdicts([row({OURS: 1.0}, layer=POINTWISE)], "of peak") == [None]


@pytest.mark.parametrize(("seconds", "met"), [([2.0, 2.0, 0.9], True), ([2.0, 2.0, 1.1], False)])
def test_more_threads_are_slower_if_they_are_in_every_round(seconds: list[float], met: bool) -> None:
    rows = [row({OURS: 1.0}), row({OURS: 1.0}, threads=2)]
    rows = [
        Row(of.layer, (), of.dtype, of.threads, {OURS: Timing("only", np.array(times), 0.5)}, 1.0, 1.0)
        for of, times in zip(rows, ([1.0] * 3, seconds), strict=True)
    ]
    assert verdicts(rows, "more threads never slower") == [met]
    assert verdicts(rows[:1], "more threads never slower") == [None]


def test_a_summary_names_what_is_wrong() -> None:
    rows = [row({OURS: 1.0, PEERS[0]: 2.0}, {OURS: 3.0}), row({OURS: 1.0, PEERS[0]: 2.0}, {PEERS[0]: 3.0}, threads=2)]
    rows.append(Row(DENSE, (), "float32", 3, rows[1].timings, 1.0, 1.0, "4567"))
    of = report.Report("toy")
    summarise(of, rows, "networks", judged=True)
    assert of.faults == [
        "64 3x3 56x56, float32, on 1: off by 3 bounds",
        "64 3x3 56x56, float32: other bits on 3 threads",
    ]
    assert len(of.notes) == 2
    assert [line[-1] for line in means_table(rows).rows] == ["1", "1", "0", "0", "0", "0"]
    table = rows_table("Rows", rows)
    assert "95 %" in table.columns
    assert table.rows[0][table.columns.index("ratio")] == "void"


def test_a_summary_says_how_busy_the_machine_was() -> None:
    quiet = row({OURS: 1.0})
    busy = Row(DENSE, (), "float64", 1, {OURS: Timing("only", np.ones(5), 0.5, 0.25)}, 1.0, 1.0)
    of = report.Report("toy")
    summarise(of, [quiet, busy], "sweeps", judged=True)
    assert len(of.notes) == 1
    assert "in 1 of 2 rows" in of.notes[0]
    assert "at worst 25% of npconv's in 64 3x3 56x56, float64" in of.notes[0]


def test_records_go_on_where_they_stopped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    run = {"processor": "abacus", "rounds": 3, "cores": [0]}
    first, second = row({OURS: 1.0}), row({OURS: 1.0}, threads=2)
    kept = records.Records(path, run)
    kept.add([first])
    kept.add([second])
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    again = records.Records(path, run)
    assert set(again.rows) == {first.key}
    again.add([second])
    assert path.read_bytes() == whole
    again.end(report.Report("toy"))
    assert set(records.Records(path, run).rows) == {first.key, second.key}


@pytest.mark.parametrize("changed", [{"processor": "slide rule"}, {"rounds": 4}, {"engines": "others"}])
def test_records_of_another_run_are_left_alone(changed: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    run = {"processor": "abacus", "rounds": 3}
    records.Records(path, run).add([row({OURS: 1.0})])
    before = path.read_bytes()
    (name,) = changed
    with pytest.raises(records.RecordsError, match=f"is of another run. {name}: "):
        records.Records(path, {**run, **changed})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["no JSON\n", '{"row": 1}\n', '{"run": {}}\n{"row": {}}\n', "[1]\n", "cut off"])
def test_other_files_are_no_records(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(records.RecordsError, match="is no record of a benchmark"):
        records.Records(path, {})
    assert path.read_text() == text


def test_a_run_depends_on_machine_versions_source_and_pace() -> None:
    of = records.circumstances({OURS: "1"}, {"rounds": 3})
    assert {"processor", "cores", "NumPy", "Numba", "CPU", "source", "engines", "rounds"} <= set(of)
    assert str(Path.home()) not in json.dumps(of)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    rows = [
        Row(layer, names, "float32", 1, row({OURS: 1e-3, PEERS[0]: 2e-3}).timings, 1e11, 1e10 * (1 + i % 2))
        for i, (layer, names) in enumerate(sets.sweeps().items())
    ]
    assert {file.name for file in pictures.draw(rows, tmp_path / "new")} == {
        "ratio-float32-1.png",
        "roofline-float32-1.png",
        "cost-float32-1.png",
    }
    alone = pictures.draw([row({OURS: 1e-3}, dtype="float64", threads=2)], tmp_path)
    assert [(file.name, file.stat().st_size > 0) for file in alone] == [("roofline-float64-2.png", True)]


def test_interval_holds_the_median_and_narrows() -> None:
    def median_interval(sample: Array) -> tuple[float, float]:
        return intervals.interval(lambda picks: np.median(sample[picks], axis=1), len(sample))

    few, many = np.random.default_rng(0).standard_normal(20), np.random.default_rng(0).standard_normal(2000)
    wide, narrow = median_interval(few), median_interval(many)
    assert wide[0] < np.median(few) < wide[1]
    assert narrow[0] < np.median(many) < narrow[1]
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 3


def test_faults_of_a_pair_are_named() -> None:
    assert counting.faults({"same_bits": True, "tallies": [[5, 0], [0, 0]]}) == []
    assert len(counting.faults({"same_bits": False, "tallies": [[0, 0], [5, 0]]})) == 3


def test_difference_is_the_mean_of_the_layers() -> None:
    logs = np.log(np.tile([1.02, 1.0], (9, 1)))
    middle, low, high = counting.difference(logs)
    assert np.allclose([middle, low, high], np.sqrt(1.02) - 1, rtol=1e-12)


def test_networks_run_is_written_and_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = tmp_path / "rows.jsonl", tmp_path / "page.md"
    arguments = ["networks", "--set", "twelve", "--quick", "--peers", "none", "--only", "512 depthwise"]
    arguments += ["--threads", "1", "--dtype", "float32", "--json", str(file), "--markdown", str(page)]
    assert main([*arguments, "--batch", "1"]) == 0
    once = capsys.readouterr()
    assert "512 depthwise 3x3 14x14" in once.out
    assert "1/1 float32, 1 x 512 depthwise 3x3 14x14" in once.err
    assert "| 512 depthwise 3x3 14x14 |" in page.read_text()
    assert main([*arguments, "--batch", "1,2"]) == 0
    assert "1/1 float32, 2 x 512 depthwise 3x3 14x14" in capsys.readouterr().err
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [next(iter(line)) for line in lines] == ["run", "row", "report", "row", "report"]
    assert [line["row"]["batch"] for line in lines if "row" in line] == [1, 2]
    assert [line["row"]["void"] for line in lines if "row" in line] == [False, False]
    assert [line["report"]["faults"] for line in lines if "report" in line] == [[], []]
    with pytest.raises(SystemExit, match=r"rows.jsonl is of another run. .*rounds: 3, now 40"):
        main([argument for argument in arguments if argument != "--quick"])


def test_counting_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "numbers.jsonl"
    assert main(["counting", "--quick", "--only", "512 depthwise", "--json", str(file)]) == 0
    assert "all together" in capsys.readouterr().out
    numbers = json.loads(file.read_text().splitlines()[-1])["report"]
    assert numbers["statements_removed"] > 0
    assert numbers["faults"] == []


def test_counting_serves_every_layer() -> None:
    with working("bench.counting:Pairs", own_cache=True) as worker:
        check = worker.call("prepare", UNEVEN, "float32")
    assert counting.faults(check) == []


def test_fresh_processes_are_timed(tmp_path: Path) -> None:
    empty = startup.fresh(["pass"], str(tmp_path))
    imports = startup.fresh([startup.IMPORTS["import numpy, npconv"]], str(tmp_path))
    assert 0 < empty.last <= empty.inside < imports.inside < imports.outside
    two = startup.fresh(["import time; time.sleep(0.2)", "pass"], str(tmp_path))
    assert two.last < 0.2 < two.inside
    assert imports.cpu > 0
    assert not imports.numba
    assert startup.fresh(["import numba"], str(tmp_path)).numba


def test_startup_is_judged_by_the_slower_clock_and_call() -> None:
    names = [*startup.IMPORTS, *startup.first_calls()]
    runs = {
        name: [startup.Run(0.2, 0.1, 0.3, 0.2, numba=False)] * 3 for name in [*names, *map(startup.cold_name, names)]
    }
    assert [bar.met for bar in startup.bars(runs, quick=False)] == [True] * 4
    runs["import numpy, npconv"] = [startup.Run(0.2, 0.1, 0.5, 0.2, numba=False)] * 3
    runs[names[-1]] = [startup.Run(0.9, 0.6, 1.0, 0.9, numba=True)] * 3
    runs[startup.cold_name(names[-2])] = [startup.Run(9.0, 4.1, 9.0, 9.0, numba=True)] * 3
    assert [bar.met for bar in startup.bars(runs, quick=False)] == [False] * 4
    assert [bar.met for bar in startup.bars(runs, quick=True)] == [None] * 4


@pytest.mark.parametrize("terminal", [False, True])
def test_report_is_shown(terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    table = report.Table("Two rows", ["word", "number"], [["a", "10"], ["longer", "1"]])
    bar = report.Bar("at least one", "none", met=False)
    report.show(report.Report("toy", [table], [bar], ["A note."], ["a fault"]))
    shown = capsys.readouterr().out
    for text in ("Two rows", "longer", "at least one", "miss", "A note.", "WRONG: a fault"):
        assert text in shown
    if not terminal:
        assert "word    number\na           10\nlonger       1\n" in shown


def test_a_table_is_markdown() -> None:
    table = report.Table("Two rows", ["word", "number"], [["a", "10"], ["longer", "1"]])
    assert report.markdown(table) == "| word | number |\n| --- | ---: |\n| a | 10 |\n| longer | 1 |"


def test_a_long_table_is_left_to_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = report.Table("Long", ["word"], [["word"]] * (report.LONGEST + 1))
    of = report.Report("toy", [table], [report.Bar("at least one", "none", met=None)])
    report.show(of)
    shown = capsys.readouterr().out
    assert "Long" not in shown
    assert "--markdown FILE shows all" in shown
    report.write_markdown(tmp_path / "page.md", [of])
    page = (tmp_path / "page.md").read_text()
    assert page.count("| word |") == report.LONGEST + 2
    assert "not judged" in page


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_told(terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with progress.progress(2) as step:
        step("one [of them]")
        step("another")
    told = capsys.readouterr().err
    assert terminal or told == "1/2 one [of them]\n2/2 another\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", "0"],
        ["--threads", "1,1000"],
        ["--batch", "0"],
        ["--peers", "abacus"],
        ["--dtype", "int8"],
        ["--only", "5x7"],
        ["--set", "thirteen"],
        ["rows.jsonl"],
    ],
)
def test_options_are_checked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["layers", *arguments])
    capsys.readouterr()
