"""The speed of the layers, beside other libraries: interleaved rounds, medians, every output judged."""

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from bench.clock import INTERRUPTED
from bench.engines import ENGINES
from bench.layers import Layer
from bench.report import Report, progress
from bench.rows import OURS, Row, bars, rows_table
from bench.worker import Worker, cores, working

# Rounds, and seconds for each variant of an engine in a round.
ROUNDS, QUICK_ROUNDS = 40, 3
SLICE, QUICK_SLICE = 0.012, 0.004
# Readers are told of an engine that is busier than this while it should sleep, and of a peak that moved by more.
IDLE_LOAD = 0.02
DRIFT = 0.03


def measure(layers: Sequence[Layer], labels: Sequence[str], dtype: str, threads: int, *, quick: bool) -> Report:
    """Time the layers in every engine that is named, installed and able to, and hold them to the bars."""
    report = Report(f"layers {dtype}")
    present = [label for label in labels if takes_part(label, dtype, report)]
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        calibration = stack.enter_context(working("bench.calibrate:Calibration", own_cache=True))
        progress("calibrating")
        copies, peaks = calibration.call("copies"), [calibration.call("peak", dtype)]
        judge = stack.enter_context(working("bench.judge:Judge"))
        workers = {
            label: stack.enter_context(working(f"bench.engines:{ENGINES[label].__name__}", threads))
            for label in present
        }
        for i, layer in enumerate(layers):
            progress(f"layers {dtype} {i + 1}/{len(layers)}: {layer.name}")
            rows.append(time_layer(layer, dtype, workers, judge, quick=quick))
        interrupted = {label: worker.call("interrupted") for label, worker in workers.items()}
        peaks.append(calibration.call("peak", dtype))
    peak = threads * max(peaks)
    title = f"{dtype}, {threads} thread(s), peak {peak / 1e9:.1f} GF/s; ratio = best peer / {OURS}"
    report.tables.append(rows_table(title, rows, present, peak))
    report.bars.extend(bars(rows, present, dtype, quick=quick))
    idle_load = {label: worker.idle_load for label, worker in workers.items()}
    report.notes.extend(notes(rows, peaks, copies, idle_load, interrupted))
    report.faults.extend(
        f"{row.layer.name} is off by {row.errors[OURS]:.3g} bounds" for row in rows if not row.right(OURS)
    )
    report.data.update(
        dtype=dtype,
        threads=threads,
        cores=cores(threads),
        versions={label: ENGINES[label].version() for label in present},
        peak_flops=peaks,
        copy_bytes_per_second=copies,
        idle_load=idle_load,
        interrupted=interrupted,
        rows=[row.data(peak) for row in rows],
    )
    return report


def takes_part(label: str, dtype: str, report: Report) -> bool:
    """Return whether an engine can take part; if not, the report says why."""
    engine = ENGINES[label]
    if missing := engine.missing():
        report.notes.append(f"{label} is left out: {' and '.join(missing)} not installed.")
    elif dtype not in engine.dtypes:
        report.notes.append(f"{label} is left out: it does not convolve {dtype}.")
    else:
        return True
    return False


def time_layer(layer: Layer, dtype: str, workers: Mapping[str, Worker], judge: Worker, *, quick: bool) -> Row:
    """Judge and time one layer in all engines; each round begins with the next of them."""
    judge.call("prepare", layer, dtype)
    errors: dict[str, dict[str, float]] = {}
    for label, worker in workers.items():
        outputs = worker.call("prepare", layer, dtype)
        errors[label] = {variant: judge.call("worst", y) for variant, y in outputs.items()}
    times: dict[str, dict[str, list[float]]] = {label: {variant: [] for variant in errors[label]} for label in workers}
    labels = list(workers)
    for i in range(QUICK_ROUNDS if quick else ROUNDS):
        first = i % len(labels)
        for label in labels[first:] + labels[:first]:
            for variant, seconds in workers[label].call("time", QUICK_SLICE if quick else SLICE).items():
                times[label][variant].append(seconds)
    best = {}
    for label in labels:
        right = [variant for variant, error in errors[label].items() if error <= 1]
        best[label] = min(right or times[label], key=lambda variant, of=times[label]: float(np.median(of[variant])))
    return Row(
        layer,
        best,
        {label: np.array(times[label][variant]) for label, variant in best.items()},
        {label: errors[label][variant] for label, variant in best.items()},
    )


def notes(
    rows: Sequence[Row],
    peaks: Sequence[float],
    copies: Mapping[str, float],
    idle_load: Mapping[str, float],
    interrupted: Mapping[str, float],
) -> list[str]:
    """Return what a reader has to know about a run."""
    speeds = ", ".join(f"{speed / 1e9:.1f} GB/s {place}" for place, speed in copies.items())
    found = [f"One core: {max(peaks) / 1e9:.1f} GF/s among registers; copies, read and written, {speeds}."]
    drift = abs(peaks[1] / peaks[0] - 1)
    if drift > DRIFT:
        found.append(f"The peak moved by {drift:.0%} during the run: the core was not ours alone.")
    busiest = max(interrupted, key=lambda label: interrupted[label])
    if interrupted[busiest] > INTERRUPTED:
        found.append(
            f"The machine was busy: {interrupted[busiest]:.0%} of {busiest}'s calls were interrupted and not used."
        )
    found.extend(
        f"{label} used {load:.0%} of a core while it should have slept: the other times suffer."
        for label, load in idle_load.items()
        if load > IDLE_LOAD
    )
    found.extend(
        f"{label} is off by {row.errors[label]:.3g} bounds in {row.layer.name}, and no peer there."
        for row in rows
        for label in row.errors
        if label != OURS and not row.right(label)
    )
    return found
