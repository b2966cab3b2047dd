"""The benchmarks run, their judges can fail, and what strips the counters strips nothing else. No test here looks at a time."""

import ast
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

# After the installed packages: the benchmarks are read from the repository, npconv from wherever it is installed.
sys.path.append(str(Path(__file__).parents[1]))

from bench import counting, intervals, report, startup, strip
from bench.__main__ import main
from bench.engines import ENGINES
from bench.judge import Judge, by_taps
from bench.layers import LAYERS, Array, Layer, select
from bench.rows import BARS, OURS, Row, bars
from bench.speed import IDLE_LOAD, takes_part
from bench.worker import WorkerError, working

SMALL = Layer(6, 4, 3, 5, 2)

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


def row(seconds: dict[str, float], errors: dict[str, float] | None = None) -> Row:
    """Return the row of a dense layer with the same time in every round."""
    times = {label: np.full(5, of) for label, of in seconds.items()}
    return Row(LAYERS[0], dict.fromkeys(seconds, "only"), times, {**dict.fromkeys(seconds, 0.5), **(errors or {})})


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
    assert len({layer.name for layer in LAYERS}) == 12
    assert [layer.kind for layer in select("", one_of_each=True)] == ["dense", "pointwise", "grouped", "depthwise"]
    assert {layer.kind for layer in select("depthwise")} == {"depthwise"}
    assert LAYERS[0].flop == 2 * 64 * 64 * 3 * 3 * 56 * 56


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_judge_knows_right_from_wrong(dtype: str) -> None:
    judge = Judge(1)
    judge.prepare(SMALL, dtype)
    right = by_taps(SMALL, *SMALL.arrays(dtype))
    assert right.dtype == dtype
    assert judge.worst(right) <= 1
    for wrong in (right * (1 + 1e-3), right[..., ::-1], np.where(right == right.max(), np.nan, right)):
        assert not judge.worst(wrong) <= 1


@pytest.mark.parametrize("label", [label for label, engine in ENGINES.items() if not engine.missing()])
def test_every_engine_that_is_installed_computes_and_is_timed(label: str) -> None:
    judge = Judge(1)
    judge.prepare(SMALL, "float32")
    with working(f"bench.engines:{ENGINES[label].__name__}") as worker:
        outputs = worker.call("prepare", SMALL, "float32")
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
    label = list(ENGINES)[1]
    monkeypatch.setattr(ENGINES[label], "packages", ("no_such_package",))
    of = report.Report("toy")
    assert [takes_part(name, "float32", of) for name in (OURS, label)] == [True, False]
    assert of.notes == [f"{label} is left out: no_such_package not installed."]


def test_ratio_is_against_the_best_peer_that_is_right() -> None:
    slow, fast = list(ENGINES)[1:3]
    of = row({OURS: 1.0, slow: 3.0, fast: 2.0}, {fast: 1.5})
    assert (of.best_peer, of.ratio(slow), of.ratio_interval(slow)) == (slow, 3.0, (3.0, 3.0))
    assert row({OURS: 1.0, slow: 3.0}, {slow: float("nan")}).best_peer is None


@pytest.mark.parametrize(
    ("seconds", "error", "met"), [(0.85, 1.0, True), (0.84, 1.0, False), (0.85, 1.01, None), (0.85, np.nan, None)]
)
def test_bar_is_judged(seconds: float, error: float, met: bool | None) -> None:
    peer = list(ENGINES)[1]
    rows = [row({OURS: 1.0, peer: seconds}, {OURS: error})]
    assert [bar.met for bar in bars(rows, [OURS, peer], "float32", quick=False)] == [met, None, None, None]
    assert [bar.met for bar in bars(rows, [OURS, peer], "float32", quick=True)] == [None] * len(BARS["float32"])


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


def test_layers_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "numbers.json"
    arguments = ["layers", "--quick", "--peers", "none", "--only", "512 depthwise", "--json", str(file)]
    assert main(arguments) == 0
    assert "512 depthwise 3x3 14x14" in capsys.readouterr().out
    (numbers,) = json.loads(file.read_text())
    assert [of["void"] for of in numbers["rows"]] == [False]
    assert numbers["faults"] == []


def test_counting_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "numbers.json"
    assert main(["counting", "--quick", "--only", "512 depthwise", "--json", str(file)]) == 0
    assert "all together" in capsys.readouterr().out
    (numbers,) = json.loads(file.read_text())
    assert numbers["statements_removed"] > 0
    assert numbers["faults"] == []


def test_fresh_processes_are_timed(tmp_path: Path) -> None:
    empty = startup.fresh(["pass"], str(tmp_path))
    imports = startup.fresh([startup.IMPORTS["import numpy, npconv"]], str(tmp_path))
    assert 0 < empty.inside < imports.inside < imports.outside
    assert imports.cpu > 0
    assert not imports.numba
    assert startup.fresh(["import numba"], str(tmp_path)).numba


def test_startup_is_judged_by_the_slower_clock_and_call() -> None:
    names = [*startup.IMPORTS, *startup.first_calls()]
    runs = {name: [startup.Run(0.2, 0.3, 0.2, numba=False)] * 3 for name in names}
    assert [bar.met for bar in startup.bars(runs, quick=False)] == [True, True]
    runs["import numpy, npconv"] = [startup.Run(0.2, 0.5, 0.2, numba=False)] * 3
    runs[names[-1]] = [startup.Run(0.9, 1.0, 0.9, numba=True)] * 3
    assert [bar.met for bar in startup.bars(runs, quick=False)] == [False, False]


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


@pytest.mark.parametrize(
    "arguments", [["--threads", "0"], ["--peers", "abacus"], ["--dtype", "int8"], ["--only", "5x7"]]
)
def test_options_are_checked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["layers", *arguments])
    capsys.readouterr()
