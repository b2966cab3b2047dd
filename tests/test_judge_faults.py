"""Every known mistake, made by a kernel in index arithmetic that shares no code with the judge, is caught and named.

A sample runs by default; ``NPCONV_ALL_FAULTS=1`` runs each mistake on each geometry and probe, and counts.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from faulty import KERNELS, is_same, rounded_up
from npconv.geometry import Geometry, conv2d_geometry
from npconv.judge.audit import audit
from npconv.judge.call import Call, checked_call
from npconv.judge.diagnosis import causes
from npconv.judge.fault import Fault
from npconv.judge.faults import FAMILIES, FAULTS
from npconv.judge.model import Model
from npconv.judge.oracle import Expected, expected
from npconv.judge.outcome import outcome
from npconv.judge.probes import PROBES
from npconv.judge.reading import Reading, addressed, plain, same
from npconv.judge.separation import separating
from npconv.judge.verdict import Verdict, judge

EVERYTHING = os.environ.get("NPCONV_ALL_FAULTS") == "1"


def geometry(x: Any, weight: Any, **options: Any) -> Geometry:
    return conv2d_geometry(x, weight, **options)


GEOMETRIES = {
    "3x3": geometry((2, 3, 7, 8), (4, 3, 3, 3)),
    "3x3, padded": geometry((2, 3, 6, 7), (4, 3, 3, 3), padding=1),
    "3x3, stride 2": geometry((2, 3, 9, 11), (4, 3, 3, 3), stride=2, padding=1),
    "1x1": geometry((2, 5, 4, 6), (7, 5, 1, 1)),
    "1x1, grouped": geometry((2, 6, 4, 5), (9, 2, 1, 1), groups=3),
    "1x1, stride 2": geometry((1, 6, 5, 7), (4, 6, 1, 1), stride=2),
    "even kernel": geometry((2, 2, 6, 9), (3, 2, 2, 4), padding=((1, 0), (2, 1))),
    "4x4, stride 2": geometry((1, 3, 10, 8), (5, 3, 4, 4), stride=2, padding=1),
    "2x5": geometry((2, 3, 6, 10), (4, 3, 2, 5), padding=(1, 2)),
    "5x1": geometry((1, 4, 9, 5), (6, 4, 5, 1), padding=(2, 0)),
    "1x7": geometry((2, 2, 3, 12), (3, 2, 1, 7), padding=((0, 0), (3, 2))),
    "four paddings": geometry((2, 2, 6, 5), (3, 2, 3, 4), padding=((1, 2), (3, 0))),
    "same, stride 2": geometry((1, 3, 8, 10), (4, 3, 3, 3), stride=2, padding="same"),
    "same_lower, stride 2": geometry((1, 3, 8, 10), (4, 3, 3, 3), stride=2, padding="same_lower"),
    "strides 3 and 2": geometry((2, 2, 11, 12), (3, 2, 3, 3), stride=(3, 2), padding=(1, 0)),
    "dilation 2": geometry((1, 3, 9, 10), (4, 3, 3, 3), dilation=2, padding=2),
    "dilations 3 and 2": geometry((2, 2, 12, 11), (3, 2, 3, 3), dilation=(3, 2), padding=(3, 1), stride=(1, 2)),
    "two groups": geometry((2, 8, 6, 7), (6, 4, 3, 3), groups=2, padding=1),
    "three groups": geometry((1, 12, 5, 7), (9, 4, 3, 2), groups=3, padding=((1, 0), (0, 1))),
    "five groups": geometry((1, 10, 5, 4), (35, 2, 3, 3), groups=5, padding=1),
    "groups, stride 2, dilated": geometry((2, 6, 11, 13), (6, 2, 3, 3), groups=3, stride=2, padding=2, dilation=2),
    "depthwise": geometry((2, 5, 7, 8), (5, 1, 3, 3), groups=5, padding=1),
    "depthwise, multiplier 3": geometry((1, 4, 6, 7), (12, 1, 3, 3), groups=4, padding=1),
    "depthwise 5x5, stride 2": geometry((1, 6, 11, 9), (6, 1, 5, 5), groups=6, stride=2, padding=2),
    "depthwise, dilated": geometry((2, 3, 9, 8), (3, 1, 3, 2), groups=3, dilation=(2, 3), padding=((2, 1), (0, 3))),
    "channels that are no multiple of 4": geometry((1, 17, 4, 5), (18, 17, 3, 3), padding=1),
    "K of 1,152": geometry((1, 128, 4, 5), (6, 128, 3, 3), padding=1),
    "K of 4,608": geometry((1, 512, 4, 3), (4, 512, 3, 3), padding=1),
}
PROBE_NAMES = ("exact integers", "addresses", "dense", "sparse")
SAMPLE = ("four paddings", "groups, stride 2, dilated", "depthwise, multiplier 3", "same, stride 2")


@dataclass(frozen=True)
class Trial:
    """Right data of one geometry and probe, under the model that their type suggests."""

    call: Call
    model: Model
    expected: Expected
    unseen: frozenset[str]


def trial(where: Geometry, probe: str, dtype: str) -> Trial:
    kind = np.dtype(dtype)
    model = Model("int64" if kind.kind == "i" else dtype)
    x, weight, bias = PROBES[probe].arrays(where, kind, model, 0)
    call = checked_call(
        x, weight, bias, stride=where.stride, padding=where.padding, dilation=where.dilation, groups=where.groups
    )
    due = expected(call, model)
    return Trial(call, model, due, frozenset(map(general, audit(call, model, due).names)))


def general(name: str) -> str:
    """Return a mistake's name without its number, if it is one that is read off the data."""
    if (
        "rounded to" in name
        and ("tf32" in name or "float16" in name.replace(",", " ").split())
        and "output" not in name
    ):
        return f"{name.partition(' ')[0]} rounded to 11 bits"
    if name.startswith("computed in"):
        return name.replace("computed", "accumulated").removesuffix(" throughout")
    for family in ("zero point", "weight zero point", "padding of", "result added to an old output of", "group"):
        if name.startswith(family):
            return " ".join(word for word in name.split() if not word.strip("-,").isdigit())
    return name


