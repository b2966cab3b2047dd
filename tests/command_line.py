"""The command, as the tests run it: in this process or in one of its own, at a terminal or into a pipe."""

import os
import subprocess
import sys

import pytest

from npconv import cli


def piped(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own whose output goes to a pipe; a warning would end it."""
    program = "import sys; from npconv.cli import main; sys.exit(main())"
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, which has to refuse without a traceback, and return what it says."""
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def pretend_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> None:
    """Let standard output, as it is captured now, pass for a terminal."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns)}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
