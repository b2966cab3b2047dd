"""One run: case after case until one function is wrong often enough for its mistake to be named, or until that is enough."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from npconv.arrays import DType
from npconv.geometry import Geometry
from npconv.judge.adapters import ENGINES
from npconv.judge.call import Call, checked_call
from npconv.judge.case import FEATURES, Case
from npconv.judge.case_files import free_path, save_case
from npconv.judge.geometries import geometries
from npconv.judge.model import model_of
from npconv.judge.oracle import expected
from npconv.judge.probes import probes_for
from npconv.judge.report import Report
from npconv.judge.shrink import shrunk
from npconv.judge.summary import Finding, Summary
from npconv.judge.trial import Outcome, Trouble
from npconv.judge.verdict import Verdict, judge

# Calls the function under test, here or in another process.
Subject: TypeAlias = Callable[[Call], Outcome]

CASES = 500  # where neither a number nor a time is given
# Geometries that may fail before a run ends: each narrows down what the mistake can be.
FAILURES = 12
# A function may refuse whatever it is asked; it is not asked more often than this for each case that is wanted.
PATIENCE = 30
# A function that did this once would do it again, and each time costs a time limit or a process.
FATAL = (Trouble.HUNG, Trouble.DIED)
SECONDS_TO_SHRINK = 10.0
UNEXPLAINED = "no known mistake"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a run asks of a function: so many cases, so many seconds, or until so many geometries failed.

    Where the number of failures is limited, a geometry that failed is left at once.
    """

    cases: int | None = CASES
    seconds: float | None = None
    failures: int | None = FAILURES


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One case that was judged; there is no report where there was trouble."""

    case: Case
    call: Call
    outcome: Outcome
    report: Report | None = None

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.report is None or self.report.verdict is Verdict.WRONG

    @property
    def names(self) -> dict[str, str]:
        """What may be wrong, by a name that is the same in every channel and group: a trouble, or mistakes that explain the output."""
        if self.report is None:
            return {str(self.outcome.trouble): str(self.outcome.trouble)}
        # Digits that are no part of a word are a number that the case has, and another one has not.
        names = {re.sub(r"(?<![a-z])\d+", "#", name): name for name in self.report.diagnosis.names}
        return names or {UNEXPLAINED: UNEXPLAINED}


@dataclass(slots=True, eq=False)
class Suspect:
    """A mistake that was seen: what it may be, the case that tells most of it, and how often."""

    names: frozenset[str]
    look: Look
    count: int = 1


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
        self.suspects: list[Suspect] = []

    def summary(self, save: Path | None, progress: Callable[[str], None]) -> Summary:
        """Judge cases until that is enough, and return what was found."""
        failures = 0
        for look in self.looks():
            if look.failed:
                failures += 1
                self.suspect(look)
            progress(f"{self.name}: {self.verdicts.total():,} cases judged, {failures:,} failed")
            if failures == self.limits.failures or look.outcome.trouble in FATAL:
                break
        progress(f"{self.name}: making the failure small")
        self.suspects.sort(key=lambda suspect: -suspect.count)
        findings = tuple(self.finding(suspect, save) for suspect in self.suspects)
        return Summary(
            name=self.name,
            model=self.claimed,
            dtype=self.dtype.name,
            seed=self.seed,
            verdicts={str(verdict): number for verdict, number in self.verdicts.items() if verdict},
            failures=failures,
            skipped=self.skipped,
            geometries=len(self.judged),
            findings=findings,
            unseen=() if failures else tuple(name for name, has in FEATURES.items() if not any(map(has, self.judged))),
            refusals=tuple(self.refusals),
            types=tuple(name for name in self.types if name != self.dtype.name),
            seconds=time.monotonic() - self.start,
        )

    def looks(self) -> Iterator[Look]:
        """Yield cases that the function did not refuse, judged, until there were enough."""
        probes = probes_for(self.dtype)
        for geometry in geometries(self.seed):
            for i, probe in enumerate(probes):
                if self.enough():
                    return
                biased = (self.verdicts.total() + i) % 3 > 0
                look = self.look(Case(geometry, probe, self.dtype, self.claimed, self.seed, biased))
                if look.outcome.trouble is Trouble.UNSUPPORTED:
                    self.skipped += len(probes) - i
                    self.refusals[look.outcome.text] += 1
                    break
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

    def suspect(self, look: Look) -> None:
        """Add a failure to a mistake that explains it as well, and narrow that down, or take it for a new one."""
        names = frozenset(look.names)
        for known in self.suspects:
            if known.names & names:
                known.names &= names
                known.count += 1
                if len(names) < len(known.look.names):
                    known.look = look
                return
        self.suspects.append(Suspect(names, look))

    def finding(self, suspect: Suspect, save: Path | None) -> Finding:
        """Return a mistake on the smallest geometry on which it shows as clearly."""
        best = suspect.look

        def shows(geometry: Geometry) -> bool:
            nonlocal best
            look = self.look(replace(best.case, geometry=geometry))
            if not look.failed or not suspect.names & set(look.names) or len(look.names) > len(best.names):
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
            names=tuple(name for key, name in best.names.items() if key in suspect.names),
            count=suspect.count,
            case=best.case,
            call=best.call,
            report=best.report,
            trouble=best.outcome.text,
            path=path,
            function=self.name if ":" in self.name or self.name in ENGINES else "module:function",
        )
