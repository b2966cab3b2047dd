"""`npconv count`: a network layer by layer."""

import argparse
import json

from npconv.commands import OK
from npconv.commands.options import Commands, add_command, add_formats
from npconv.console import print_csv, print_line, print_rows

# What a narrow terminal does without, first things first; another format has all of it.
SPARE = ("input", "bytes", "stride", "runs", "op/byte", "additions", "groups", "field", "output", "method")
REMARKS = """\
products and additions: every tap is counted, those on padding zeros too; padding is their share of the products
bytes: input, weights and output in float32, each moved once; op/byte: products and additions for each of them
field: rows and columns of the image that one output depends on, where the layers are a chain"""
REMARK_ON_PLANS = "utilised: useful share of the products that the method would execute, idle vector lanes included"


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "count a network layer by layer: shapes, parameters, products, additions, bytes, receptive fields"
    parser = add_command(commands, "count", about, run)
    parser.add_argument("network", metavar="NETWORK", help="a name, such as mobilenet-v1")
    parser.add_argument(
        "--plan", action="store_true", help="also show which method would run, and what share of its work is useful"
    )
    add_formats(parser, "layer")


def run(arguments: argparse.Namespace) -> int:
    """Count a network."""
    # Networks are not needed by other commands.
    from npconv import layer_table
    from npconv.networks import network

    net = network(arguments.network)
    table = layer_table.lines(net, planned=arguments.plan)
    if arguments.csv:
        print_csv([layer_table.record(line) for line in table])
        return OK
    if arguments.json:
        print(json.dumps(layer_table.as_json(net, table), indent=2))
        return OK
    print_line(layer_table.heading(net), "bold")
    print_rows(layer_table.rows(table), spare=SPARE, words=("method",))
    for line in layer_table.remarks(net):
        print_line(line)
    if net.published:
        print_rows(layer_table.published(net), words=("of", "", "where", "note"))
    return OK
