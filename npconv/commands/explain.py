"""`npconv explain`: one layer in several forms, with the formulas."""

import argparse
import json

from npconv import layer_forms
from npconv.commands import OK
from npconv.commands.options import Commands, add_command, add_formats, padding, size, sizes
from npconv.console import print_csv, print_line, print_rows


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "compare one layer as standard, grouped, depthwise and separable: parameters, products, additions, and the formulas"
    parser = add_command(commands, "explain", about, run)
    parser.add_argument("x", metavar="NxCxHxW", type=sizes, help="shape of the input, such as 1x32x56x56")
    parser.add_argument(
        "--out", metavar="O", type=int, required=True, help="number of filters, the channels of the output"
    )
    parser.add_argument(
        "-k", "--kernel", metavar="K", type=size, required=True, help="rows and columns of a filter: 3 or 3x5"
    )
    parser.add_argument("-s", "--stride", metavar="S", type=size, default=1, help="3 or 3x5 (default: %(default)s)")
    parser.add_argument(
        "-p",
        "--padding",
        metavar="P",
        type=padding,
        default=0,
        help="3, 3x5, valid, same or same_lower (default: %(default)s)",
    )
    parser.add_argument(
        "-d", "--dilation", metavar="D", type=size, default=1, help="3 or 3x5; 1 means none (default: %(default)s)"
    )
    parser.add_argument(
        "-g",
        "--groups",
        metavar="G",
        type=int,
        help="groups of the grouped form (default: the first of 4, 3, 2, 1 to divide C and O)",
    )
    parser.add_argument(
        "--bias", action="store_true", help="count a bias; that of the separable form belongs to its 1x1 convolution"
    )
    add_formats(parser, "stage")


def run(arguments: argparse.Namespace) -> int:
    """Compare the forms of a layer."""
    forms = layer_forms.forms(
        arguments.x,
        arguments.out,
        arguments.kernel,
        stride=arguments.stride,
        padding=arguments.padding,
        dilation=arguments.dilation,
        groups=arguments.groups,
        bias=arguments.bias,
    )
    if arguments.json:
        print(json.dumps(layer_forms.as_json(forms), indent=2))
        return OK
    if arguments.csv:
        print_csv([*layer_forms.records(forms)])
        return OK
    print_line(layer_forms.heading(forms), "bold")
    print_rows(layer_forms.rows(forms))
    for name, lines in layer_forms.derivations(forms):
        print_line(f"\n{name}", "bold")
        for line in lines:
            print_line(f"  {line}")
    print_line("\nWhat counting tools would print, and what articles say", "bold")
    print_rows(layer_forms.tools(forms), spare=("which are",), words=("which are",))
    return OK
