"""`npconv count`: a network or a model layer by layer."""

import argparse
import json

from npconv.commands import OK
from npconv.commands.options import Commands, add_command, add_formats, add_target
from npconv.console import print_csv, print_line, print_rows

# What a narrow terminal does without, first things first; another format has all of it.
SPARE = ("input", "bytes", "stride", "runs", "op/byte", "additions", "groups", "field", "output", "method")
COLUMNS = """\
what the columns are:
  products, additions  those of every tap, on padding zeros too; with --json apart
  padding              share of the products that meet padding zeros
  bytes                input, weights and output in float32, each moved once in each run
  op/byte              products and additions for each of these bytes
  field                rows and columns of the image that an output depends on, where that is known
  method, utilised     with --plan: what this library would run, and the useful share of all products that it would execute
"""


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "count a network layer by layer: shapes, parameters, products, additions, bytes, receptive fields"
    parser = add_command(
        commands, "count", about, run, epilog=COLUMNS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_target(parser, "network")
    parser.add_argument(
        "--plan", action="store_true", help="also show which method would run, and what share of its work is useful"
    )
    add_formats(parser, "layer")


def run(arguments: argparse.Namespace) -> int:
    """Count a network."""
    # Other commands need no networks.
    from npconv import layer_table
    from npconv.networks import load

    net = load(arguments.network, input_shape=arguments.input_shape)
    if not net.layers:
        raise ValueError(f"count: {arguments.network} has no layers. Did you mean another network?")
    table = layer_table.lines(net, planned=arguments.plan)
    if arguments.csv:
        print_csv([layer_table.record(line) for line in table])
        return OK
    if arguments.json:
        print(json.dumps(layer_table.as_json(net, table), indent=2))
        return OK
    print_line(layer_table.heading(net), "bold")
    print_rows(layer_table.rows(net, table), spare=SPARE, words=("method",))
    for line in layer_table.remarks(net):
        print_line(line)
    if net.published:
        print_rows(layer_table.published(net), words=("which is", "where"))
    return OK
