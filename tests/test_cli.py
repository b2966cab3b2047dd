"""The command: where it prints, how it ends, and its shorter parts. The longer ones have files of their own."""

import os
import re
import sys
from pathlib import Path

import pytest

import npconv as nc
from command_line import piped, pretend_terminal, refused
from npconv import cli, console

SMALL = ["explain", "1x2x3x3", "--out", "4", "-k", "2", "-p", "1"]
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def test_a_pipe_gets_plain_text() -> None:
    result = piped(*SMALL, FORCE_COLOR="1", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.isascii()
    assert "\x1b" not in result.stdout


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_terminal(monkeypatch)
    assert cli.main(SMALL) == 0
    text = capsys.readouterr().out
    assert "\x1b[1m" in text
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text
    assert "288" in text


def test_a_narrow_terminal_loses_no_digit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_terminal(monkeypatch, columns=24)
    console.print_rows([("", "head"), ("label", "7" * 50)])
    text = capsys.readouterr().out
    assert text.count("7") == 50
    assert max(len(line) for line in ESCAPES.sub("", text).splitlines()) <= 24


def test_a_narrow_terminal_does_without_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("", "spare", "more", "kept"), ("label", "1" * 9, "2" * 9, "3" * 9)]
    for columns, shown in ((40, "123"), (35, "123"), (34, "23"), (25, "23"), (24, "3"), (10, "3")):
        pretend_terminal(monkeypatch, columns)
        console.print_rows(rows, spare=["spare", "more"])
        text = ESCAPES.sub("", capsys.readouterr().out)
        assert {digit for digit in "123" if digit in text} == set(shown), columns
        named = [name for name, digit in (("spare", "1"), ("more", "2")) if digit not in shown]
        assert ("narrow: " + ", ".join(named) in text) == bool(named)


def test_text_is_not_read_as_markup(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_terminal(monkeypatch)
    console.print_rows([("", "words"), ("a[bold]b", "x[/]y")], words=["words"])
    assert "a[bold]b x[/]y" in ESCAPES.sub("", capsys.readouterr().out)


def test_a_terminal_without_rich_gets_plain_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert cli.main(SMALL) == 0
    text = capsys.readouterr().out
    assert "288" in text
    assert "\x1b" not in text


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the following arguments are required: COMMAND" in refused(capsys)
    assert "invalid choice: 'train'" in refused(capsys, "train")


def test_whoever_stops_reading_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(SMALL) == 1
    # Nothing was raised when the stream was flushed once more, at its end.
    assert stream.closed


def test_version() -> None:
    result = piped("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"npconv {nc.__version__}\n", "")


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["versions"]) == 0
    assert capsys.readouterr().out.startswith(f"npconv       {nc.__version__}\nPython       ")


def test_bench_leaves_its_arguments_to_the_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert "npconv bench: error: unrecognized arguments: --rounds" in refused(
        capsys, "bench", "layers", "--rounds", "2"
    )


def test_bench_says_where_the_benchmarks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nc, "__file__", str(tmp_path / "npconv" / "__init__.py"))
    assert "npconv: the benchmarks are no part of the installed package. Clone" in refused(capsys, "bench", "--quick")


@pytest.mark.parametrize(
    "command", [[], *([one.__name__.rpartition(".")[2].replace("_", "-")] for one in cli.COMMANDS)]
)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: npconv", *command]))


def test_no_option_is_without_help() -> None:
    parser = cli.command_line()
    (commands,) = (action for action in parser._actions if action.dest == "command" or isinstance(action.choices, dict))
    assert commands.choices is not None
    parsers = [parser, *dict(commands.choices).values()]
    assert [
        action.dest for one in parsers for action in one._actions if not action.help and action is not commands
    ] == []
