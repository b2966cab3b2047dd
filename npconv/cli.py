"""The command `npconv`: arguments in, text out. Nothing is computed here, and all that is printed is printed here."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import npconv
from npconv import explain

if TYPE_CHECKING:
    from rich.console import Console

FAILED, MISUSED = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with arguments, by default those of the process, and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, without the name of the command.

    Returns
    -------
    int
        0 if all went well, 1 if the demo finds a count wrong, 2 if the command was misused or lacks something.

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
        print(f"npconv: {fault}", file=sys.stderr)
        return MISUSED
    return code


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="npconv", description="Convolution, every operation counted.", allow_abbrev=False
    )
    parser.add_argument(
        "--version", action="version", version=f"npconv {npconv.__version__}", help="print the version and exit"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, about: str, run: Callable[[argparse.Namespace], int], **options: Any
    ) -> argparse.ArgumentParser:
        description = f"{about[0].upper()}{about[1:]}."
        parser = commands.add_parser(name, help=about, description=description, allow_abbrev=False, **options)
        parser.set_defaults(run=run)
        return parser

    about = "measure this library beside others; what follows goes to python -m bench of a clone of the repository"
    # No argument begins with such a prefix: all of them, --help too, are left to the program that runs.
    bench = command("bench", about, run_bench, prefix_chars="\0", add_help=False)
    bench.add_argument("arguments", nargs="*", help="such as networks --quick; see npconv bench --help")
    about = "take a photograph through five layers, count what each executes, draw what each does"
    add_demo_options(command("demo", about, run_demo))
    about = "compare one layer as standard, grouped and separable: parameters, products, additions, with the formulas"
    add_explain_options(command("explain", about, run_explain))
    command("versions", "print what this installation consists of, for a report", run_versions)
    return parser


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """Say what `npconv demo` takes."""
    parser.add_argument(
        "--output",
        metavar="FILE.png",
        type=Path,
        default=Path("npconv-demo.png"),
        help="picture to write (default: %(default)s)",
    )
    parser.add_argument(
        "--image", metavar="PATH", type=Path, help="photograph to take instead of the one that Matplotlib brings"
    )


def add_explain_options(parser: argparse.ArgumentParser) -> None:
    """Say what `npconv explain` takes."""
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
    parser.add_argument("--json", action="store_true", help="print JSON")


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


def run_explain(arguments: argparse.Namespace) -> int:
    """Compare three forms of a layer."""
    forms = explain.explain(
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
        print(json.dumps(explain.as_json(forms), indent=2))
        return 0
    print_line(explain.heading(forms), "bold")
    print_rows(explain.rows(forms))
    for name, lines in explain.derivations(forms):
        print_line(f"\n{name}", "bold")
        for line in lines:
            print_line(f"  {line}")
    return 0


def run_versions(arguments: argparse.Namespace) -> int:
    """Print versions."""
    npconv.show_versions()
    return 0


def run_bench(arguments: argparse.Namespace) -> int:
    """Run the benchmarks, which stand beside this package in the repository and are not installed."""
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
    run: Callable[..., int] = import_module("bench.__main__").main
    return run(arguments.arguments, "npconv bench")


def run_demo(arguments: argparse.Namespace) -> int:
    """Take a photograph through five layers."""
    missing = [package for package in ("rich", "matplotlib") if find_spec(package) is None]
    if missing:
        raise ModuleNotFoundError(f'the demo needs {" and ".join(missing)}. Install with: pip install "npconv[demo]"')
    output: Path = arguments.output
    if output.suffix.lower() != ".png":
        raise ValueError(
            f"the picture is a PNG, but {output} does not end in .png. Did you mean {output.with_suffix('.png')}?"
        )
    if not output.parent.is_dir():
        raise ValueError(
            f"there is no folder {output.parent} to write {output.name} to. Make it, or choose another --output."
        )
    with progress() as report:
        report("loading NumPy and Numba")
        from npconv import demo

        photo = demo.photograph(arguments.image)
        runs = demo.run_all(photo, report)
        report("drawing")
        width, height = demo.draw(photo, runs, output)
    print_line(demo.heading(photo, arguments.image), "bold")
    print_rows(demo.rows(runs))
    for line in demo.remarks(runs):
        print_line(line)
    print_line(f"Picture: {output} ({width} x {height} pixels)", "bold")
    if not all(run.agrees for run in runs):
        print("npconv: a count is not what was predicted; this is a bug, please report it", file=sys.stderr)
        return FAILED
    return 0


def print_rows(rows: list[explain.Row]) -> None:
    """Print rows of text, the first of them the columns' heads: on a terminal by rich, else aligned with spaces."""
    head, *body = rows
    console = terminal()
    if console is None:
        first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
        for label, *cells in rows:
            numbers = (cell.rjust(width) for cell, width in zip(cells, others, strict=True))
            print("  ".join([label.ljust(first), *numbers]).rstrip())
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for i, name in enumerate(head):
        # In a narrow terminal a number goes on below, and none is cut off.
        table.add_column(name, justify="right" if i else "left", style="" if i else "cyan", overflow="fold")
    for row in body:
        table.add_row(*row)
    console.print(table)


def print_line(text: str, style: str = "") -> None:
    """Print one line, in a style if a terminal shows it."""
    console = terminal()
    if console is None:
        print(text)
    else:
        console.print(text, style=style, markup=False, soft_wrap=True)


def terminal() -> "Console | None":
    """Return the terminal that this process prints to, or None where it prints to a file or a pipe, or has no rich."""
    if not sys.stdout.isatty() or find_spec("rich") is None:
        return None
    from rich.console import Console

    return Console(highlight=False)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show what is going on, if the error stream is a terminal, and yield what changes it."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task("")
        yield lambda text: display.update(task, description=text)
