"""How tools and texts count a layer: each one's rule, its source and its faults, and counts in terms of it."""

from npconv.arguments import complaint, shown
from npconv.conventions.article import ARTICLE
from npconv.conventions.convention import Convention, Unit
from npconv.conventions.facts import Facts
from npconv.conventions.tools import TOOLS
from npconv.counts import OpCount
from npconv.networks.layer import Layer
from npconv.networks.network import Network

__all__ = ["CONVENTIONS", "Convention", "Facts", "Unit", "convert"]

CONVENTIONS = {convention.name: convention for convention in (*TOOLS, *ARTICLE)}


def convert(count: OpCount | Facts | Layer | Network, convention: str) -> int:
    """Compute the number that a tool prints for a layer or a network, or would make of a count.

    Parameters
    ----------
    count : OpCount, Layer, Network or Facts
        What to express. A layer is taken to be an ordinary module with its padding in numbers; `Facts` can tell
        otherwise.
    convention : str
        A key of ``npconv.conventions.CONVENTIONS``: "fvcore", "ptflops", "flop-counter-mode".

    Returns
    -------
    int
        The number, with all that the tool gets wrong; for the whole batch, unless the tool divides by it.

    Raises
    ------
    TypeError
        If `count` is something else.
    ValueError
        If there is no such convention, if it needs more than an OpCount tells, or if the tool stops with an error.

    Notes
    -----
    Of a network, convolutions and fully connected layers are counted. Some tools add normalisations, activations
    and pooling; `Network` does not list those. ``CONVENTIONS[convention]`` names the source of a rule, and its faults.

    Examples
    --------
    Two products are counted for each, or a product and the addition of a bias.

    >>> import npconv as nc
    >>> layer = nc.networks.Layer("conv", (1, 1, 2, 2), (3, 1, 2, 2), bias=True)
    >>> nc.convert(layer, "fvcore"), nc.convert(layer, "flop-counter-mode"), nc.convert(layer, "ptflops")
    (12, 24, 15)
    >>> nc.convert(layer.counts, "fvcore")
    12
    """
    if str(convention) not in CONVENTIONS:
        # Needed here alone, and slow to import.
        from difflib import get_close_matches

        nearest = ", ".join(map(repr, get_close_matches(str(convention), CONVENTIONS, cutoff=0.0)))
        fault = ValueError(f"there is no convention {convention!r}. Did you mean {nearest}?")
        raise complaint("convert", fault, {"convention": convention})
    try:
        return _converted(count, CONVENTIONS[str(convention)])
    except (TypeError, ValueError) as fault:
        raise complaint("convert", fault, {"count": count, "convention": convention}) from None


def _converted(count: object, convention: Convention) -> int:
    """Return a number by a convention, or raise a bare sentence."""
    if isinstance(count, Network):
        return sum(_converted(layer, convention) for layer in count.layers)
    if isinstance(count, Layer):
        count = Facts.of_layer(count)
    if isinstance(count, Facts):
        number = convention.printed(count)
        if number is None:
            fix = f"Did you mean x of shape {(1, *count.x_shape)}?"
            raise ValueError(f"{convention.name} stops with an error where an image has no batch. {fix}")
        return number
    if not isinstance(count, OpCount):
        given = f"{shown(count)} ({type(count).__name__})"
        raise TypeError(f"count is {given}, but must be an OpCount, a Layer or a Network. Did you mean its counts?")
    if convention.unit.of_count is None:
        rule = f"{convention.name} prints {convention.unit.name}, which an OpCount does not tell."
        raise ValueError(f"{rule} Did you mean the Layer or the Network?")
    return convention.unit.of_count(count)
