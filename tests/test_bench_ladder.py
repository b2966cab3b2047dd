"""The ladder: every rung computes the layer, wrong ones are noticed, and its table and picture say what was measured."""

from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from bench.judge import Judge, by_taps
from bench.ladder import loops, measure, picture
from bench.layers import Layer

# A plane of 16 x 16 fills whole tiles of every CPU.
SMALL = Layer.square(8, 16, 3, 16)


def rung(name: str, seconds: float, error: float = 0.5) -> measure.Rung:
    """Return a rung with the same time in every round."""
    return measure.Rung(name, SMALL, np.full(3, seconds), np.full(3, 1e11), error)


@pytest.mark.parametrize("name", measure.RUNGS)
def test_every_rung_is_right(name: str, outputs: dict[str, np.ndarray]) -> None:
    layer = measure.TINY if name == "in_python" else SMALL
    judge = Judge(1)
    judge.prepare(layer, measure.DTYPE)
    assert judge.worst(outputs[name].reshape(layer.geometry.y_shape)) <= 1


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    """Compute every rung."""
    return measure.Rungs(1).prepare(SMALL, measure.TINY)


def test_rungs_that_add_in_registers_have_the_same_bits(outputs: dict[str, np.ndarray]) -> None:
    names = ("one_vector", "more_vectors", "several_filters", "packed_weights", "sets_of_lanes", "plan")
    assert len({outputs[name].tobytes() for name in names}) == 1


def test_the_first_rung_is_the_definition() -> None:
    x, weight = measure.TINY.arrays("float64")
    y = np.zeros(measure.TINY.geometry.y_shape[1:]).tolist()
    loops.in_python(x[0].tolist(), weight.tolist(), y)
    assert np.allclose(y, by_taps(measure.TINY.geometry, x, weight)[0], rtol=1e-12, atol=1e-12)


def test_a_rung_is_held_to_the_peak_of_its_own_rounds() -> None:
    of = measure.Rung("plan", SMALL, np.array([1.0, 2.0, 1.0]), np.array([1.0, 0.5, 1.0]) * SMALL.flop, 0.5)
    assert (of.share, *of.share_interval) == (1.0, 1.0, 1.0)
    assert of.data()["change"] == measure.RUNGS["plan"]
    assert measure.Rung("plan", SMALL, of.seconds, of.peaks, float("nan")).data()["error_in_bounds"] is None


def test_the_table_compares_each_rung_with_the_one_before() -> None:
    table = measure.table([rung("compiled", 1.0), rung("plan", 0.25)])
    assert [line[table.columns.index("times the one before")] for line in table.rows] == ["-", "4.00"]


@pytest.mark.parametrize(("share", "text"), [(0.753, "75 %"), (0.0001234, "0.012 %"), (0.996, "100 %")])
def test_small_shares_are_told(share: float, text: str) -> None:
    assert picture.share_text(share) == text


def test_the_ladder_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ladder", "--quick", "--pictures", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in measure.RUNGS)
    assert "WRONG" not in said
    assert (tmp_path / "ladder.png").stat().st_size > 0
