"""The demo: a photograph through five layers, the table of what they executed, and the picture."""

import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from npconv import cli, demo
from npconv.counts import OpCount

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Shown:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str
    picture: Path

    @property
    def table(self) -> dict[str, list[str]]:
        """The rows of the table by their labels, the first of each label."""
        found: dict[str, list[str]] = {}
        for line in self.out.splitlines()[1:]:
            found.setdefault(line[:12].strip(), line[12:].split())
        return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    picture = tmp_path_factory.mktemp("demo") / "picture.png"
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = cli.main(["demo", "--output", str(picture)])
    return Shown(code, out.getvalue(), err.getvalue(), picture)


@pytest.fixture(scope="module")
def photo() -> Array:
    return demo.photograph()


@pytest.fixture(scope="module")
def runs(photo: Array) -> dict[str, demo.Run]:
    reports: list[str] = []
    results = {run.layer.name: run for run in demo.run_all(photo, reports.append)}
    assert [report.partition(":")[0] for report in reports] == list(results)
    return results


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, runs: dict[str, demo.Run]) -> Callable[..., None]:
    """Return what makes the command take runs that are there already, changed as asked, and draw nothing."""

    def prepare(**changes: Any) -> None:
        changed = [replace(run, **changes) for run in runs.values()]
        monkeypatch.setattr(demo, "run_all", lambda photo, report: changed)
        monkeypatch.setattr(demo, "draw", lambda photo, runs, path: (1, 1))

    return prepare


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the demo, which has to refuse, and return what it says."""
    assert cli.main(["demo", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_the_command_succeeds(shown: Shown) -> None:
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.isascii()
    assert "\x1b" not in shown.out
    assert shown.out.startswith("Grace Hopper, 600 rows x 512 columns x 3 colours")
    assert shown.out.rstrip().splitlines()[-1].startswith(f"Picture: {shown.picture}")


def test_the_table_holds_the_numbers_worked_by_hand(shown: Shown) -> None:
    table = shown.table
    assert table[""] == ["standard", "depthwise", "grouped", "shuffle", "separable"]
    assert table["weight"] == ["4x3x7x7", "12x1x13x13", "12x4x3x3", "-", "3x1x5x5"]
    assert table["output"] == ["1x4x600x512", *["1x12x600x512"] * 3, "1x3x600x512"]
    assert table["parameters"] == ["588", "2,028", "432", "0", "84"]
    # Along an axis of n pixels, 7 taps at padding 3 miss 3 + 2 + 1 pixels at either end, 13 taps at padding 6 miss 21.
    pixels = 600 * 512
    standard = 4 * 3 * (600 * 7 - 12) * (512 * 7 - 12)
    depthwise = 12 * (600 * 13 - 42) * (512 * 13 - 42)
    grouped = 12 * 4 * (600 * 3 - 2) * (512 * 3 - 2)
    separable = 3 * (600 * 5 - 6) * (512 * 5 - 6) + 9 * pixels
    useful = [standard, depthwise, grouped, 0, separable]
    dense = [pixels * products for products in (4 * 147, 12 * 169, 12 * 36, 0, 3 * 25 + 9)]
    assert table["products"] == [f"{n:,}" for n in dense]
    assert table["useful"] == [f"{n:,}" for n in useful]
    assert table["on padding"] == [f"{a - b:,}" for a, b in zip(dense, useful, strict=True)]
    assert table["additions"] == [f"{pixels * n:,}" for n in (4 * 146, 12 * 168, 12 * 35, 0, 3 * 24 + 6)]
    assert table["moved"][3] == f"{12 * pixels:,}"
    assert table["as predicted"] == table["closed form"] == ["yes"] * 5


def test_the_table_holds_the_counts_of_the_loops(runs: dict[str, demo.Run]) -> None:
    table = {row[0]: row[1:] for row in demo.rows(list(runs.values()))}
    for i, run in enumerate(runs.values()):
        assert run.agrees
        y, counts = run.y, run.counts
        assert table["executed mul"][i] == f"{counts.executed_mul:,}"
        assert table["executed add"][i] == f"{counts.executed_add:,}"
        assert table["output"][i] == "x".join(map(str, y.shape))
        assert run.seconds > 0
        assert run.first_seconds > 0
        assert run.method == (run.plan.method if run.plan else "shuffle")


def test_layers_do_what_the_picture_says(photo: Array, runs: dict[str, demo.Run]) -> None:
    blurs = runs["depthwise"].y.reshape(3, 4, 600, 512)
    # The first blur of each colour is none, and each further one leaves less of the differences between neighbours.
    np.testing.assert_array_equal(blurs[:, 0], photo[0])
    roughness = np.abs(np.diff(blurs[:, :, 100:500, 100:400])).mean(axis=(2, 3))
    assert (np.diff(roughness, axis=1) < 0).all()
    grouped, shuffled = runs["grouped"].y[0], runs["shuffle"].y[0]
    np.testing.assert_array_equal(shuffled.reshape(4, 3, 600, 512), grouped.reshape(3, 4, 600, 512).swapaxes(0, 1))
    np.testing.assert_array_equal(demo.strips(runs["depthwise"].y[0])[:, :, 128:256], blurs[:, 1, :, 128:256])
    assert demo.strips(runs["depthwise"].y[0]).shape == photo[0].shape


@pytest.mark.parametrize(("degrees", "step"), [(0, (0, 1)), (45, (-1, 1)), (90, (-1, 0)), (135, (-1, -1))])
def test_edges_point_where_they_say(degrees: int, step: tuple[int, int]) -> None:
    rows, columns = np.indices((9, 9))
    rising = {
        (r, c): np.sum((r * rows + c * columns) * demo.edge(9, 2.5, degrees))
        for r, c in [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, 0)]
    }
    assert max(rising, key=lambda direction: rising[direction] / np.hypot(*direction)) == step
    # On a flat image the two halves cancel.
    slope = demo.edge(7, 1.5, degrees)
    np.testing.assert_allclose(slope, -slope[::-1, ::-1], rtol=0, atol=1e-16)


def test_blurs_keep_brightness() -> None:
    for width in demo.BLURS:
        blur = demo.gaussian(13, width)
        assert blur.sum() == pytest.approx(1, abs=1e-15)
        np.testing.assert_array_equal(blur, blur[::-1, ::-1].T)
    assert np.count_nonzero(demo.gaussian(13, 0)) == 1


def test_the_picture_is_a_png_of_the_size_that_is_told(shown: Shown) -> None:
    assert shown.picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(shown.picture) as file:
        width, height = file.size
        pixels = np.asarray(file.convert("RGB"), float)
    assert f"({width} x {height} pixels)" in shown.out
    assert width == 16 * demo.DPI
    sheet = demo.Sheet(600 / 512)
    assert abs(height - sheet.height * demo.DPI) <= 1
    boxes = [sheet.panel(column, row) for column in range(4) for row in range(2)]
    boxes += [sheet.thumbnail(i, block, row) for i in range(12) for block, row in ((4, 0), (3, 1))]
    inside = np.zeros((height, width), bool)
    for left, top, box_width, box_height in boxes:
        assert 0 <= left < left + box_width <= sheet.width
        assert 0 <= top < top + box_height <= sheet.height
        a, b, c, d = (round(inches * demo.DPI) for inches in (top, top + box_height, left, left + box_width))
        assert pixels[a + 5 : b - 5, c + 5 : d - 5].std() > 5, "an image is missing"
        assert not inside[a:b, c:d].any(), "images overlap"
        inside[a:b, c:d] = True
    assert (pixels[:5] == 255).all()


@pytest.mark.parametrize("ratio", [1e-3, 0.4, 1.0, 1.6, 1e3])
def test_sheets_are_of_sensible_size(ratio: float) -> None:
    sheet = demo.Sheet(ratio)
    assert 0.5 < sheet.height / sheet.width < 1.6
    left, _, width, _ = sheet.panel(3, 1)
    assert left + width == pytest.approx(sheet.width - sheet.margin)
    for block, row in ((4, 0), (3, 1)):
        left, _, width, _ = sheet.thumbnail(11, block, row)
        assert left + width == pytest.approx(sheet.width - sheet.margin)


def test_nothing_to_see_is_grey() -> None:
    assert (demo.relief(np.zeros((4, 4))) == 0.5).all()


def test_a_count_that_disagrees_fails_the_demo(
    quick: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quick(predicted=OpCount(mul=1))
    assert cli.main(["demo", "--output", str(tmp_path / "picture.png")]) == 1
    captured = capsys.readouterr()
    assert captured.err == "npconv: a count is not what was predicted; this is a bug, please report it\n"
    assert captured.out.count("NO") == 5


def test_a_closed_form_that_disagrees_is_noticed(runs: dict[str, demo.Run]) -> None:
    for run in runs.values():
        assert not replace(run, closed_form=run.closed_form + OpCount(padding_add=1)).agrees


def test_a_photograph_of_one_s_own(
    quick: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quick()
    path = tmp_path / "own.png"
    Image.new("RGB", (30, 20), (255, 0, 51)).save(path)
    assert cli.main(["demo", "--image", str(path), "--output", str(tmp_path / "picture.PNG")]) == 0
    assert capsys.readouterr().out.startswith(f"{path}, 20 rows x 30 columns x 3 colours")
    photo = demo.photograph(path)
    assert photo.shape == (1, 3, 20, 30)
    assert photo.dtype == np.float32
    np.testing.assert_array_equal(photo[0, :, 7, 11], np.array([1, 0, 51 / 255], np.float32))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_photographs_of_any_mode(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "own.tiff"
    Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode).save(path)
    np.testing.assert_array_equal(demo.photograph(path), np.ones((1, 3, 4, 6), np.float32))


def test_large_photographs_are_shrunk_and_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    # Orientation 6: the camera lay on its side.
    exif[0x0112] = 6
    Image.new("RGB", (2000, 100)).save(path, exif=exif)
    assert demo.photograph(path).shape == (1, 3, demo.LONGEST_SIDE, 51)


def test_files_that_are_no_photograph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("no picture")
    Image.effect_noise((64, 64), 50).save(cut)
    cut.write_bytes(cut.read_bytes()[:500])
    for path in (text, cut, tmp_path / "missing.png", tmp_path):
        message = refused(capsys, "--image", str(path), "--output", str(tmp_path / "picture.png"))
        assert message.startswith(f"npconv: cannot read the photograph {path}: ")
        assert message.endswith("Is it a picture?\n")
    assert not (tmp_path / "picture.png").exists()


def test_a_matplotlib_without_its_photograph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(mpl, "get_data_path", lambda: str(tmp_path))
    assert "npconv demo --image PATH" in refused(capsys, "--output", str(tmp_path / "picture.png"))


def test_outputs_that_cannot_be_written(
    quick: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quick()
    assert f"Did you mean {tmp_path / 'a.png'}?" in refused(capsys, "--output", str(tmp_path / "a.jpg"))
    assert "there is no folder" in refused(capsys, "--output", str(tmp_path / "nowhere" / "a.png"))


@pytest.mark.parametrize(
    ("missing", "names"),
    [(["rich"], "rich"), (["matplotlib"], "matplotlib"), (["rich", "matplotlib"], "rich and matplotlib")],
)
def test_packages_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: list[str], names: str
) -> None:
    for package in missing:
        monkeypatch.setitem(sys.modules, package, None)
    assert refused(capsys) == f'npconv: the demo needs {names}. Install with: pip install "npconv[demo]"\n'
