"""What several commands take."""

import argparse
from collections.abc import Callable
from typing import Any, Protocol


class Commands(Protocol):
    """What `argparse.ArgumentParser.add_subparsers` returns, whose class has no public name."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """Add a parser for a command."""


def add_command(
    commands: Commands, name: str, about: str, run: Callable[[argparse.Namespace], int], **options: Any
) -> argparse.ArgumentParser:
    """Add a command, which `run` carries out, and return its parser."""
    description = f"{about[0].upper()}{about[1:]}."
    parser = commands.add_parser(name, help=about, description=description, allow_abbrev=False, **options)
    parser.set_defaults(run=run)
    return parser


def add_formats(parser: argparse.ArgumentParser, unit: str) -> None:
    """Let a command print for other programs; CSV has a line for each unit."""
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print JSON")
    formats.add_argument("--csv", action="store_true", help=f"print CSV, a line for each {unit}")


def add_target(parser: argparse.ArgumentParser, name: str, **options: Any) -> None:
    """Let a command take a network: as an argument, or as an option if the name begins with dashes."""
    about = "a name, such as mobilenet-v1; a file, model.onnx; or package.module:factory, which makes a PyTorch module"
    parser.add_argument(name, metavar="NETWORK", help=about, **options)
    parser.add_argument(
        "--input-shape", metavar="NxCxHxW", type=sizes, help="shape of a model's input, where the model does not tell"
    )


def sizes(text: str) -> tuple[int, ...]:
    """Read sizes, such as 1x32x56x56 or 1,32,56,56."""
    try:
        return tuple(int(number) for number in text.replace(",", "x").split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not made of integers, as 3 or 3x5 is") from None


def size(text: str) -> int | tuple[int, ...]:
    """Read one size for rows and columns, or one for each; how many there may be is for the library to say."""
    numbers = sizes(text)
    return numbers[0] if len(numbers) == 1 else numbers


def padding(text: str) -> str | int | tuple[int, ...]:
    """Read padding, in numbers or as a word."""
    return text if text.replace("_", "").isalpha() else size(text)
