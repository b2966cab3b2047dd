"""One run: case after case until one function is wrong often enough for its mistake to be named, or until that is enough."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.adapters import ENGINES
from npconv.judge.call import Call, checked_call
from npconv.judge.case import FEATURES, Case
from npconv.judge.case_files import free_path, save_case
from npconv.judge.geometries import geometries
from npconv.judge.grouping import Group, Look, grouped
from npconv.judge.model import model_of
from npconv.judge.oracle import expected
from npconv.judge.probes import probes_for
from npconv.judge.report import Report
from npconv.judge.shrink import shrunk
from npconv.judge.summary import Finding, Summary
from npconv.judge.trial import Outcome, Trouble
from npconv.judge.verdict import Verdict, judge
from npconv.memory import DType

# Calls the function under test, here or in another process.
Subject: TypeAlias = Callable[[Call], Outcome]

CASES = 500  # where neither a number nor a time is given
# Geometries that may fail before a run ends: each narrows down what the mistake can be.
FAILURES = 40
# A function may refuse whatever it is asked; it is not asked more often than this for each case that is wanted.
PATIENCE = 30
# A function that did this once would do it again, and each time costs a time limit or a process.
FATAL = (Trouble.HUNG, Trouble.DIED)
# Probes that a geometry on which another failed is tried with again.
COMPANIONS = 5
SECONDS_TO_SHRINK = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a run asks of a function: so many cases, so many seconds, or until so many geometries failed.

    Where the number of failures is limited, a geometry that failed is left at once.
    """

    cases: int | None = CASES
    seconds: float | None = None
    failures: int | None = FAILURES


class Run:
    """Cases for one function, and what came of them so far.

    Parameters
    ----------
    subject : callable
        Calls the function, here or in another process.
    name : str
        Its name in reports.
    dtype : dtype
        Type of x and weight.
    model : str, Model or None
        Arithmetic that it claims.
    seed : int
        Where chance begins.
    limits : Limits
        How much is asked of it.
    """

    def __init__(self, subject: Subject, name: str, dtype: DType, model: Any, seed: int, limits: Limits) -> None:
        self.subject, self.name, self.dtype = subject, name, dtype
        self.model, self.seed, self.limits = model, seed, limits
        one = np.ones((1, 1, 1, 1), dtype)
        self.claimed = model_of(model, checked_call(one, one, operation="check_function"))
        self.start = time.monotonic()
        self.verdicts: Counter[Verdict | None] = Counter()  # None for trouble
        self.skipped = 0
        self.judged: set[Geometry] = set()
        self.refusals: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.failed: list[Look] = []

    def summary(self, save: Path | None, progress: Callable[[str], None]) -> Summary:
        """Judge cases until that is enough, and return what was found."""
        for look in self.looks():
            if look.failed:
                self.failed.append(self.compared(look))
            progress(f"{self.name}: {self.verdicts.total():,} cases judged, {len(self.failed):,} failed")
            if len(self.failed) == self.limits.failures or look.outcome.trouble in FATAL:
                break
        progress(f"{self.name}: making failures small")
        findings = tuple(self.finding(group, save) for group in grouped(self.failed))
        unseen = () if self.failed else tuple(name for name, has in FEATURES.items() if not any(map(has, self.judged)))
        return Summary(
            name=self.name,
            model=self.claimed,
            dtype=self.dtype.name,
            seed=self.seed,
            verdicts={str(verdict): number for verdict, number in self.verdicts.items() if verdict},
            failures=len(self.failed),
            skipped=self.skipped,
            geometries=len(self.judged),
            findings=findings,
            unseen=unseen,
            refusals=tuple(self.refusals),
            types=tuple(name for name in self.types if name != self.dtype.name),
            seconds=time.monotonic() - self.start,
        )

    def looks(self) -> Iterator[Look]:
        """Yield cases that the function did not refuse, judged, until there were enough."""
        probes, asked_for = probes_for(self.dtype), geometries(self.seed)
        while not self.enough():
            geometry = next(asked_for)
            for i, probe in enumerate(probes):
                if self.enough():
                    return
                biased = (self.verdicts.total() + i) % 3 > 0
                look = self.look(Case(geometry, probe, self.dtype, self.claimed, self.seed, biased))
                if look.outcome.trouble is Trouble.UNSUPPORTED:
                    self.skipped += 1
                    self.refusals[look.outcome.text] += 1
                    continue
                self.verdicts[look.report.verdict if look.report else None] += 1
                self.judged.add(geometry)
                yield look
                if look.failed and self.limits.failures:
                    break

    def enough(self) -> bool:
        """Return whether the function was asked enough."""
        cases, seconds = self.limits.cases, self.limits.seconds
        if seconds is not None and time.monotonic() - self.start > seconds:
            return True
        return cases is not None and (self.verdicts.total() >= cases or self.skipped >= PATIENCE * cases)

    def look(self, case: Case) -> Look:
        """Judge one case."""
        call = case.call
        outcome = self.subject(call)
        y = outcome.y
        if y is None:
            return Look(case, call, outcome)
        self.types[y.dtype.name] += 1
        model = model_of(self.model, call, y.dtype)
        if y.dtype.kind == "f" and y.dtype.itemsize > call.dtype.itemsize and y.dtype != model.accumulator:
            # Sums that were kept longer than claimed, and not rounded at last.
            with np.errstate(over="ignore"):
                y = y.astype(call.dtype)
        allowed = expected(call, model)
        return Look(case, call, outcome, Report(call, model, y, allowed, judge(y, allowed, model)))

    def compared(self, look: Look) -> Look:
        """Return a failure with what the function does right on the same geometry."""
        if look.report is None:
            return look
        others = [probe for probe in probes_for(self.dtype)[:COMPANIONS] if probe is not look.case.probe]
        reports = [self.look(replace(look.case, probe=probe)).report for probe in others]
        return replace(
            look, passed=tuple(report for report in reports if report and report.verdict is not Verdict.WRONG)
        )

    def finding(self, group: Group, save: Path | None) -> Finding:
        """Return a mistake on the smallest geometry on which it shows as clearly."""
        best = group.clearest

        def shows(geometry: Geometry) -> bool:
            nonlocal best
            look = self.look(replace(best.case, geometry=geometry))
            look = self.compared(look) if look.failed else look
            if not look.failed or not group.names & set(look.names) or len(look.names) > len(best.names):
                return False
            best = look
            return True

        if best.outcome.trouble not in FATAL:
            shrunk(best.case.geometry, shows, SECONDS_TO_SHRINK)
        path = None
        if save is not None:
            path = free_path(save)
            words = {"function": self.name, "probe": best.case.probe.name, "seed": str(self.seed)}
            save_case(path, best.call, best.report.actual if best.report else None, self.claimed, **words)
        return Finding(
            names=tuple(name for key, name in best.names.items() if key in group.names),
            count=len(group.looks),
            case=best.case,
            call=best.call,
            report=best.report,
            trouble=best.outcome.text,
            path=path,
            function=self.name if ":" in self.name or self.name in ENGINES else "module:function",
        )
