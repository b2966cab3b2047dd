"""What it costs to begin: the import, and a first call with a warm or an empty cache, each in a fresh process."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bench.intervals import interval
from bench.progress import progress
from bench.report import Bar, Report, Table

REPETITIONS, QUICK_REPETITIONS = 25, 2
COLD_REPETITIONS, QUICK_COLD_REPETITIONS = 3, 1
IMPORT_BAR = 0.1
FIRST_CALL_BAR = 0.8
# The first call by itself, after the import.
COLD_CALL_BAR, WARM_CALL_BAR = 4.0, 0.5

# The clock of the process itself begins after the interpreter has; the clock outside sees that too, and the end.
BEGIN = "import time; begin = time.perf_counter()"
LAST = "last = time.perf_counter()"
END = """
end, cpu = time.perf_counter(), time.process_time()
import json, sys
print(json.dumps([end - begin, end - last, cpu, 'numba' in sys.modules]))
"""
IMPORTS = {"import numpy": "import numpy as np", "import numpy, npconv": "import numpy as np, npconv as nc"}
FIRST_CALLS = {
    "conv2d": "nc.conv2d(np.ones((1, 8, 32, 32), 'f4'), np.ones((8, 8, 3, 3), 'f4'), padding=1)",
    "depthwise_conv2d": "nc.depthwise_conv2d(np.ones((1, 8, 32, 32), 'f4'), np.ones((8, 1, 3, 3), 'f4'), padding=1)",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One fresh process: seconds by its own clock, of its last statement, by ours, that it computed; and whether it imported Numba."""

    inside: float
    last: float
    outside: float
    cpu: float
    numba: bool


def fresh(program: Sequence[str], cache: str) -> Run:
    """Run statements in a fresh process whose kernels are cached in a folder of our choice."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", "\n".join([BEGIN, *program[:-1], LAST, program[-1], END])]
    start = time.perf_counter()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    outside = time.perf_counter() - start
    inside, last, cpu, numba = json.loads(result.stdout)
    return Run(inside, last, outside, cpu, numba)


def measure(*, quick: bool) -> Report:
    """Start many processes, in turns, and hold the medians to the bars."""
    report = Report("startup")
    programs = {**{name: [line] for name, line in IMPORTS.items()}, **first_calls()}
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    cold = QUICK_COLD_REPETITIONS if quick else COLD_REPETITIONS
    warm = QUICK_REPETITIONS if quick else REPETITIONS
    with tempfile.TemporaryDirectory() as folder, progress(cold + warm) as step:
        # Python's own bytecode is there before anything is timed.
        fresh(["import npconv.functional"], folder)
        for r in range(cold):
            step("startup: empty caches")
            for name, program in first_calls().items():
                runs.setdefault(cold_name(name), []).append(fresh(program, f"{folder}/{name} {r}"))
        for _ in range(warm):
            step("startup: warm caches")
            for name, program in programs.items():
                # What the first of the runs above has compiled.
                runs[name].append(fresh(program, f"{folder}/{name} 0"))
    report.tables.append(table(runs))
    report.bars.extend(bars(runs, quick=quick))
    if any(run.numba for run in runs["import numpy, npconv"]):
        report.faults.append("import npconv imports Numba")
    report.data["runs"] = {name: [asdict(run) for run in of] for name, of in runs.items()}
    return report


def first_calls() -> dict[str, list[str]]:
    """Return the programs that import and make one call, by name."""
    return {f"import, {name}": [IMPORTS["import numpy, npconv"], call] for name, call in FIRST_CALLS.items()}


def cold_name(name: str) -> str:
    """Return what a program is called where its cache is empty."""
    return f"{name}, empty cache"


def medians(runs: Sequence[Run]) -> list[float]:
    """Return the median seconds by the inner clock, of the last statement, by the outer clock, and of computing."""
    seconds = [(run.inside, run.last, run.outside, run.cpu) for run in runs]
    return [float(median) for median in np.median(seconds, axis=0)]


def table(runs: dict[str, list[Run]]) -> Table:
    """Return what was measured, in milliseconds."""
    rows = [
        [name, str(len(of)), *(f"{seconds * 1e3:.1f}" for seconds in medians(of)), "yes" if of[0].numba else "no"]
        for name, of in runs.items()
    ]
    return Table(
        "Fresh processes, medians",
        ["program", "runs", "inside ms", "last line ms", "outside ms", "CPU ms", "Numba"],
        rows,
    )


def added(both: Sequence[float], alone: Sequence[float]) -> tuple[float, float]:
    """Return the difference of two medians, and the upper end of its 95 % interval."""
    more, less = np.array(both), np.array(alone)
    _, high = interval(lambda picks: np.median(more[picks], axis=1) - np.median(less[picks], axis=1), len(more))
    return float(np.median(more) - np.median(less)), high


def bars(runs: dict[str, list[Run]], *, quick: bool) -> list[Bar]:
    """Return what the import adds, by the clock that saw more of it, and the slower of the first calls."""
    both, alone = runs["import numpy, npconv"], runs["import numpy"]
    adds, at_most = max(
        added([run.inside for run in both], [run.inside for run in alone]),
        added([run.outside for run in both], [run.outside for run in alone]),
    )
    first = {name: medians(runs[name])[0] for name in first_calls()}
    warm = {name: medians(runs[name])[1] for name in first_calls()}
    cold = {name: medians(runs[cold_name(name)])[1] for name in first_calls()}
    return [
        Bar(
            f"import npconv adds at most {IMPORT_BAR} s to import numpy",
            f"{adds * 1e3:.1f} ms, up to {at_most * 1e3:.1f} (95 %)",
            None if quick else adds <= IMPORT_BAR,
        ),
        slowest("imports and first float32 call with a warm cache", first, FIRST_CALL_BAR, quick=quick),
        slowest("first float32 call with an empty cache, after the imports,", cold, COLD_CALL_BAR, quick=quick),
        slowest("first float32 call with a warm cache, after the imports,", warm, WARM_CALL_BAR, quick=quick),
    ]


def slowest(what: str, seconds: Mapping[str, float], most: float, *, quick: bool) -> Bar:
    """Return the bar that the slowest program takes at most so many seconds."""
    name = max(seconds, key=lambda name: seconds[name])
    measured = f"{seconds[name]:.3f} s, {name}"
    return Bar(f"{what} at most {most} s", measured, None if quick else seconds[name] <= most)
