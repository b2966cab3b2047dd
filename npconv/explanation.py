"""Which conventions make the number that a paper or a tool prints for a layer or a network."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, get_args

from npconv.arguments import complaint
from npconv.figures import ROUNDINGS, Figure, Rounding, read_figure
from npconv.networks import Layer, Network, network
from npconv.tallies import Quantity, Tally, tallies

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
# A number that no convention of so many steps makes counts as not reproduced: with more, some combination fits anything.
MOST_DEPARTURES = 6
# What a number that is not reproduced may be near to.
PLAIN = 1
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """One convention, and how its number becomes the one in print.

    Parameters
    ----------
    tally : Tally
        The convention and its number.
    figure : Figure
        The number in print, as it was read.
    rounding : {"exactly", "rounded", "cut off", "rounded up"} or None
        How the one becomes the other; None if it does not.
    departures : int
        How unusual all of it is: 0 is the plain convention, rounded.

    Examples
    --------
    >>> first, *others = explain_number("resnext-50-32x4d", "4.2 G").explanations
    >>> first.tally.value, first.words, first.rounding, first.departures
    (4230479872, 'products', 'rounded', 0)
    """

    tally: Tally
    figure: Figure
    rounding: Rounding | None
    departures: int

    @property
    def off(self) -> Fraction:
        """By which part of the convention's number the one in print differs from it."""
        value = Fraction(self.tally.value)
        return (self.figure.value - value) / value if value else Fraction(0)

    @property
    def words(self) -> str:
        """The convention, and the unit where it is one of 1024s."""
        unit = self.figure.unit
        return self.tally.words + (f", in units of 2**{'KMGT'.index(unit[0]) * 10 + 10}" if unit.endswith("i") else "")

    @property
    def shown(self) -> str:
        """The convention's number, whole, or with two decimals more than the one in print."""
        if self.tally.quantity == "share" or self.figure.unit.endswith("i"):
            finer = Figure(0, self.figure.decimals + 2, self.figure.unit)
            return str(finer.like(self.tally.value))
        return f"{float(self.tally.value):,.15g}" if isinstance(self.tally.value, Fraction) else f"{self.tally.value:,}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as what `json.dumps` takes.

        Returns
        -------
        dict
            ``quantity``, ``value``, ``convention``, ``rounding``, ``departures``, and ``off``, a part of the value.

        Examples
        --------
        >>> told = explain_number("vgg-16", "138 M").explanations[0].to_json()
        >>> told["value"], told["convention"]
        (138357544, 'weights and biases')
        """
        value = self.tally.value
        return {
            "quantity": self.tally.quantity,
            "value": value if isinstance(value, int) else float(value),
            "convention": self.words,
            "rounding": self.rounding,
            "departures": self.departures,
            "off": float(self.off),
        }


@dataclass(frozen=True, slots=True)
class ExplainedNumber:
    """What was found out about a number; print it to read it.

    Parameters
    ----------
    target : str
        Name of the layer or network.
    figure : Figure
        The number, as it was read.
    explanations : tuple of Explanation
        Conventions that make it, simplest and nearest first.
    nearest : tuple of Explanation
        If there are none: the nearest of the plain conventions.
    swapped : tuple of Explanation
        If there are none: plain conventions whose number has the same digits, two neighbours changed over.

    Examples
    --------
    >>> found = explain_number("resnet-50", "25.6 M")
    >>> found.reproduced, found.explanations[0].words
    (True, 'weights, biases and normalisations')
    """

    target: str
    figure: Figure
    explanations: tuple[Explanation, ...]
    nearest: tuple[Explanation, ...]
    swapped: tuple[Explanation, ...]

    @property
    def reproduced(self) -> bool:
        """Whether some convention makes the number."""
        return bool(self.explanations)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as what `json.dumps` takes.

        Returns
        -------
        dict
            ``target``, ``number``, ``reproduced``, and lists of ``explanations``, ``nearest`` and ``swapped``.

        Examples
        --------
        >>> told = explain_number("vgg-16", "138 M").to_json()
        >>> told["number"], told["reproduced"], told["nearest"]
        ('138 M', True, [])
        """
        found = ("explanations", "nearest", "swapped")
        lists = {name: [each.to_json() for each in getattr(self, name)] for name in found}
        return {"target": self.target, "number": str(self.figure), "reproduced": self.reproduced, **lists}

    def __str__(self) -> str:
        if not self.reproduced:
            lines = [f"{self.figure} is not reproducible from {self.target}"]
            lines += [
                f"  nearest is {each.shown} = {each.words}, off by {float(each.off):+.1%}" for each in self.nearest
            ]
            lines += [f"  two digits may be swapped: {each.shown} = {each.words}" for each in self.swapped]
            return "\n".join(lines)
        alike: dict[str, list[Explanation]] = {}
        for each in self.explanations:
            alike.setdefault(each.shown, []).append(each)
        shown = list(alike)[:SHOWN]
        width = max(map(len, shown))
        lines = [f"{self.figure} of {self.target} is"]
        for value in shown:
            first, *others = alike[value]
            tools = ", ".join(other.tally.tool for other in others if other.tally.tool)
            lines.append(f"  {value:>{width}}  {first.rounding:<10}  {first.words}" + (f" ({tools})" if tools else ""))
        more = len(alike) - len(shown)
        return "\n".join([*lines, f"  and {more} more numbers, each less usual"] if more else lines)