def mistaken_output(name: str, call: Call) -> Any:
    """Return the outputs of a kernel with one mistake, where there is room for it."""
    words = {
        "SAME_LOWER for SAME_UPPER": ("same",),
        "SAME_UPPER for SAME_LOWER": ("same_lower",),
        "half a kernel for SAME": ("same", "same_lower"),
    }
    if name in words and not any(is_same(call.geometry, word) for word in words[name]):
        return None
    lanes = int(next((word for word in name.split() if word.isdigit()), 0)) if "beyond the last" in name else 0
    count = call.geometry.O if name.startswith("filters") else call.geometry.C // call.geometry.groups
    if lanes and (count <= lanes or count % lanes == 0):
        return None
    if name.endswith("not computed") and int(name.split()[1]) >= call.geometry.groups:
        return None
    if name == "ceil instead of floor":
        return rounded_up(call)
    return KERNELS[name](call, left=np.nan if len(name) % 2 else 0.0)


def kernels_for(dtype: str) -> Iterator[str]:
    """Yield the names of mistakes that a type of numbers leaves room for."""
    for name in (*KERNELS, "ceil instead of floor"):
        integers_only = name.startswith(("wrapped", "saturated"))
        floats_only = any(form in name for form in ("float32", "float16", "tf32"))
        if integers_only if dtype != "int32" else floats_only:
            continue
        if dtype == "float32" and "float32" in name:
            continue
        yield name


def anywhere(name: str, right: Reading) -> Reading | None:
    """Return what a kernel with a mistake reads, even where a simpler name would do."""
    fault = next((fault for fault in FAULTS if fault.name == name), None)
    if fault is not None:
        return replace(fault, room=lambda g: True).terms(right)
    number, family = next(((n, f) for f in FAMILIES for n in range(-9, 40) if f.name.format(n) == name), (0, None))
    return None if family is None else family.mistake(addressed(right), number)


def tell(name: str, t: Trial, tally: Counter[str]) -> None:
    """Make one mistake on some data, and hold the judge to what it says."""
    y = mistaken_output(name, t.call)
    if y is None:
        return
    judgement = judge(y, t.expected, t.model)
    if judgement.verdict != Verdict.WRONG:
        tally["not shown"] += 1
        assert general(name) in t.unseen or not room_for(name, t.call), f"{name} passed, and nobody was told"
        return
    diagnosis = causes(y, t.call, t.model, judgement)
    tally["caught"] += 1
    named = {general(found) for found in diagnosis.names}
    if general(name) not in named:
        # Where two mistakes are one, the simpler name is given; that they are one is proven.
        mistaken = anywhere(name, plain(t.call))
        assert mistaken is not None, (name, diagnosis.names)
        assert any(same(cause.fault.terms(plain(t.call)), mistaken) for cause in diagnosis.causes), (
            name,
            diagnosis.names,
        )
    tally["alone" if len(diagnosis.names) == 1 else "tied" if len(diagnosis.causes) == 1 else "told by other data"] += 1
    for cause in diagnosis.causes:
        for tie in cause.ties:
            assert same(cause.fault.terms(plain(t.call)), tie.terms(plain(t.call)))
            tie_separated(cause.fault, tie)


def room_for(name: str, call: Call) -> bool:
    """Return whether a mistake changes any sum of a call, whatever the data."""
    right = plain(call)
    mistaken = anywhere(name, right)
    return mistaken is None or not same(mistaken, addressed(right))


@cache
def tie_separated(one: Fault, other: Fault) -> None:
    """Hold two mistakes that tie to the geometry that is said to tell them apart: whole numbers have to show it."""
    where = separating(one, other)
    assert where is not None, (one.name, other.name)
    model = Model("int64")
    x, weight, bias = PROBES["exact integers"].arrays(where, np.dtype("int64"), model, 5)
    right = plain(Call(x, weight, bias, where))
    first, second = (outcome(fault.reading(right) or right, model).y for fault in (one, other))
    assert not np.array_equal(first, second), (one.name, other.name, where)


def run(geometries: Iterable[str], probes: Iterable[str], dtypes: Iterable[str] = ("float32",)) -> Counter[str]:
    tally: Counter[str] = Counter()
    for where, probe, dtype in product(geometries, probes, dtypes):
        t = trial(GEOMETRIES[where], probe, dtype)
        for name in kernels_for(dtype):
            tell(name, t, tally)
    return tally


@pytest.mark.parametrize("where", SAMPLE)
def test_every_mistake_is_caught_and_named(where: str) -> None:
    tally = run([where], ["sparse"])
    assert tally["caught"] > 70
    assert tally["alone"] >= 0.8 * tally["caught"]


def test_mistakes_of_integers_are_caught_and_named() -> None:
    tally = run(["three groups"], ["exact integers"], ["int32"])
    assert tally["caught"] > 70


@pytest.mark.skipif(not EVERYTHING, reason="ten minutes: every mistake on every geometry and probe")
def test_every_mistake_on_every_geometry_and_probe() -> None:
    assert len(GEOMETRIES) >= 25
    floats = run(GEOMETRIES, PROBE_NAMES)
    integers = run(GEOMETRIES, PROBE_NAMES[:2], ["int32"])
    tally = floats + integers
    # Address maps and integers leave more than one name now and then.
    assert tally["alone"] >= 0.9 * tally["caught"]
