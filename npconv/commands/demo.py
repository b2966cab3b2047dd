"""`npconv demo`: a photograph through five layers."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from npconv.commands import FAILED, OK
from npconv.commands.options import Commands, add_command
from npconv.console import print_line, print_rows, progress


def add_to(commands: Commands) -> None:
    """Say what the command takes."""
    about = "take a photograph through five layers, count what each executes, draw what each does"
    parser = add_command(commands, "demo", about, run)
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


def run(arguments: argparse.Namespace) -> int:
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
    return OK
