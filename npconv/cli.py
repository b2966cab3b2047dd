"""The command `npconv`: its parser, and how it ends. What each command does stands in `npconv.commands`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import npconv
from npconv.commands import FAILED, MISUSED, bench, check, count, demo, explain, explain_number, versions

COMMANDS = (explain, count, explain_number, check, bench, demo, versions)
EXIT_CODES = (
    "exit codes: 0 if all went well, 1 if something was found wrong, 2 if a command was misused or lacks something"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with arguments, by default those of the process, and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, without the name of the command.

    Returns
    -------
    int
        0 if all went well, 1 if something was found wrong, 2 if a command was misused or lacks something.

    Examples
    --------
    >>> main(["--version"])
    Traceback (most recent call last):
        ...
    SystemExit: 0
    """
    arguments = command_line().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads, `head` for one, has read enough. What is left goes nowhere, and nothing is said of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ValueError, MemoryError, OSError, ModuleNotFoundError) as fault:
        missing = fault.filename if isinstance(fault, FileNotFoundError) else None
        print(
            f"npconv: {f'there is no file {missing}. Did you mean another path?' if missing else fault}",
            file=sys.stderr,
        )
        return MISUSED
    return code


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="npconv", description="Convolution, every operation counted.", epilog=EXIT_CODES, allow_abbrev=False
    )
    parser.add_argument(
        "--version", action="version", version=f"npconv {npconv.__version__}", help="print the version and exit"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser
