"""Whether outputs were computed in a narrower format than claimed: that has to show in their bits.

A bound that is wide enough for bfloat16 would explain almost any small error. So two things are asked. Every output is
a number of the narrow format, which one in 65,536 float32 numbers is for bfloat16. And each is within the bound of the
narrow arithmetic.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from npconv.judge.call import Call
from npconv.judge.fault import Fault
from npconv.judge.formats import FORMATS, rounded
from npconv.judge.model import Model
from npconv.judge.oracle import expected
from npconv.judge.reading import Array, Reading
from npconv.judge.verdict import Judgement, judge

ROUNDING = "rounding"


def _none(right: Reading) -> Reading | None:
    return None


# How an output gets narrow: the parts of a model that are narrower than claimed, each alternative a set of them.
WAYS = {
    "outputs rounded to {}": ("Sums are as they should be, and finished ones are rounded to {}.", (("output",),)),
    "inputs and outputs rounded to {}": (
        "Images, filters and finished sums are rounded to {}.",
        (("inputs", "output"),),
    ),
    "accumulated in {}": ("Every partial sum is rounded to {}.", (("accumulator",), ("inputs", "accumulator"))),
}
# From the narrowest up.
NARROW = ("bfloat16", "float16", "float32")
PRECISIONS = {
    Fault(name.format(form), sentence.format(form), ROUNDING, _none): (form, ways)
    for form in NARROW
    for name, (sentence, ways) in WAYS.items()
}
FLUSHED = Fault("subnormals flushed to zero", "Subnormal pixels, products or sums are taken for zero.", ROUNDING, _none)
# Sums of four terms and more that show a way of rounding beyond chance: all of so many are numbers of a format that has 3 bits less than
# another, or come out as the nearest numbers of it after several roundings.
MANY = 20


def narrower(form: str, model: Model, call: Call) -> bool:
    """Return whether a format has fewer bits than what a model's results have."""
    return not model.is_integer and FORMATS[form].bits < min(FORMATS[model.result].bits, FORMATS[call.dtype.name].bits)


def narrowed(actual: Array, call: Call, model: Model) -> list[tuple[Fault, float]]:
    """Return the narrower arithmetics that explain every output, each with the largest error as a share of its bound.

    The tightest bound comes first. What has a wider one is left out if many outputs bear the tighter one out: they would not
    by chance.
    """
    found: list[tuple[Fault, float]] = []
    many = np.count_nonzero((actual != 0) & np.isfinite(actual) & (expected(call, model).h >= 4)) >= MANY
    for fault, (form, ways) in PRECISIONS.items():
        wider = form not in {PRECISIONS[other][0] for other, _ in found} or ways[0] == ("accumulator",)
        if (found and many and wider) or not (narrower(form, model, call) and representable(actual, form)):
            continue
        shares = [_share(actual, call, _narrow_model(model, parts, form)) for parts in ways]
        if min(shares) <= 1.0:
            found.append((fault, min(shares)))
    return found


def _narrow_model(model: Model, parts: Iterable[str], form: str) -> Model:
    """Return a model some of whose parts are of another format."""
    changes: dict[str, Any] = {"output": None, **dict.fromkeys(parts, form)}
    return replace(model, **changes)


def flushed(actual: Array, call: Call, model: Model) -> float:
    """Return the largest error as a share of its bound if subnormal numbers may be taken for zero; infinite if that explains nothing."""
    if model.is_integer or model.flushes_subnormals:
        return np.inf
    return _share(actual, call, replace(model, flushes_subnormals=True))


def _share(actual: Array, call: Call, model: Model) -> float:
    judgement = judge(actual, expected(call, model), model)
    return np.inf if judgement.wrong.any() else largest_share(judgement)


def largest_share(judgement: Judgement) -> float:
    """Return the largest error as a share of its bound, of outputs that are explained; what may have overflowed does not count."""
    return float(judgement.excess[np.isfinite(judgement.excess)].max(initial=0.0))


def representable(actual: Array, form: str) -> bool:
    """Return whether every output is a number of a format."""
    wide = actual.astype(np.float64)
    return bool(((rounded(wide, form) == wide) | np.isnan(wide)).all())
