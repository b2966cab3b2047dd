"""`npconv bench`: the benchmarks, which stand beside this package in the repository and are not installed."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import npconv
from npconv.commands.options import Commands, add_command

if TYPE_CHECKING:
    from collections.abc import Callable


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "measure this library beside others; what follows goes to python -m bench of a clone of the repository"
    # No argument begins with such a prefix: all of them, --help too, are left to the program that runs.
    parser = add_command(commands, "bench", about, run, prefix_chars="\0", add_help=False)
    parser.add_argument("arguments", nargs="*", help="such as networks --quick; see npconv bench --help")


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmarks."""
    folders = [Path.cwd(), Path(npconv.__file__).parents[1]]
    root = next((folder for folder in folders if (folder / "bench" / "__main__.py").is_file()), None)
    if root is None:
        raise ModuleNotFoundError(
            "the benchmarks are no part of the installed package. Clone the repository of npconv, run\n"
            '  python -m pip install --editable ".[bench]"\n'
            "in its folder, and call npconv bench again from there"
        )
    # Behind what is installed: the package that is measured is this one.
    sys.path.append(str(root))
    main: Callable[..., int] = import_module("bench.__main__").main
    return main(arguments.arguments, "npconv bench")
