"""`npconv explain-number`: which convention makes a number that a paper or a tool prints."""

import argparse
import json

from npconv.commands import FAILED, OK
from npconv.commands.options import Commands, add_command, add_formats, add_target
from npconv.console import print_csv, print_line

EPILOG = (
    "exit codes: 0 if some convention makes the number, 1 if none does, 2 if the command was misused or lacks something"
)


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "find how a number in print was counted: products or both, biases, layers left out, units, tools"
    parser = add_command(commands, "explain-number", about, run, epilog=EPILOG)
    parser.add_argument("number", metavar="NUMBER", help="as it is printed: 569e6, 569M, 4.2G, 25,028,904 or 94.86%%")
    add_target(parser, "--network", required=True)
    parser.add_argument(
        "--quantity",
        choices=("operations", "parameters", "share", "receptive field"),
        help="what it is a number of, if that is known",
    )
    add_formats(parser, "convention")


def run(arguments: argparse.Namespace) -> int:
    """Explain a number."""
    # Other commands need no networks.
    from npconv.explanation import explain_number
    from npconv.networks import load

    net = load(arguments.network, input_shape=arguments.input_shape)
    found = explain_number(net, arguments.number, quantity=arguments.quantity)
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2))
    elif arguments.csv:
        print_csv([each.to_json() for each in found.explanations or found.nearest])
    else:
        print_line(str(found))
    return OK if found.reproduced else FAILED
