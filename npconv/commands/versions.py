"""`npconv versions`: what an installation consists of."""

import argparse

import npconv
from npconv.commands import OK
from npconv.commands.options import Commands, add_command


def add_to(commands: Commands) -> None:
    """Say what the command takes: nothing."""
    add_command(commands, "versions", "print what this installation consists of, for a report", run)


def run(arguments: argparse.Namespace) -> int:
    """Print versions."""
    npconv.show_versions()
    return OK
