"""The speed of layers, beside other libraries: interleaved rounds, medians, every output judged."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from bench.calibrate import Roof
from bench.engines import ENGINES, FORMS
from bench.layers import Layer
from bench.progress import progress
from bench.records import Records
from bench.report import Report
from bench.rows import OURS, Row, Timing
from bench.sets import Layers
from bench.timed import in_turns
from bench.worker import Worker, working

# Readers are told of an engine that is busier than this while it should sleep, and of a peak that moved by more.
IDLE_LOAD = 0.02
DRIFT = 0.03


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rounds a layer takes, seconds for each variant of an engine in a round, and for each loop of a calibration."""

    rounds: int
    seconds: float
    calibration: float = 0.4


@dataclass(slots=True)
class Crew:
    """The workers of a run, by engine and threads, and those that judge and calibrate."""

    engines: dict[tuple[str, int], Worker]
    calibrations: dict[int, Worker]
    judge: Worker
    roofs: dict[int, Roof] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def at_work(cls, labels: Sequence[str], threads: Sequence[int], form: str) -> Iterator["Crew"]:
        """Start all workers, and end them."""
        with ExitStack() as stack:
            yield cls(
                {
                    (label, n): stack.enter_context(working(f"bench.engines:{FORMS[form][label].__name__}", n))
                    for n in threads
                    for label in labels
                },
                {n: stack.enter_context(working("bench.calibrate:Calibration", n, own_cache=True)) for n in threads},
                stack.enter_context(working("bench.judge:Judge")),
            )


def present(labels: Sequence[str], report: Report) -> list[str]:
    """Return the engines that are installed; the report names the others."""
    found = []
    for label in labels:
        if missing := ENGINES[label].missing():
            report.notes.append(f"{label} is left out: {' and '.join(missing)} not installed.")
        else:
            found.append(label)
    return found


def measure(
    layers: Layers,
    labels: Sequence[str],
    dtypes: Sequence[str],
    threads: Sequence[int],
    records: Records,
    pace: Pace,
    report: Report,
    form: str = "prepared",
) -> list[Row]:
    """Return a row for each layer, type and number of threads: those that are on record, and those that this call measures."""
    wanted = [(layer, dtype, n, form) for dtype in dtypes for layer in layers for n in threads]
    missing: dict[tuple[Layer, str], list[int]] = {}
    for layer, dtype, n, _ in wanted:
        if (layer, dtype, n, form) not in records.rows:
            missing.setdefault((layer, dtype), []).append(n)
    if missing:
        able = [label for label in labels if any(dtype in ENGINES[label].dtypes for _, dtype in missing)]
        with Crew.at_work(able, threads, form) as crew, progress(len(missing)) as step:
            for n, worker in crew.calibrations.items():
                crew.roofs[n] = worker.call("roof", dtypes, pace.calibration)
            for (layer, dtype), counts in missing.items():
                step(f"{dtype}, {layer.geometry.N} x {layer.name}")
                records.add(time_layer(layer, layers[layer], dtype, counts, crew, pace, form))
            report.notes.extend(notes(crew, dtypes, pace))
    # A row on record may have been measured as part of another set.
    return [replace(records.rows[key], names=layers[key[0]]) for key in wanted]


def time_layer(
    layer: Layer, names: tuple[str, ...], dtype: str, threads: Sequence[int], crew: Crew, pace: Pace, form: str
) -> list[Row]:
    """Judge and time one layer in all engines and on all threads."""
    workers = {
        (label, n): worker
        for (label, n), worker in crew.engines.items()
        if n in threads and dtype in ENGINES[label].dtypes
    }
    crew.judge.call("prepare", layer, dtype)
    errors: dict[tuple[str, int], dict[str, float]] = {}
    bits: dict[int, str] = {}
    for (label, n), worker in workers.items():
        outputs = worker.call("prepare", layer, dtype)
        errors[label, n] = {variant: crew.judge.call("worst", y) for variant, y in outputs.items()}
        if label == OURS:
            (y,) = outputs.values()
            bits[n] = hashlib.sha256(y.tobytes()).hexdigest()[:16]
    timers = {who: functools.partial(worker.call, "time") for who, worker in workers.items()}
    times = in_turns(timers, pace.rounds, pace.seconds)
    interrupted = {who: worker.call("interrupted") for who, worker in workers.items()}
    return [
        Row(
            layer,
            names,
            dtype,
            n,
            {label: best(times[label, n], errors[label, n], interrupted[label, n]) for label, of in workers if of == n},
            crew.roofs[n].peaks[dtype],
            crew.roofs[n].copy(layer.traffic(dtype)),
            bits[n],
            form,
        )
        for n in threads
    ]


def best(rounds: Sequence[Mapping[str, float]], errors: Mapping[str, float], interrupted: float = 0.0) -> Timing:
    """Return the fastest variant of an engine, of those that are right if any is."""
    timings = [
        Timing(variant, np.array([times[variant] for times in rounds]), error, interrupted)
        for variant, error in errors.items()
    ]
    return min([timing for timing in timings if timing.right] or timings, key=lambda timing: timing.median)


def notes(crew: Crew, dtypes: Sequence[str], pace: Pace) -> Iterator[str]:
    """Yield what a reader has to know about the machine, when all is measured."""
    for n, roof in crew.roofs.items():
        peaks = ", ".join(f"{peak / 1e9:.1f} GF/s of {dtype}" for dtype, peak in roof.peaks.items())
        copies = ", ".join(f"{speed / 1e9:.1f} GB/s of {size // 1024} KiB" for size, speed in roof.copies.items())
        yield f"On {n} core{'s' if n > 1 else ''}: {peaks} among registers; copies, read and written, {copies}."
        again = {dtype: crew.calibrations[n].call("peak", dtype, pace.calibration) for dtype in dtypes}
        drift = max(abs(again[dtype] / peak - 1) for dtype, peak in roof.peaks.items())
        if drift > DRIFT:
            yield f"The peak of {n} moved by {drift:.0%} during the run: the machine was not ours alone."
    for (label, n), worker in crew.engines.items():
        if worker.idle_load > IDLE_LOAD:
            yield f"{label} on {n} used {worker.idle_load:.0%} of a core while it should have slept: others suffer."
