"""The page on performance says what the files of runs hold, the losing rows first, and refuses other files."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import page, records, report, sets
from bench.__main__ import main
from bench.ladder import measure
from bench.rows import OURS, Row
from bench_rows import DENSE, PEERS, POINTWISE, row

RUN = {
    "processor": "abacus", "cores": [0], "Python": "3.12 (CPython)", "NumPy": "2", "Numba": "1", "LLVM": "22",
    "engines": {OURS: "1", PEERS[0]: "3"}, "rounds": 5, "seconds": 0.1,
}  # fmt: skip


def written(path: Path, rows: list[Row], *reports: report.Report, **run: Any) -> Path:
    """Write a file as a run would."""
    of = records.Records(path, {**RUN, **run})
    of.add(rows)
    for each in reports:
        of.end(each)
    return path


def of_networks(of: Row, **changes: Any) -> Row:
    """Return a row that stands in a network."""
    return dataclasses.replace(of, names=("toy",), **changes)


def test_the_page_is_made_from_files(tmp_path: Path) -> None:
    slow, fast = {OURS: 2e-3, PEERS[0]: 1e-3}, {OURS: 1e-3, PEERS[0]: 2e-3}
    rows = [of_networks(row(fast)), of_networks(row(slow, layer=POINTWISE)), of_networks(row(slow), form="call")]
    bars = [report.Bar("asked one", "much", met=True), report.Bar("asked two", "little", met=False)]
    table = report.Table("A table of bits", ["way", "compared"], [["threads", "7"]])
    first = written(tmp_path / "a.jsonl", rows, report.Report("networks", bars=bars, notes=["A remark."]))
    second = written(tmp_path / "b.jsonl", [], report.Report("bits", [table], faults=["a fault"]), rounds=9)
    folder = tmp_path / "performance"
    assert main(["page", str(first), str(second), "--output", str(folder)]) == 0
    assert {file.name for file in folder.iterdir()} == {
        *("_summary.md", "dense-layers.md", "pointwise-layers.md"),
        *("ratio-float32-1.png", "roofline-float32-1.png", "call-ratio-float32-1.png"),
    }
    text = (folder / "_summary.md").read_text()
    for words in (
        "abacus",
        "5; 9",
        "1 of 2 bars were met, 1 missed",
        "A table of bits",
        "- a fault",
        "- networks: A remark.",
    ):
        assert words in text
    assert text.index("asked two") < text.index("asked one")
    assert "**missed**" in text
    assert "## Functional calls" in text
    assert "geometric mean 1.00, from 0.50 to 2.00, 1 below 1." in text
    # In one row of a table the lower ratio comes first.
    assert text.index("| 512 1x1" if POINTWISE.name.startswith("512") else f"| {POINTWISE.name}") < text.index(
        f"| {DENSE.name}"
    )
    assert f"| {DENSE.name} | {PEERS[0]} | 1000.0 | 2000.0 | 2.00 |" in (folder / "dense-layers.md").read_text()


def test_what_one_run_judged_no_other_run_takes_back(tmp_path: Path) -> None:
    one = [report.Bar("first", "1.0", met=False), report.Bar("second", "-", met=None)]
    other = [
        report.Bar("first", "-", met=None),
        report.Bar("second", "2.0", met=True),
        report.Bar("third", "-", met=None),
    ]
    files = [
        written(tmp_path / "a.jsonl", [], report.Report("networks", bars=one, faults=["a fault"])),
        written(tmp_path / "b.jsonl", [], report.Report("networks", bars=other)),
    ]
    found = page.Results.of(files).reports["networks"]
    assert [(bar["asked"], bar["met"]) for bar in found["bars"]] == [
        ("first", False),
        ("second", True),
        ("third", None),
    ]
    assert found["faults"] == ["a fault"]


def test_void_rows_are_shown() -> None:
    table = page.compact([row({OURS: 1.0, PEERS[0]: 2.0}, {OURS: 3.0}), row({OURS: 1.0})])
    assert [line[table.columns.index("ratio")] for line in table.rows] == ["void", "-"]


def test_sweeps_are_drawn_where_none_of_their_layers_is_missing(tmp_path: Path) -> None:
    rows = [of_networks(row({OURS: 1e-3}, layer=layer)) for layer in sets.sweeps()]
    results = page.Results.of([written(tmp_path / "a.jsonl", rows)])
    assert {name for of in results.of_sweeps() for name in of.names} == set(sets.SWEEPS)
    page.write([tmp_path / "a.jsonl"], tmp_path / "performance")
    assert (tmp_path / "performance" / "sweep-cost-float32-1.png").exists()
    assert page.Results.of([written(tmp_path / "b.jsonl", rows[1:])]).of_sweeps() == []


def test_the_ladder_has_a_part_of_its_own(tmp_path: Path) -> None:
    rung = measure.Rung("plan", DENSE, np.ones(3), np.full(3, 1e11), 0.5)
    of = report.Report("ladder", [measure.table([rung])], notes=["On an abacus.", "Picture: no"])
    of.data["rungs"] = [rung.data()]
    folder = tmp_path / "performance"
    page.write([written(tmp_path / "a.jsonl", [], of)], folder)
    text = (folder / "_ladder.md").read_text()
    assert "Measured on abacus, with Python 3.12, NumPy 2" in text
    assert "](performance/ladder.png)" in text
    assert "Picture" not in text


@pytest.mark.parametrize("text", ["", "no JSON\n", '{"row": 1}\n', '{"run": {}, "begun": ""}\n{"row": {}}\n'])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(SystemExit, match="is no record of a benchmark"):
        main(["page", str(file)])


def test_a_page_needs_files(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["page"])
    assert "page needs files" in capsys.readouterr().err


def test_a_report_keeps_tables_that_a_screen_shows() -> None:
    long = report.Table("Long", ["word"], [["word"]] * (report.LONGEST + 1))
    short = report.Table("Short", ["word"], [["word"]])
    kept = json.loads(json.dumps(report.Report("toy", [long, short]).document()))["tables"]
    assert [table["title"] for table in kept] == ["Short"]
