"""A mistake as data: a name, a sentence, and what a kernel with it reads in place of the right elements."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.reading import OUTSIDE, Array, Reading, addressed, same, sums

# What a kernel with the mistake reads, given what a right one reads; None where that leaves no room for it.
Mistake: TypeAlias = Callable[[Reading], Reading | None]


# The numbers of a family that are worth a look, on what a right kernel reads.
Numbers: TypeAlias = Callable[[Reading, "Evidence | None"], Iterable[int]]


def anywhere(g: Geometry) -> bool:
    """Return that any geometry leaves room for a mistake."""
    return True


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake.

    Parameters
    ----------
    name : str
        A few words that name it; unique.
    sentence : str
        What such a kernel does, in one sentence.
    subject : str
        The part of the convolution that it is about, a key of `npconv.judge.reasons.SUBJECTS`.
    mistake : callable, Reading -> Reading or None
        What such a kernel reads, given what a right one reads; None where it could not go wrong.
    room : callable, Geometry -> bool, optional
        Whether a geometry leaves room for it, and it is no simpler mistake there.
    """

    name: str
    sentence: str
    subject: str
    mistake: Mistake
    room: Callable[[Geometry], bool] = anywhere

    def reading(self, right: Reading) -> Reading | None:
        """Return what such a kernel reads, given what a right one reads; None where there is no room for the mistake."""
        return self.mistake(right) if self.room(right.geometry) else None

    @property
    def of_numbers(self) -> bool:
        """Whether it is about the type of the numbers, and so not possible with every type."""
        return self.subject in ("integers", "rounding")

    def applies(self, right: Reading, addresses: Reading | None = None) -> bool:
        """Return whether a kernel with this mistake adds up other terms than a right one, on some values at least."""
        where = addresses or addressed(right)
        return not same(self.terms(right, where), where)

    def terms(self, right: Reading, addresses: Reading | None = None) -> Reading:
        """Return what such a kernel reads of operands that are addresses: the right elements where it cannot go wrong."""
        where = addresses or addressed(right)
        if self.of_numbers:
            # Addresses are no floats: what is done to values is compared by its name.
            reading = self.reading(right) or where
            return replace(where, rounding=reading.rounding, finish=reading.finish, amount=reading.amount)
        return self.reading(where) or where


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A few outputs of the kernel under test: their flat indices, the values that it gave, and what is right."""

    outputs: Array
    actual: Array
    y: Array


@dataclass(frozen=True, slots=True)
class Family:
    """Mistakes that differ in a number, like the group that is left out; name and sentence have a place for it, ``{}``.

    `numbers` reads the number off the evidence, as far as it can be read off; without any it takes typical ones.
    """

    name: str
    sentence: str
    subject: str
    mistake: Callable[[Reading, int], Reading | None]
    numbers: Numbers

    def members(self, right: Reading, evidence: Evidence | None = None) -> Iterator[Fault]:
        """Yield the mistakes of the family that are worth a look."""
        for number in self.numbers(right, evidence):
            yield Fault(
                self.name.format(number),
                self.sentence.format(number),
                self.subject,
                partial(_member, self.mistake, number),
            )


def _member(mistake: Callable[[Reading, int], Reading | None], number: int, right: Reading) -> Reading | None:
    return mistake(right, number)


# What follows turns one change into a mistake.


def with_weight(change: Callable[[Array], Array]) -> Mistake:
    """Return the mistake of reading the filters in another way."""
    return lambda right: replace(right, weight=change(right.weight))


def with_x(change: Callable[[Array], Array]) -> Mistake:
    """Return the mistake of reading the images in another way."""
    return lambda right: replace(right, x=change(right.x))


def with_bias(change: Callable[[Array, Geometry], Array | None]) -> Mistake:
    """Return the mistake of adding another bias; a call without one leaves no room for it."""
    return lambda right: None if right.bias is None else replace(right, bias=change(right.bias, right.geometry))


def stored(change: Callable[[Array], Array]) -> Mistake:
    """Return the mistake of storing the right outputs in other places: `change` rearranges an array of all of them."""
    return lambda right: _in_order(right, change(_outputs(right.geometry)))


def left_out(where: Callable[[Geometry], Any]) -> Mistake:
    """Return the mistake of never writing the outputs that an index of (N, O, OH, OW) selects."""

    def mistake(right: Reading) -> Reading:
        outputs = _outputs(right.geometry)
        outputs[where(right.geometry)] = OUTSIDE
        return _in_order(right, outputs)

    return mistake


def finished(kind: str, amount: int = 0) -> Mistake:
    """Return the mistake of changing each right output, as `npconv.judge.finish` spells out."""
    return lambda right: replace(right, finish=kind, amount=amount)


def _in_order(right: Reading, outputs: Array) -> Reading:
    """Return the reading whose outputs are stored in this order, `right` itself if that is theirs already."""
    return right if np.array_equal(outputs, _outputs(right.geometry)) else replace(right, order=outputs)


def _outputs(geometry: Geometry) -> Array:
    return np.arange(geometry.P).reshape(geometry.y_shape)


def fitted(mistake: Callable[[Reading, int], Reading]) -> Numbers:
    """Return how to read the number off the evidence, where outputs depend on it along a line: 0 is right.

    Without evidence it is 1. Where no whole number fits there is none.
    """

    def numbers(right: Reading, evidence: Evidence | None) -> Iterable[int]:
        if evidence is None:
            return (1,)
        slope = (sums(mistake(right, 1), evidence.outputs)[0] - evidence.y).astype(np.float64)
        known = np.isfinite(slope) & np.isfinite(evidence.actual)
        steepest = int(np.where(known, np.abs(slope), 0.0).argmax())
        number = float((evidence.actual[steepest] - evidence.y[steepest]) / slope[steepest])
        whole = round(number) if abs(number) < LARGEST_NUMBER else 0
        return (whole,) if whole and abs(number - whole) < 0.25 else ()

    return numbers


LARGEST_NUMBER = 2.0**16


def vectors(count: int) -> Iterable[int]:
    """Return lengths of vectors that leave some of so many over, the shortest of those that leave the same.

    A remainder of one has a name of its own.

    >>> list(vectors(18)), list(vectors(22))
    ([4], [8, 4])
    """
    shortest = {count // lanes * lanes: lanes for lanes in (32, 16, 8, 4) if lanes < count and count % lanes > 1}
    return shortest.values()
