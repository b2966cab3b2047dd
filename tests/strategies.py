"""Random geometries: the output size is drawn first and the input derived from it, so nothing is ever rejected.

A geometry is spelled by bytes, one per choice, and a zero takes the simplest. Hypothesis shrinks them one by one; of
many little strategies it would make most examples by copying choices from axis to axis, and equal axes hide faults.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from cases import Case

T = TypeVar("T")

LANES = (15, 16, 17, 31, 33)
TILES = (29, 47, 48, 64, 65, 97)  # beyond one register tile in any direction
SMALL = (1, 2, 3, 4, 5, 6, 7)
# Few sizes: a depthwise kernel is compiled for every number of its rows.
KERNELS = (1, 2, 3, 4, 5)
TALL = (7,)
LONGEST = 128  # cells that strides or dilations may span: it keeps the images small

# What the plain-Python reference does in some ten milliseconds, and rarely in fifty.
PRODUCTS = (*[20_000] * 9, 100_000)
# For the vectorised oracle alone; without the compiler every kernel is plain Python too.
MANY_PRODUCTS = (40_000,) if os.environ.get("NUMBA_DISABLE_JIT") == "1" else (400_000, 4_000_000)

# What a convolution consists of, and the extents that each may have at any time.
USUAL: dict[str, tuple[int, ...]] = {
    "N": SMALL,
    "groups": SMALL,
    "C/g": SMALL,
    "O/g": SMALL,
    "KH": KERNELS,
    "KW": KERNELS,
    "OH": SMALL,
    "OW": SMALL,
}
# The extents that are large together.
ALONE = ((), ("N",), ("groups",), ("KH",), ("KW",), ("OH",), *[("C/g",), ("O/g",), ("OW",)] * 2)
TOGETHER = (
    ("O/g", "OW"),
    ("O/g", "C/g"),
    ("O/g", "C/g", "OW"),
    ("C/g", "OH", "OW"),
    ("O/g", "OH", "OW"),
    ("groups", "OH", "OW"),
    ("groups", "O/g", "C/g"),
    ("KH", "KW", "OW"),
    ("N", "O/g"),
)
# What makes an ordinary, a grouped, a depthwise, a multiplier, a pointwise and a grouped pointwise convolution.
KINDS: tuple[dict[str, tuple[int, ...]], ...] = (
    {"groups": (1,)},
    {"groups": (2, 3, 4, 5)},
    {"C/g": (1,), "O/g": (1,)},
    {"C/g": (1,), "O/g": (2, 3, 4, 5)},
    {"groups": (1,), "KH": (1,), "KW": (1,)},
    {"groups": (2, 3, 4, 5), "KH": (1,), "KW": (1,)},
)


BYTES = 32


class Spelling:
    """Choices read off a string of bytes."""

    def __init__(self, letters: bytes) -> None:
        self.letters = iter(letters)

    def choose(self, values: Sequence[T]) -> T:
        """Return the value that the next byte stands for."""
        return values[next(self.letters) % len(values)]

    def shuffle(self, values: Sequence[T]) -> list[T]:
        """Return the values in the order that the next bytes stand for."""
        keys = {value: next(self.letters) for value in values}
        return sorted(values, key=keys.__getitem__)


class Axis(NamedTuple):
    """One spatial axis: input length, stride, the two paddings and dilation."""

    n: int
    stride: int
    padding: tuple[int, int]
    dilation: int


def spell_axis(spelling: Spelling, o: int, k: int) -> Axis:
    """Choose stride, dilation and padding, and derive an input length that gives `o` outputs under `k` taps.

    With ``r`` cells at the end that no window reaches, ``n + p0 + p1 = (o-1)*s + d*(k-1) + 1 + r``.
    """
    s = spelling.choose([s for s in (1, 1, 1, 2, 3, 5, 8) if s == 1 or s * (o - 1) <= LONGEST])
    d = spelling.choose([d for d in (1, 1, 1, 2, 3, 4) if d == 1 or d * (k - 1) <= LONGEST])
    r = spelling.choose(range(s))
    reach = d * (k - 1)
    spare = (o - 1) * s + reach + r  # at least one cell must be left to the image
    amounts = (0, 0, 0, 1, 1, reach // 2, reach // 2, reach // 2, reach, reach + 1, reach + 4, spare)
    p0 = min(spelling.choose(amounts), spare)
    p1 = min(spelling.choose(amounts), spare - p0)
    return Axis(spare + 1 - p0 - p1, s, (p0, p1), d)


def spell_case(letters: bytes, products: Sequence[int], sizes: Sequence[int], shares: Sequence[Sequence[str]]) -> Case:
    """Choose one convolution of at most so many products; one of the `shares` names the extents drawn from `sizes`."""
    spelling = Spelling(letters)
    kind = spelling.choose(KINDS)
    large = {name: TALL if name in ("KH", "KW") else tuple(sizes) for name in spelling.choose(shares)}
    choices = USUAL | large | kind
    room = spelling.choose(products)
    extent: dict[str, int] = {}
    # The small ones come last: of those, 1 always fits.
    for name in sorted(spelling.shuffle(tuple(USUAL)), key=lambda name: choices[name] is USUAL[name]):
        extent[name] = spelling.choose([value for value in choices[name] if value <= room] or [1])
        room //= extent[name]
    if spelling.choose((True, False, False, False)):
        rows, columns = (Axis(extent[o] + extent[k] - 1, 1, (0, 0), 1) for o, k in (("OH", "KH"), ("OW", "KW")))
    else:
        rows, columns = (spell_axis(spelling, extent[o], extent[k]) for o, k in (("OH", "KH"), ("OW", "KW")))
    N = spelling.choose((*[extent["N"]] * 15, 0))
    g = extent["groups"]
    return Case(
        (N, g * extent["C/g"], rows.n, columns.n),
        (g * extent["O/g"], extent["C/g"], extent["KH"], extent["KW"]),
        (rows.stride, columns.stride),
        (rows.padding, columns.padding),
        (rows.dilation, columns.dilation),
        g,
    )


def cases(
    products: Sequence[int] = PRODUCTS,
    sizes: Sequence[int] = LANES,
    shares: Sequence[Sequence[str]] = ALONE,
) -> st.SearchStrategy[Case]:
    """Return geometries that the plain-Python reference can afford."""
    letters = st.binary(min_size=BYTES, max_size=BYTES)
    return letters.map(lambda letters: spell_case(letters, products, sizes, shares))


def large_cases() -> st.SearchStrategy[Case]:
    """Return geometries of several register tiles and depth blocks, for the vectorised oracle."""
    return cases(MANY_PRODUCTS, LANES + TILES, TOGETHER)


seeds = st.integers(0, 2**32 - 1)


def one_in(share: int) -> settings:
    """Return settings for this share of the profile's examples."""
    return settings(max_examples=max(1, settings().max_examples // share))