def explain_number(
    target: Layer | Network | str, number: object, *, quantity: Quantity | None = None
) -> ExplainedNumber:
    """Find the conventions by which a layer or a network has the number that a paper or a tool prints for it.

    Parameters
    ----------
    target : Layer, Network or str
        What was counted: a layer, a network (one that was read from a model, too), or the name of a published one.
    number : int, float or str
        The number as it is printed, such as "569M", "4.2 G", "25,028,904", "94.86 %" or 568740352; its digits say how far it
        was rounded.
    quantity : {"operations", "parameters", "share", "receptive field"}, optional
        What it is a number of, if that is known. A word behind the number tells it too: "4.2M params", "569 MMACs".

    Returns
    -------
    ExplainedNumber
        The conventions that make the number, simplest first and then nearest, or what is nearest to it.

    Raises
    ------
    TypeError
        If `target` or `number` is of another type.
    ValueError
        If the number cannot be read, or there is no network of that name and no such quantity.

    Notes
    -----
    Tried are products, additions, both, and two for each product; with and without biases, fully connected layers, the
    first layer, operations on padding, normalisations and activations; each layer once although it runs twice; one image
    or a batch; millions of 10**6 or 2**20; weights, biases, normalisations and their running statistics; the share of each
    kind of layer; what each tool of ``npconv.conventions`` prints. A number may be rounded, cut off, or rounded up.

    Examples
    --------
    >>> import npconv as nc
    >>> print(nc.explain_number("mobilenet-v1-full", "4866M"))
    4,866 M of mobilenet-v1-full is
      4,866,269,184  rounded     products, without fully connected layers
    >>> print(nc.explain_number("mobilenet-v1", "1.19 %"))
    1.19 % is not reproducible from mobilenet-v1
      nearest is 1.0606 % = depthwise 3x3 in all weights, off by +12.2%
      two digits may be swapped: 1.9056 % = 3x3 in all products
    """
    net = _network(target)
    figure = read_figure(number, "explain_number")
    if quantity is not None and quantity not in QUANTITIES:
        rule = f"quantity is {quantity!r}, but must be one of {', '.join(map(repr, QUANTITIES))}."
        raise complaint("explain_number", ValueError(rule), {"quantity": quantity})
    if quantity is None and figure.noun and figure.unit != "%":
        quantity = "parameters" if figure.noun.startswith("param") else "operations"
    counts, shares = _counts(figure), _shares(figure)
    found = [
        each
        for tally in tallies(net)
        if quantity in (None, tally.quantity)
        for each in _compared(tally, shares if tally.quantity == "share" else counts)
    ]
    explanations = sorted(
        (each for each in found if each.rounding and each.departures <= MOST_DEPARTURES),
        key=lambda each: (each.departures, abs(each.off)),
    )
    if explanations:
        return ExplainedNumber(net.name, figure, tuple(explanations), (), ())
    plain = sorted(
        (each for each in found if each.tally.departures <= PLAIN and each.tally.value), key=lambda each: abs(each.off)
    )
    swapped = _first_of_each(each for each in plain if _swapped(each.figure, each.figure.like(each.tally.value)))
    return ExplainedNumber(net.name, figure, (), tuple(plain[:1]), swapped)


def _network(target: object) -> Network:
    """Return what is to be counted as a network."""
    if isinstance(target, str):
        return network(target)
    if isinstance(target, Layer):
        return Network(target.name, (target,))
    if isinstance(target, Network):
        return target
    rule = f"target is a {type(target).__name__}, but must be a Layer, a Network or the name of one. Did you mean 'mobilenet-v1'?"
    raise complaint("explain_number", TypeError(rule), {"target": target})


def _counts(figure: Figure) -> list[tuple[Figure, int]]:
    """Return how a number may be read as one of operations or parameters, and how unusual that is."""
    if figure.unit == "%":
        return []
    readings = [(figure, 0)]
    if figure.unit in ("k", "M", "G", "T"):
        readings.append((replace(figure, unit=f"{figure.unit.upper()}i"), 2))
    elif figure.unit == "" and -12 <= figure.decimals < 0:
        # 205,200,000 is what 205.2 M is, and may be meant as that.
        power = -(figure.decimals // 3)
        readings.append((Figure(figure.mantissa, figure.decimals + 3 * power, "KMGT"[power - 1] + "i"), 2))
    return readings


def _shares(figure: Figure) -> list[tuple[Figure, int]]:
    """Return how a number may be read as a share: in percent, which may be left out, or as a fraction."""
    if figure.unit == "%":
        return [(figure, 0)]
    if figure.unit or figure.decimals <= 0:
        return []
    return [(figure, 0)] * (figure.value < 1) + [(replace(figure, unit="%"), 1)]


def _compared(tally: Tally, readings: list[tuple[Figure, int]]) -> Iterator[Explanation]:
    """Yield how a convention's number compares with each reading of the one in print."""
    for figure, unusual in readings:
        rounding = figure.rounding_of(tally.value)
        # Rounded is usual, cut off less so, rounded up still less.
        steps = max(0, ROUNDINGS.index(rounding) - 1) if rounding else 0
        yield Explanation(tally, figure, rounding, tally.departures + unusual + steps)


def _swapped(one: Figure, other: Figure) -> bool:
    """Return whether two numbers differ in two neighbouring digits that have changed places."""
    a, b = str(one.mantissa), str(other.mantissa)
    differ = [i for i, (p, q) in enumerate(zip(a, b, strict=False)) if p != q]
    return len(a) == len(b) and len(differ) == 2 and differ[1] == differ[0] + 1 and sorted(a) == sorted(b)


def _first_of_each(explanations: Iterable[Explanation]) -> tuple[Explanation, ...]:
    """Return explanations, one for each value that is shown."""
    return tuple({each.figure.like(each.tally.value): each for each in reversed(list(explanations))}.values())
