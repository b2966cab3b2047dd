"""What this data could not have shown: the known mistakes that would have passed on it, each with the reason.

A right output proves little if a flipped kernel gives the same. So each known mistake is made on the data at hand; where its
outputs are within the bound of the right ones, nobody could have noticed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from npconv.judge.call import Call
from npconv.judge.diagnosis import candidates
from npconv.judge.fault import Fault, anywhere
from npconv.judge.faults_of_values import INPUTS
from npconv.judge.formats import rounded
from npconv.judge.model import Model
from npconv.judge.oracle import Expected
from npconv.judge.outcome import outcome
from npconv.judge.precision import PRECISIONS, narrower
from npconv.judge.reading import Array, Reading, addressed, plain, sums
from npconv.judge.reasons import no_room, no_trace

# Outputs that are looked at first: a mistake that shows in one of them is seen.
SPOTS = 24


@dataclass(frozen=True, slots=True)
class Unseen:
    """A mistake that would have passed, and why.

    Parameters
    ----------
    name : str
        The mistake.
    why : str
        What about the geometry or the data hides it, as a clause.
    of_geometry : bool
        Whether no data of this geometry could show it.
    """

    name: str
    why: str
    of_geometry: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """What this data could not have shown.

    Parameters
    ----------
    unseen : tuple of Unseen
        Mistakes that would have passed.
    known : int
        Number of mistakes that were tried.
    """

    unseen: tuple[Unseen, ...]
    known: int

    @property
    def names(self) -> tuple[str, ...]:
        """The mistakes that would have passed."""
        return tuple(fault.name for fault in self.unseen)

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """The mistakes that would have passed, by the reason why; those that other data would show come first."""
        grouped: dict[str, tuple[str, ...]] = {}
        for fault in sorted(self.unseen, key=lambda fault: fault.of_geometry):
            grouped[fault.why] = (*grouped.get(fault.why, ()), fault.name)
        return grouped

    def __str__(self) -> str:
        seen = self.known - len(self.unseen)
        lines = [f"Of {self.known} known mistakes, {seen} would have been noticed on this data."]
        lines += [f"Not noticed, since {why}: {', '.join(names)}." for why, names in self.reasons.items()]
        return "\n".join(lines)


def audit(call: Call, model: Model, expected: Expected) -> Audit:
    """Return the known mistakes whose outputs would have passed for right ones on this data."""
    right = plain(call)
    # What another type of number would be needed for is no mistake that anybody could make here.
    # And where two mistakes are one, either would have been noticed.
    faults = [
        replace(fault, room=anywhere)
        for fault in candidates(right, None)
        if not fault.of_numbers or fault.reading(right)
    ]
    precisions = {fault: how for fault, how in PRECISIONS.items() if narrower(how[0], model, call)}
    with np.errstate(all="ignore"):
        unseen = list(_unseen(right, faults, model, expected))
        hidden = {fault.name for fault in unseen}
        unseen += _unseen_precisions(precisions, expected, hidden)
    return Audit(tuple(unseen), len(faults) + len(precisions))


def _unseen(right: Reading, faults: list[Fault], model: Model, expected: Expected) -> Iterator[Unseen]:
    spots = np.unique(np.linspace(0, max(0, expected.y.size - 1), min(SPOTS, expected.y.size)).astype(np.int64))
    where = addressed(right)
    for fault in faults:
        reading = fault.reading(right)
        if reading is not None and not _passes(sums(reading, spots)[0], expected, spots):
            continue
        if reading is None or not fault.applies(right, where):
            yield Unseen(fault.name, no_room(fault, right), of_geometry=True)
        elif _may_pass(outcome(reading, model), expected):
            yield Unseen(fault.name, no_trace(reading, right), of_geometry=False)


def _may_pass(mistaken: Expected, expected: Expected) -> bool:
    """Return whether some outputs of a mistaken kernel would pass for right ones, as it rounds as well."""
    return _passes(mistaken.y, replace(expected, bound=expected.bound + mistaken.bound))


def _passes(y: Array, expected: Expected, spots: Array | None = None) -> bool:
    """Return whether outputs would pass for right ones, or nearly so at some flat indices."""
    due, bound = expected.y, expected.bound
    if spots is not None:
        due, bound = due.ravel()[spots], 4.0 * bound.ravel()[spots]
        bound = bound + 2.0**-40 * np.abs(due)
    return bool(((np.abs(y - due) <= bound) | (y == due) | (np.isnan(y) & np.isnan(due))).all())


def _unseen_precisions(
    precisions: Mapping[Fault, tuple[str, tuple[tuple[str, ...], ...]]], expected: Expected, hidden: set[str]
) -> Iterator[Unseen]:
    """Yield the narrower formats that would have passed.

    Whatever is summed in a narrow format is one of its numbers in the end. So if one right output is farther from the nearest of
    them than its bound, sums in that format are seen, in whatever order they are made.
    """
    # The 11 bits of float16 go by the name of tf32.
    inputs = INPUTS | {"float16": INPUTS["tf32"]}
    for fault, (form, ways) in precisions.items():
        if _passes(rounded(expected.y, form), expected) and ("inputs" not in ways[0] or inputs[form] in hidden):
            yield Unseen(fault.name, f"every output is a number of {form}, within its bound", of_geometry=False)
