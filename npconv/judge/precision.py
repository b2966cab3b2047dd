"""Whether outputs were computed in a narrower format than claimed: that has to show in their bits.

A bound that is wide enough for bfloat16 would explain almost any small error. So two things are asked. Every output is
a number of the narrow format, which one in 65,536 float32 numbers is for bfloat16. And each is within the bound of the
narrow arithmetic.
"""

from dataclasses import replace

import numpy as np

from npconv.judge.call import Call
from npconv.judge.fault import Fault
from npconv.judge.formats import FORMATS, rounded
from npconv.judge.model import Model
from npconv.judge.oracle import expected
from npconv.judge.reading import Array, Reading
from npconv.judge.verdict import judge

ROUNDING = "rounding"


def _none(call: Call) -> Reading | None:
    return None


# How an output gets narrow: the parts of a model that are narrower than claimed.
WAYS = {
    "outputs rounded to {}": ("Sums are as they should be, and finished ones are rounded to {}.", ("output",)),
    "inputs and outputs rounded to {}": ("Images, filters and finished sums are rounded to {}.", ("inputs", "output")),
    "accumulated in {}": ("Every partial sum is rounded to {}.", ("accumulator",)),
    "computed in {} throughout": (
        "Images, filters and every partial sum are rounded to {}.",
        ("inputs", "accumulator"),
    ),
}
NARROW = ("float32", "float16", "bfloat16")
PRECISIONS = {
    Fault(name.format(form), sentence.format(form), ROUNDING, _none): (form, parts)
    for form in NARROW
    for name, (sentence, parts) in WAYS.items()
}


def narrower(form: str, model: Model, call: Call) -> bool:
    """Return whether a format has fewer bits than what a model's results have."""
    return not model.is_integer and FORMATS[form].bits < min(FORMATS[model.result].bits, FORMATS[call.dtype.name].bits)


def narrowed(actual: Array, call: Call, model: Model) -> list[tuple[Fault, float]]:
    """Return the narrower arithmetics that explain every output, each with the largest error as a share of its bound.

    The tightest bound comes first. Arithmetic that rounds once explains what rounds in every step only by chance, so where
    many outputs are explained by the former, the latter is left out.
    """
    found, once = [], False
    for fault, (form, parts) in PRECISIONS.items():
        if (once and "accumulator" in parts) or not (narrower(form, model, call) and representable(actual, form)):
            continue
        other = replace(model, output=None, **dict.fromkeys(parts, form))
        judgement = judge(actual, expected(call, other), other)
        if not judgement.wrong.any():
            found.append((fault, float(judgement.excess.max(initial=0.0))))
            once = once or ("accumulator" not in parts and int((actual != 0).sum()) >= MANY)
    return found


MANY = 20  # outputs that all come out rounded to nearest, after several roundings: one chance in a million or so


def representable(actual: Array, form: str) -> bool:
    """Return whether every output is a number of a format."""
    wide = actual.astype(np.float64)
    return bool(((rounded(wide, form) == wide) | np.isnan(wide)).all())
