"""A number as it is printed: what its digits are worth, and whether another number would be printed so."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

from npconv.arguments import complaint

Rounding: TypeAlias = Literal["exactly", "rounded", "cut off", "rounded up"]
ROUNDINGS: tuple[Rounding, ...] = ("exactly", "rounded", "cut off", "rounded up")

UNITS = {
    "": Fraction(1),
    "%": Fraction(1, 100),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGT", 1)},
}
WORDS = {"K": "k", "ki": "Ki", "B": "G", "thousand": "k", "million": "M", "billion": "G", "percent": "%"}
# What tables and tools write behind a number.
NOUNS = "flops?|macs?|mac|madds?|mult-adds|multiply-adds|mul-adds|ops|params?|parameters|products|additions"
PATTERN = re.compile(
    rf"(?P<digits>\d[\d,_]*(?:\.\d*)?|\.\d+)(?:e\+?(?P<power>\d\d?))?\s*(?P<unit>[A-Za-z]*?|%)\s*(?P<noun>{NOUNS})?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in print.

    Parameters
    ----------
    mantissa : int
        All its digits.
    decimals : int
        How many of them stand behind the point; negative if zeros were left out.
    unit : str
        "", "%", "k", "M", "G" or "T" for powers of 1000, "Ki", "Mi", "Gi" or "Ti" for powers of 1024.
    noun : str
        What it is a number of, where that is written behind it: "params", "macs", "flops".

    Examples
    --------
    >>> figure = Figure(42, 1, "G")
    >>> print(figure)
    4.2 G
    >>> figure.rounding_of(4_230_479_872), figure.rounding_of(4_261_000_000), figure.rounding_of(4_110_000_000)
    ('rounded', 'cut off', 'rounded up')
    """

    mantissa: int
    decimals: int = 0
    unit: str = ""
    noun: str = field(default="", compare=False)

    @property
    def digit(self) -> Fraction:
        """What the last digit is worth.

        Examples
        --------
        >>> int(Figure(42, 1, "G").digit)
        100000000
        """
        return UNITS[self.unit] / Fraction(10) ** self.decimals

    @property
    def value(self) -> Fraction:
        """The number itself.

        Examples
        --------
        >>> int(Figure(42, 1, "G").value)
        4200000000
        """
        return self.mantissa * self.digit

    def rounding_of(self, number: int | Fraction) -> Rounding | None:
        """Return how a number becomes this one in print, or None if it does not.

        Parameters
        ----------
        number : int or Fraction
            The whole number.

        Returns
        -------
        str or None
            "exactly", "rounded" (a half either way), "cut off" or "rounded up".

        Examples
        --------
        >>> [Figure(255, 1, "M").rounding_of(n) for n in (25_500_000, 25_450_000, 25_557_032, 25_400_001, 25_600_000)]
        ['exactly', 'rounded', 'cut off', 'rounded up', None]
        """
        off = Fraction(number) / self.digit - self.mantissa
        if abs(off) >= 1:
            return None
        if abs(off) <= Fraction(1, 2):
            return "rounded" if off else "exactly"
        return "cut off" if off > 0 else "rounded up"

    def like(self, number: int | Fraction) -> "Figure":
        """Return another number, rounded to as many decimals and in the same unit.

        Parameters
        ----------
        number : int or Fraction
            The other number.

        Returns
        -------
        Figure
            It, in print.

        Examples
        --------
        >>> print(Figure(255, 1, "M").like(25_028_904))
        25.0 M
        """
        return Figure(round(Fraction(number) / self.digit), self.decimals, self.unit)

    def __str__(self) -> str:
        whole, rest = divmod(self.mantissa, 10 ** max(0, self.decimals))
        text = f"{whole * 10 ** max(0, -self.decimals):,}"
        text += f".{rest:0{self.decimals}}" if self.decimals > 0 else ""
        return f"{text} {self.unit}".rstrip()


def read_figure(number: object, operation: str = "read_figure") -> Figure:
    """Read a number as it is printed; its digits say how far it may have been rounded.

    Parameters
    ----------
    number : int, float or str
        ``"4.2 G"``, ``"569M"``, ``"25,028,904"``, ``"94.86 %"``, ``"569e6"``, or a number of Python's. The zeros at the end of
        a number without a unit may have been left by rounding, but for the first two digits.
    operation : str
        Function whose argument it is, for the text of an error.

    Returns
    -------
    Figure
        The number with its digits and its unit.

    Raises
    ------
    TypeError
        If it is neither a number nor text.
    ValueError
        If the text is no number, or the number is negative or not finite.

    Examples
    --------
    >>> [str(read_figure(number)) for number in ("4.2 GFLOPs", "569M", "25,028,904 params", "94.86%")]
    ['4.2 G', '569 M', '25,028,904', '94.86 %']
    >>> [int(read_figure(number).digit) for number in (568_740_352, 569_000_000, 300e6, "4.2e9")]
    [1, 1000000, 10000000, 100000000]
    """
    if isinstance(number, bool) or not (isinstance(number, (int, float, str)) or hasattr(number, "__index__")):
        rule = f"number is {number!r} ({type(number).__name__}), but must be an integer, a float or text. Did you mean '569M'?"
        raise complaint(operation, TypeError(rule), {"number": number})
    text = f"{Decimal(repr(number)):f}".removesuffix(".0") if isinstance(number, float) else str(number)
    found = PATTERN.fullmatch(text.strip())
    unit = WORDS.get(found["unit"], found["unit"]) if found else ""
    if found is None or unit not in UNITS:
        rule = f"number is {number!r}, which cannot be read. Did you mean digits with a unit of {', '.join(filter(None, UNITS))}?"
        raise complaint(operation, ValueError(rule), {"number": number})
    whole, _, decimals = found["digits"].replace(",", "").replace("_", "").partition(".")
    noun = (found["noun"] or "").lower()
    figure = Figure(int(whole + decimals), len(decimals) - int(found["power"] or 0), unit, noun)
    if unit or found["power"] or decimals:
        return figure
    zeros = min(len(whole) - len(whole.rstrip("0")), max(0, len(whole) - 2))
    return Figure(int(whole) // 10**zeros, -zeros, noun=noun)
