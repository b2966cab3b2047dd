"""Which failures of a run are one mistake: as few mistakes as explain them all."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from npconv.judge.call import Call
from npconv.judge.case import Case
from npconv.judge.diagnosis import left_as_it_was
from npconv.judge.fault import Fault
from npconv.judge.outcome import outcome
from npconv.judge.precision import PRECISIONS, narrowed, representable
from npconv.judge.reading import OUTSIDE, plain
from npconv.judge.report import Report
from npconv.judge.trial import Outcome
from npconv.judge.verdict import Verdict, judge

UNEXPLAINED = "no known mistake"


@dataclass(frozen=True, eq=False)
class Look:
    """One case that was judged; there is no report where there was trouble.

    A mistake that explains a failure, but would have shown in what the function did right on the same geometry (`passed`), is none
    of it.
    """

    case: Case
    call: Call
    outcome: Outcome
    report: Report | None = None
    passed: tuple[Report, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.report is None or self.report.verdict is Verdict.WRONG

    @cached_property
    def faults(self) -> dict[str, Fault]:
        """The mistakes that explain the output, by names that are the same in every channel and group."""
        if self.report is None:
            return {}
        faults = [fault for cause in self.report.diagnosis.causes for fault in (cause.fault, *cause.ties)]
        left = [fault for fault in faults if all(explains(fault, report) is not False for report in self.passed)]
        if self.passed and not left:
            # What was fitted to this output kept the judge from asking for a narrower format.
            left = [fault for fault, _ in narrowed(self.report.actual, self.call, self.report.model)]
        return {general(fault.name): fault for fault in left}

    @property
    def names(self) -> dict[str, str]:
        """What may be wrong, by such a name: a trouble, mistakes that explain the output, or none that is known."""
        if self.report is None:
            return {str(self.outcome.trouble): str(self.outcome.trouble)}
        # What a function makes of NaN and infinity says nothing of what it makes of numbers.
        unknown = UNEXPLAINED if np.isfinite(self.call.x).all() else f"{UNEXPLAINED}, of NaN or infinity"
        return {name: fault.name for name, fault in self.faults.items()} or {unknown: unknown}


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Failures that one mistake explains: what it may be, by general names, and the failures."""

    names: frozenset[str]
    looks: tuple[Look, ...]

    @property
    def clearest(self) -> Look:
        """The failure that names the mistake and the fewest others."""
        return min(self.looks, key=lambda look: (not self.names & set(look.names), len(look.names)))


def grouped(looks: list[Look]) -> list[Group]:
    """Return failures in as few groups as they need, found greedily: the mistake that explains the most comes first."""
    faults = {name: fault for look in looks for name, fault in look.faults.items()}
    names = dict.fromkeys(name for look in looks for name in look.names)
    cover = {
        name: frozenset(
            i
            for i, look in enumerate(looks)
            if name in look.names
            or (
                name in faults
                and faults[name] not in PRECISIONS
                and look.report
                and explains(faults[name], look.report)
            )
        )
        for name in names
    }
    groups, rest = [], frozenset(range(len(looks)))
    while rest:
        most = max((places & rest for places in cover.values()), key=len)
        equal = frozenset(name for name, places in cover.items() if places & rest == most)
        groups.append(Group(equal, tuple(looks[i] for i in sorted(most))))
        rest -= most
    return groups


def explains(fault: Fault, report: Report) -> bool | None:
    """Return whether a mistake explains an output, also where a simpler one would; None where it could not go wrong."""
    if fault in PRECISIONS:
        return representable(report.actual, PRECISIONS[fault][0])
    reading = fault.mistake(plain(report.call))
    if reading is None:
        return None
    actual = report.actual
    with np.errstate(all="ignore"):
        if reading.order is not None:
            actual = np.where((reading.order == OUTSIDE) & left_as_it_was(actual), 0, actual)
        return not bool(judge(actual, outcome(reading, report.model), report.model).wrong.any())


def general(name: str) -> str:
    """Return the name of a mistake without the numbers of a case.

    >>> general("group 3 not computed"), general("accumulated in float16")
    ('group # not computed', 'accumulated in float16')
    """
    return re.sub(r"\b\d+", "#", name)
