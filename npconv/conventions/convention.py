"""The shape that every convention has: what a tool prints for a layer, where that is written, and what it gets wrong."""

from collections.abc import Callable
from dataclasses import dataclass

from npconv.conventions.facts import Facts
from npconv.counts import OpCount


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number consists of.

    Parameters
    ----------
    name : str
        In words: "2 x dense products".
    of_count : callable or None
        The number from an `OpCount`; None where that does not hold it: how many outputs have a bias it does not tell.

    Examples
    --------
    >>> DENSE.of_count(OpCount(mul=6, padding_mul=2))
    8
    """

    name: str
    of_count: Callable[[OpCount], int] | None = None


USEFUL = Unit("useful products", lambda count: count.mul)
TWICE_USEFUL = Unit("2 x useful products", lambda count: 2 * count.mul)
TWICE_USEFUL_AND_BIAS = Unit("2 x useful products, and 1 for each output with a bias")
DENSE = Unit("dense products", lambda count: count.dense_mul)
DENSE_AND_BIAS = Unit("dense products, and 1 for each output with a bias")
TWICE_DENSE = Unit("2 x dense products", lambda count: 2 * count.dense_mul)
TWICE_DENSE_AND_BIAS = Unit("2 x dense products, and 1 for each output with a bias")
OPERATIONS = Unit("dense products and dense additions", lambda count: count.dense_mul + count.dense_add)
MISTAKE = Unit("a formula with a mistake in it")


@dataclass(frozen=True, slots=True)
class Convention:
    """One tool's, or one text's, way to count a layer.

    Parameters
    ----------
    name : str
        Its key in `CONVENTIONS`.
    prints : str
        What the tool calls its number.
    unit : Unit
        What the number consists of where the tool is right.
    rule : callable
        The number for the `Facts` of a layer, faults included; None where the tool stops with an error.
    source : str
        Where the rule was read.
    faults : tuple of str
        Where the number is another than `unit` says.
    per_image : bool
        Whether the tool divides by the batch before it prints. The rule does not, so that numbers compare.

    Examples
    --------
    >>> Convention("dense", "MACs", DENSE, lambda facts: facts.dense, "this page").unit.name
    'dense products'
    """

    name: str
    prints: str
    unit: Unit
    rule: Callable[[Facts], int | None]
    source: str
    faults: tuple[str, ...] = ()
    per_image: bool = False

    def printed(self, facts: Facts) -> int | None:
        """Return what the tool prints: the number by the rule, or its share of one image.

        Parameters
        ----------
        facts : Facts
            The layer.

        Returns
        -------
        int or None
            The number; None where the tool stops with an error.

        Examples
        --------
        >>> convention = Convention("dense", "MACs", DENSE, lambda facts: facts.dense, "this page", per_image=True)
        >>> convention.printed(Facts.of_call((5, 4, 1, 1), (3, 4, 1, 1)))
        12
        """
        number = self.rule(facts)
        return number // facts.x_shape[0] if number and self.per_image else number
