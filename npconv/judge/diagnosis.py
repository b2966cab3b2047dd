"""Which known mistake explains an output that is wrong: each is replayed on the same data, under the bound of its own sums."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.call import Call
from npconv.judge.fault import Evidence, Fault
from npconv.judge.faults import FAMILIES, FAULTS
from npconv.judge.formats import FORMATS, Format
from npconv.judge.model import Model
from npconv.judge.oracle import expected
from npconv.judge.outcome import outcome
from npconv.judge.precision import FLUSHED, PRECISIONS, flushed, largest_share, narrowed
from npconv.judge.reading import OUTSIDE, Array, Reading, plain, same, sums
from npconv.judge.separation import described, separating
from npconv.judge.verdict import Judgement, Verdict, judge

# Outputs that a mistake has to explain before it is replayed in full: few wrong ones turn down almost all.
WRONG_ONES, RIGHT_ONES = 6, 2


@dataclass(frozen=True, slots=True)
class Cause:
    """A mistake that explains every output, and those that are the same mistake on this geometry.

    Parameters
    ----------
    fault : Fault
        The mistake.
    ties : tuple of Fault
        Mistakes that add up the same terms in every output of this geometry, whatever the data: that is proven.
    share : float
        The largest error as a share of its bound: at most 1.
    """

    fault: Fault
    ties: tuple[Fault, ...]
    share: float

    @property
    def names(self) -> tuple[str, ...]:
        """The mistake's name, and those of its ties."""
        return (self.fault.name, *(tie.name for tie in self.ties))

    def separating(self) -> tuple[tuple[str, Geometry | None], ...]:
        """Return, for each tie, the smallest geometry on which it differs from the mistake; None where there is none."""
        return tuple((tie.name, separating(self.fault, tie)) for tie in self.ties)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What explains a wrong output.

    Parameters
    ----------
    causes : tuple of Cause
        Mistakes that explain every output, the closest first; they differ on this geometry, though not on this data.
    known : int
        Number of mistakes that were tried.
    """

    causes: tuple[Cause, ...] = ()
    known: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all mistakes that explain the output."""
        return tuple(name for cause in self.causes for name in cause.names)

    def __str__(self) -> str:
        if not self.causes:
            return f"No single mistake of the {self.known} known explains this output."
        lines = [_sentence(self.causes[0])]
        lines += [
            f"On this data, {cause.fault.name} explains it as well; other data would tell." for cause in self.causes[1:]
        ]
        return "\n".join(lines)


def _sentence(cause: Cause) -> str:
    text = f"{cause.fault.name}: {cause.fault.sentence}"
    for name, geometry in cause.separating():
        text += f"\nThat is the same as {name} on this geometry, proven for any data"
        text += "." if geometry is None else f"; {described(geometry)} tells them apart."
    return text


def causes(actual: Array, call: Call, model: Model, judgement: Judgement) -> Diagnosis:
    """Return the known mistakes that explain outputs of which some are wrong; none if none are."""
    if not judgement.wrong.any():
        return Diagnosis()
    right, due = plain(call), expected(call, model)
    error = np.where(judgement.wrong, _distance(actual, due.y), 0.0)
    # A transform's bound is found for its whole output alone.
    slack = float(due.bound.max(initial=0.0)) if model.transform else 0.0
    known = 0
    firm: list[Cause] = []
    loose: list[Cause] = []
    with np.errstate(all="ignore"):
        evidence, look = (_evidence(outputs, actual, right) for outputs in _spots(judgement))
        for fault in candidates(right, evidence):
            known += 1
            reading = fault.reading(right)
            if reading is None or not agrees(look, reading, model, slack):
                continue
            mistaken = outcome(reading, model)
            judged = judge(_but_unwritten(actual, reading), mistaken, model)
            if judged.verdict != Verdict.WRONG:
                # With a bound as wide as the error, a right kernel would be explained as well.
                told_apart = (error > mistaken.bound).any()
                (firm if told_apart else loose).append(Cause(fault, (), largest_share(judged)))
    firm = firm or loose
    told = _tied(sorted(firm, key=lambda cause: cause.share), right)
    share = flushed(actual, call, model)
    if share <= 1.0:
        # It explains what is tiny, and nothing else.
        told = (Cause(FLUSHED, (), share), *told)
    if firm and np.isfinite(actual).all() and actual.any():
        return Diagnosis(told, known + 1)
    # A wider bound explains more: what is lost to rounding, or to a smaller range, is asked last and has to show in the bits.
    narrow = tuple(Cause(fault, (), share) for fault, share in narrowed(actual, call, model))
    return Diagnosis(told + narrow, known + 1 + len(PRECISIONS))


