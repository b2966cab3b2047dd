"""Numbers and sizes as the cells of a table that people read."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeAlias

Row: TypeAlias = tuple[str, ...]


def stacked(label: str, cells: Sequence[Sequence[str]]) -> Iterator[Row]:
    """Yield the rows of a line whose cells hold several texts each, one below the other.

    >>> list(stacked("weight", [["4x2x3x3"], ["2x1x3x3", "4x2x1x1"]]))
    [('weight', '4x2x3x3', '2x1x3x3'), ('', '', '4x2x1x1')]
    """
    for i, texts in enumerate(zip_longest(*cells, fillvalue="")):
        yield ("" if i else label, *texts)


def by(sizes: Iterable[int]) -> str:
    """Return sizes as they are spoken.

    >>> by((3, 5))
    '3x5'
    """
    return "x".join(map(str, sizes))


def share(part: int, whole: int) -> str:
    """Return a part as a percentage of the whole, or a dash if there is nothing to share.

    >>> share(1, 8), share(0, 0)
    ('12.5%', '-')
    """
    if not part:
        return "0%" if whole else "-"
    return f"{part / whole:.1%}"


def square(pair: tuple[int, int]) -> str:
    """Return rows and columns, once if they are the same.

    >>> square((3, 3)), square((3, 1))
    ('3', '3x1')
    """
    return str(pair[0]) if pair[0] == pair[1] else by(pair)
