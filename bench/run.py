"""Runs the benchmarks that were asked for: measures, shows, writes."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import bits, counting, memory, separable, shuffle, speed, startup
from bench.calls import with_tiny
from bench.engines import ENGINES, FORMS
from bench.records import Records, circumstances
from bench.report import Report, show, write_markdown
from bench.rows import OURS
from bench.sets import SETS, Layers, containing, of_batches, spread
from bench.speed import Pace
from bench.summary import summarise
from bench.worker import cores

DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Habits:
    """How a set is measured when nothing else is said.

    Attributes
    ----------
    batches : tuple of int
        Images at once; if there are none, as many as the set says.
    threads : int
        Threads, from one to so many.
    pace : Pace
        How long.
    """

    batches: tuple[int, ...]
    threads: int
    pace: Pace


# Of many rows 15 rounds let chance make hardly one slower than another in every round.
HABITS = {
    "twelve": Habits((), 1, Pace(40, 0.012)),
    "networks": Habits((1, 8), 2, Pace(15, 0.008)),
    "sweeps": Habits((), 2, Pace(15, 0.008)),
}
QUICK = Pace(3, 0.004, 0.05)


def run(chosen: argparse.Namespace) -> int:
    """Run the benchmarks, or write the page of what ran, and return the exit status."""
    if chosen.command == "page":
        from bench import page

        for file in page.write(chosen.files, chosen.output or page.FOLDER):
            print(file)
        return 0
    labels = engines(chosen.peers)
    named = chosen.set or ("twelve" if chosen.command in (None, "layers", "counting", "startup") else "networks")
    if named not in SETS:
        raise SystemExit(f"bench: no set is called {named}; there are {', '.join(SETS)}")
    pace = QUICK if chosen.quick else HABITS[named].pace
    versions = {label: ENGINES[label].version() for label in labels if not ENGINES[label].missing()}
    records = Records(chosen.json, circumstances(versions, dataclasses.asdict(pace)))
    done = []
    for report in reports(chosen, named, labels, pace, records):
        show(report)
        records.end(report)
        done.append(report)
    if chosen.markdown is not None:
        write_markdown(chosen.markdown, done)
    good = all(not report.faults and all(bar.met is not False for bar in report.bars) for report in done)
    return 0 if good else 1


def engines(peers: str | None) -> list[str]:
    """Return the names of the engines that take part: ours and the peers that were named, or all."""
    labels = {label.lower().replace(" ", ""): label for label in ENGINES if label != OURS}
    named = list(labels) if peers is None else [name for name in peers.lower().split(",") if name != "none"]
    if unknown := set(named) - set(labels):
        raise SystemExit(f"bench: no peer is called {', '.join(sorted(unknown))}; there are {', '.join(labels)}")
    return [OURS, *(labels[name] for name in named)]


def reports(
    chosen: argparse.Namespace, named: str, labels: Sequence[str], pace: Pace, records: Records
) -> Iterator[Report]:
    """Yield the reports that were asked for, one by one."""
    command, quick, habits = chosen.command, chosen.quick, HABITS[named]
    layers = containing(SETS[named](), chosen.only)
    if not layers:
        raise SystemExit(f"bench: no layer of the {named} contains {chosen.only!r}")
    threads = chosen.threads or range(1, len(cores(habits.threads)) + 1)
    if command in (None, "layers", "networks", "calls"):
        yield from rows_report(chosen, named, layers, labels, pace, records)
    if command == "shuffle":
        yield shuffle.measure(labels, threads, pace, quick=quick)
    if command == "separable":
        yield separable.measure(labels, threads, pace, quick=quick)
    if command in (None, "counting"):
        for dtype in chosen.dtype or DTYPES[:1]:
            yield counting.measure(list(spread(layers, 1) if quick else layers), dtype, quick=quick)
    if command == "memory":
        yield memory.measure(labels, threads, quick=quick)
    if command == "bits":
        yield bits.measure(list(spread(layers) if quick else layers), chosen.dtype or DTYPES, quick=quick)
    if command == "ladder":
        yield ladder_report(chosen, pace)
    if command in (None, "startup"):
        yield startup.measure(quick=quick)


def ladder_report(chosen: argparse.Namespace, pace: Pace) -> Report:
    """Return the report of the ladder."""
    from bench.ladder.measure import measure

    report = measure(pace, quick=chosen.quick)
    if chosen.pictures is not None:
        from bench.ladder.picture import draw

        report.notes.append(f"Picture: {draw(report.data['rungs'], chosen.pictures / 'ladder.png')}")
    return report


def rows_report(
    chosen: argparse.Namespace, named: str, layers: Layers, labels: Sequence[str], pace: Pace, records: Records
) -> Iterator[Report]:
    """Yield the report of a set of layers, prepared or by the functional call."""
    quick, habits, calls = chosen.quick, HABITS[named], chosen.command == "calls"
    report = Report("calls" if calls else named)
    dtypes = chosen.dtype or (DTYPES[:1] if calls or (quick and named == "twelve") else DTYPES)
    threads = chosen.threads or range(1, len(cores(habits.threads)) + 1)
    measured = spread(layers) if quick and named == "networks" else layers
    batches = chosen.batch or ((1,) if calls and habits.batches else habits.batches)
    if batches:
        measured = of_batches(measured, batches)
    if calls:
        measured = with_tiny(measured)
        labels = [label for label in labels if label in FORMS["call"]]
    form = "call" if calls else "prepared"
    rows = speed.measure(measured, speed.present(labels, report), dtypes, threads, records, pace, report, form)
    summarise(report, rows, "calls" if calls else named, judged=not quick and not chosen.only)
    if chosen.pictures is not None:
        from bench.pictures import draw

        report.notes.extend(f"Picture: {file}" for file in draw(rows, chosen.pictures, "calls-" if calls else ""))
    yield report
