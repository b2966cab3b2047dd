"""The verdict: outputs against what the oracle allows."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from npconv.judge.model import Model
from npconv.judge.oracle import Expected
from npconv.memory import Array


class Verdict(StrEnum):
    """What can be said about a whole output."""

    EXACT = "EXACT"
    WITHIN_BOUND = "WITHIN_BOUND"
    SUSPECT = "SUSPECT"
    WRONG = "WRONG"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A verdict, and what it rests on.

    Parameters
    ----------
    verdict : Verdict
        About all outputs together.
    wrong : ndarray of bool, shape (N, O, OH, OW)
        Outputs that no order of summation gives.
    excess : ndarray, shape (N, O, OH, OW)
        Error divided by bound; infinite where there is an error and the bound is zero, or NaN where a number belongs.
    reason : str
        Why the verdict is what it is, as a sentence.
    """

    verdict: Verdict
    wrong: Array
    excess: Array
    reason: str


def judge(actual: Array, expected: Expected, model: Model) -> Judgement:
    """Return what is proven about outputs, of the shape and type that belong here, under a model."""
    with np.errstate(all="ignore"):
        error = _error(actual, expected)
        excess = np.where(error == 0, 0.0, error / expected.bound)
    # A wrong infinity or NaN proves nothing where a sum may have overflowed.
    undecided = expected.overflows & ~np.isfinite(actual)
    wrong = (error > expected.bound) & ~undecided
    verdict, reason = _verdict(actual, error, wrong, undecided, expected, model)
    return Judgement(verdict, wrong, excess, reason)


def likely(expected: Expected, model: Model) -> Array:
    """Return errors that are rare in correct sums: ``6*sqrt(h)*u*S`` in place of ``h*u*S``. Sums of equal numbers can exceed it."""
    h = expected.h
    spared = np.maximum(h - 6.0 * np.sqrt(h), 0.0) * model.sums.unit * expected.S
    return np.where(expected.bound < np.inf, np.maximum(expected.bound - spared, 0.0), np.inf)


def _error(actual: Array, expected: Expected) -> Array:
    """Return how far outputs are from where they belong: infinitely, where one is not finite and the other is not the same."""
    y = expected.y
    if y.dtype.kind == "i":
        far = np.abs(actual.astype(np.float64) - y.astype(np.float64))
        return np.where(actual == y, 0.0, np.maximum(far, 1.0))
    wide = np.asarray(actual, np.float64)
    same = (wide == y) | (np.isnan(wide) & (np.isnan(y) | expected.may_be_nan))
    error = np.where(same, 0.0, np.abs(wide - y))
    return np.where(np.isnan(error), np.inf, error)


def _verdict(
    actual: Array, error: Array, wrong: Array, undecided: Array, expected: Expected, model: Model
) -> tuple[Verdict, str]:
    """Return the verdict and its reason."""
    total = error.size
    if wrong.any():
        text = f"{wrong.sum():,} of {total:,} outputs are what no order of summation gives"
        unwritten = int((wrong & ~np.isfinite(actual)).sum())
        return Verdict.WRONG, f"{text}, {unwritten:,} of them NaN or infinite" if unwritten else text
    if total == 0:
        return Verdict.INCONCLUSIVE, "the batch is empty: there is nothing to compare"
    if undecided.any():
        return Verdict.INCONCLUSIVE, f"{undecided.sum():,} of {total:,} sums may have overflowed"
    if not expected.bound.any():
        return Verdict.EXACT, "every output has the one value that any order of summation gives"
    with np.errstate(invalid="ignore"):
        blurred = (expected.bound > 0) & (expected.bound >= np.abs(expected.y))
    if 2 * blurred.sum() > total:
        return Verdict.INCONCLUSIVE, "for most outputs the bound is wider than the value: zeros would have passed"
    suspicious = error > likely(expected, model)
    if suspicious.any():
        return Verdict.SUSPECT, f"{suspicious.sum():,} of {total:,} errors are unusually large, but within the bound"
    return Verdict.WITHIN_BOUND, "every error is within what rounding explains"
