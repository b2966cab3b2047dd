"""``python -m bench COMMAND``, from the root of the repository: `COMMANDS` says which there are."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.worker import cores

COMMANDS = {
    "layers": "twelve layers, beside other libraries",
    "networks": "every convolution of published networks; takes over an hour",
    "calls": "the same layers by the functional call, beside PyTorch's",
    "shuffle": "channel shuffle beside a copy and PyTorch, and folded into a convolution",
    "separable": "depthwise separable convolution in one call and in two, beside PyTorch",
    "counting": "that counting costs nothing",
    "memory": "memory of a large layer at its peak",
    "bits": "that no bit depends on threads, tile, method, batch or fusion; no times",
    "startup": "imports and first calls of fresh processes",
    "ladder": "from the naive loop to the peak, rung by rung",
    "page": "write the tables and pictures of files of JSON lines as a page of the documentation; measures nothing",
}


def options(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Measure npconv: its speed beside other libraries, that counting is free, what it costs to begin.",
        epilog="\n".join(f"  {name:<10} {about}" for name, about in COMMANDS.items())
        + "\n\nWithout a command: layers, counting and startup. The exit status is 1 if a result is wrong, or if a run that is\n"
        "not --quick misses a bar.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "command",
        nargs="?",
        choices=list(COMMANDS),
        metavar="COMMAND",
        help="what to measure; see below",
    )
    add("files", nargs="*", type=Path, metavar="FILE", help="for page: files that --json has written")
    add("--quick", action="store_true", help="see that everything runs, in a minute or three; judges no bar")
    add("--set", metavar="NAME", help="layers to measure: twelve, networks or sweeps (default: as the command)")
    add("--only", default="", metavar="WORDS", help="only layers whose name, class or network contains this")
    add("--batch", type=numbers, metavar="N,..", help="images at once (default: 1, for networks 1,8)")
    add("--threads", type=numbers, metavar="N,..", help="threads and cores of each engine (default: 1; networks 1,2)")
    add("--dtype", type=dtypes, metavar="TYPE,..", help="float32,float64 or one of them (default: both)")
    add("--peers", metavar="NAMES", help="pytorch,onnxruntime,openvino, some or none of them (default: all installed)")
    add(
        "--json",
        "--resume",
        type=Path,
        metavar="FILE",
        help="write each row, as soon as it is measured, to a file of JSON lines; rows that are there are not measured again",
    )
    add("--markdown", type=Path, metavar="FILE", help="write all tables to a page")
    add("--pictures", type=Path, metavar="FOLDER", help="draw ratios, rooflines, sweeps and the ladder into a folder")
    add("--output", type=Path, metavar="FOLDER", help="for page: where it goes (default: docs/performance)")
    chosen = parser.parse_args(arguments)
    if (chosen.command == "page") != bool(chosen.files):
        parser.error("page needs files that --json has written, and nothing else takes files")
    most = len(cores(os.cpu_count() or 1))
    if not all(1 <= n <= most for n in chosen.threads or ()):
        parser.error(f"--threads {','.join(map(str, chosen.threads))}, but there are {most} cores")
    if chosen.pictures is not None and find_spec("matplotlib") is None:
        parser.error("--pictures needs Matplotlib")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        parser.error("NUMBA_DISABLE_JIT is set: there is nothing to measure in kernels that are not compiled")
    return chosen


def numbers(text: str) -> list[int]:
    """Read positive integers, such as 1,8."""
    found = [int(word) for word in text.split(",")]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not positive")
    return found


def dtypes(text: str) -> list[str]:
    """Read types, such as float32,float64."""
    found = text.split(",")
    if unknown := set(found) - {"float32", "float64"}:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is not measured")
    return found


def main(arguments: Sequence[str] | None = None, prog: str = "python -m bench") -> int:
    """Run the benchmarks and return the exit status."""
    chosen = options(arguments, prog)
    # Imported here: each worker imports this module first, and has to choose its threads before it imports NumPy.
    from bench.records import RecordsError
    from bench.run import run

    try:
        return run(chosen)
    except RecordsError as fault:
        raise SystemExit(f"bench: {fault}") from None
    except KeyboardInterrupt:
        kept = "" if chosen.json is None else f"; the same command goes on from {chosen.json}"
        raise SystemExit(f"bench: interrupted{kept}") from None


if __name__ == "__main__":
    sys.exit(main())