def _evidence(outputs: Array, actual: Array, right: Reading) -> Evidence:
    return Evidence(outputs, actual.ravel()[outputs], sums(right, outputs)[0])


def candidates(right: Reading, evidence: Evidence | None) -> Iterator[Fault]:
    """Yield every mistake, with the members of families that the evidence points at."""
    yield from FAULTS
    for family in FAMILIES:
        yield from family.members(right, evidence)


def agrees(look: Evidence, reading: Reading, model: Model, slack: float) -> bool:
    """Return whether a reading may explain a few outputs; it is never turned down where its whole bound, and `slack`, would do."""
    y, S = sums(reading, look.outputs)
    actual = look.actual
    if model.is_integer:
        # Whatever the sums wrap at.
        explained = (y - actual) % (1 << 32) == 0
    else:
        error = np.abs(actual.astype(np.float64) - y)
        terms = reading.weight[0].size + 2
        explained = (error <= _allowance(S, terms, model) + slack) | (actual == y) | (np.isnan(actual) & np.isnan(y))
        explained |= min(form.largest for form in _formats(model)) / 4 < S
    return bool((explained | _unwritten(look, reading)).all())


def _allowance(S: Array, terms: int, model: Model) -> Array:
    """Return a little more than the bound of a few outputs."""
    share = 1.1 * terms * (model.sums.unit + 2.0**-50)
    if model.inputs:
        share = share + 5.0 * FORMATS[model.inputs].unit
    if model.output:
        share = share + 2.0 * FORMATS[model.output].unit
    least = sum(form.normal if model.flushes_subnormals else form.smallest for form in _formats(model))
    return share * S + 2.0 * terms * least


def _formats(model: Model) -> list[Format]:
    return [FORMATS[name] for name in (model.accumulator, model.inputs, model.output) if name]


def _unwritten(look: Evidence, reading: Reading) -> Any:
    """Return which of a few outputs a reading leaves as they were, if that is what they look like."""
    if reading.order is None:
        return False
    return (reading.order.ravel()[look.outputs] == OUTSIDE) & left_as_it_was(look.actual)


def left_as_it_was(actual: Array) -> Array:
    """Return which outputs look as if they were never written: 0, NaN, or the least integer.

    >>> left_as_it_was(np.array([0.0, np.nan, 1.0])).tolist()
    [True, True, False]
    """
    never = np.iinfo(actual.dtype).min if actual.dtype.kind in "iu" else np.nan
    untouched: Array = (actual == 0) | (actual == never) | np.isnan(actual)
    return untouched


def _but_unwritten(actual: Array, reading: Reading) -> Array:
    """Return outputs with 0 where they look as if they were never written and a reading says so."""
    if reading.order is None:
        return actual
    return np.where((reading.order == OUTSIDE) & left_as_it_was(actual), 0, actual)


def _distance(actual: Array, y: Array) -> Array:
    """Return how far outputs are from the right ones, infinitely if that is no number."""
    with np.errstate(all="ignore"):
        distance = np.abs(actual.astype(np.float64) - y.astype(np.float64))
    return np.where(np.isnan(distance), np.inf, distance)


def _spots(judgement: Judgement) -> tuple[Array, Array]:
    """Return a few wrong outputs, the worst first, and these with a few right ones."""
    wrong, right = (np.flatnonzero(flags) for flags in (judgement.wrong, ~judgement.wrong))
    worst = int(np.where(judgement.wrong, judgement.excess, -1.0).argmax())
    chosen = np.concatenate([[worst], _spread(wrong, WRONG_ONES - 1)])
    return chosen, np.concatenate([chosen, _spread(right, RIGHT_ONES)])


def _spread(outputs: Array, number: int) -> Array:
    return outputs[np.linspace(0, len(outputs) - 1, min(number, len(outputs))).astype(np.int64)]


def _tied(found: list[Cause], right: Reading) -> tuple[Cause, ...]:
    """Return the causes that differ on this geometry, each with those that do not differ from it."""
    distinct: list[tuple[Cause, Reading]] = []
    for cause in found:
        reading = cause.fault.terms(right)
        for place, (other, others_reading) in enumerate(distinct):
            if same(reading, others_reading):
                distinct[place] = replace(other, ties=(*other.ties, cause.fault)), others_reading
                break
        else:
            distinct.append((cause, reading))
    return tuple(cause for cause, _ in distinct)
