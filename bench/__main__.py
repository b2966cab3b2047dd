"""``python -m bench [layers | counting | startup]``, from the root of the repository; all three if none is named."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report import Report


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure npconv: its speed beside other libraries, that counting is free, what it costs to begin.",
        epilog="The exit status is 1 if a result is wrong, or if a run that is not --quick misses a bar.",
    )
    add = parser.add_argument
    add("command", nargs="?", choices=["layers", "counting", "startup"], help="only this; by default all three")
    add("--quick", action="store_true", help="see that everything runs, in about a minute; judges no bar")
    add("--dtype", choices=["float32", "float64"], help="default: float32, and for layers that are not --quick both")
    add("--threads", type=int, default=1, metavar="N", help="threads and cores of each engine in layers (default: 1)")
    add(
        "--peers",
        metavar="NAMES",
        help="pytorch,onnxruntime,openvino or some of them, or none (default: all installed)",
    )
    add("--only", default="", metavar="WORDS", help="only layers whose name contains this, such as 'depthwise'")
    add("--json", type=Path, metavar="FILE", help="write the numbers to a file as well")
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.threads <= (os.cpu_count() or 1):
        parser.error(f"--threads {chosen.threads}, but this machine has {os.cpu_count()} cores")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        parser.error("NUMBA_DISABLE_JIT is set: there is nothing to measure in kernels that are not compiled")
    return chosen


def engines(peers: str | None) -> list[str]:
    """Return the names of the engines that take part: ours and the peers that were named, or all."""
    from bench.engines import ENGINES
    from bench.rows import OURS

    labels = {label.lower().replace(" ", ""): label for label in ENGINES if label != OURS}
    named = list(labels) if peers is None else [name for name in peers.lower().split(",") if name != "none"]
    if unknown := set(named) - set(labels):
        raise SystemExit(f"bench: no peer is called {', '.join(sorted(unknown))}; there are {', '.join(labels)}")
    return [OURS, *(labels[name] for name in named)]


def reports(chosen: argparse.Namespace) -> Iterator["Report"]:
    """Yield the reports that were asked for, one by one."""
    # Imported here: each worker imports this module first, and has to choose its threads before it imports NumPy.
    from bench import counting, speed, startup
    from bench.layers import LAYERS, select

    if not select(chosen.only):
        raise SystemExit(
            f"bench: no layer's name contains {chosen.only!r}; there are {', '.join(of.name for of in LAYERS)}"
        )
    quick: bool = chosen.quick
    if chosen.command in (None, "layers"):
        dtypes = [chosen.dtype] if chosen.dtype else ["float32"] if quick else ["float32", "float64"]
        for dtype in dtypes:
            yield speed.measure(select(chosen.only), engines(chosen.peers), dtype, chosen.threads, quick=quick)
    if chosen.command in (None, "counting"):
        layers = select(chosen.only, one_of_each=quick)
        yield counting.measure(layers, chosen.dtype or "float32", quick=quick)
    if chosen.command in (None, "startup"):
        yield startup.measure(quick=quick)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and return the exit status."""
    from bench.report import progress_ends, show, write_json

    chosen = options(arguments)
    done = []
    for report in reports(chosen):
        progress_ends()
        show(report)
        done.append(report)
    if chosen.json is not None:
        write_json(chosen.json, done)
    good = all(not report.faults and all(bar.met is not False for bar in report.bars) for report in done)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
