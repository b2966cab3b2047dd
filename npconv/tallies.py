"""What a network amounts to, by every convention that papers and tools are known for: operations, parameters, shares."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Literal, Self, TypeAlias

from npconv.conventions import CONVENTIONS, Facts, convert
from npconv.counts import OpCount
from npconv.networks import Layer, Network
from npconv.receptive import layer_fields

Quantity: TypeAlias = Literal["operations", "parameters", "share", "receptive field"]

BATCHES = (2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class Tally:
    """A total, and by which convention.

    Parameters
    ----------
    quantity : {"operations", "parameters", "share", "receptive field"}
        What it is a number of.
    value : int or Fraction
        The number.
    words : str
        The convention.
    departures : int
        By how many steps it differs from the plain one: dense products of all layers, all parameters.
    tool : str
        The tool that counts so, where it is the convention of one.

    Examples
    --------
    >>> import npconv as nc
    >>> layer = nc.networks.Layer("conv", (1, 1, 3, 3), (1, 1, 3, 3))
    >>> for tally in tallies(nc.networks.Network("one", (layer,))):
    ...     if tally.quantity == "operations" and tally.departures < 2:
    ...         print(tally.value, tally.words)
    9 products
    17 products and additions
    18 2 for each product
    """

    quantity: Quantity
    value: int | Fraction
    words: str
    departures: int
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to decide a question, and how unusual it is."""

    words: str
    departures: int
    value: int = 0


NOTHING = Choice("", 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """A layer and what is summed of it, for one run."""

    layer: Layer
    times: int
    kind: str
    counts: OpCount
    counts_without_bias: OpCount
    outputs: int
    weights: int
    parameters: int

    @classmethod
    def of(cls, layer: Layer) -> Self:
        """Return what is summed of a layer."""
        once = replace(layer, times=1)
        without = replace(once, bias=False)
        sizes = prod(layer.y_shape), prod(layer.weight_shape), layer.parameters
        return cls(layer, layer.times, kind_of(layer), once.counts, without.counts, *sizes)


def tallies(net: Network) -> Iterator[Tally]:
    """Yield the totals of a network by every convention, nothing twice.

    Parameters
    ----------
    net : Network
        The network.

    Yields
    ------
    Tally
        A total and its convention.

    Examples
    --------
    >>> import npconv as nc
    >>> first, *others = tallies(nc.networks.network("vgg-16"))
    >>> first.value, first.words, len(others) > 100
    (15470264320, 'products', True)
    """
    measured = [Measured.of(layer) for layer in net.layers]
    yield from operations(net, measured)
    yield from tools(net)
    yield from parameters(net, measured)
    yield from shares(measured)
    yield from receptive_fields(net)


def operations(net: Network, measured: Sequence[Measured]) -> Iterator[Tally]:
    """Yield multiplications and additions: which layers, how often, which operations, what else, of how many images."""
    repeated = any(layer.times > 1 for layer in measured)
    for scope, layers in scopes(measured):
        for once in (NOTHING, Choice("each layer once", 1))[: 1 + repeated]:
            # What was noted of the elements behind layers is for each layer once, and for all of them.
            known = scope is NOTHING and bool(once.words) == repeated
            for padding in paddings(layers):
                choices = bases(layers, bool(once.words), bool(padding.words))
                for base, extra in product(choices, elements(net) if known else (NOTHING,)):
                    yield from of_images(net, base.value + extra.value, (base, scope, once, padding, extra))


def scopes(layers: Sequence[Measured]) -> Iterator[tuple[Choice, Sequence[Measured]]]:
    """Yield which layers are counted."""
    yield NOTHING, layers
    connected = [each for each in layers if each.layer.fully_connected]
    convolutions = [each for each in layers if not each.layer.fully_connected]
    if connected and convolutions:
        yield Choice("without fully connected layers", 1), convolutions
        yield Choice("fully connected layers alone", 2), connected
    if len(layers) > 1:
        yield Choice("without the first layer", 2), layers[1:]


def paddings(layers: Sequence[Measured]) -> Iterator[Choice]:
    """Yield whether operations on padding are counted."""
    yield NOTHING
    if any(each.counts.padding_mul for each in layers):
        yield Choice("none of them on padding", 2)


def bases(layers: Sequence[Measured], once: bool, useful: bool) -> Iterator[Choice]:
    """Yield which operations are counted, and how many there are."""
    mul = add = add_without = biases = 0
    for each in layers:
        times = 1 if once else each.times
        counts, without = each.counts, each.counts_without_bias
        mul += times * (counts.mul if useful else counts.dense_mul)
        add += times * (counts.add if useful else counts.dense_add)
        add_without += times * (without.add if useful else without.dense_add)
        biases += times * each.outputs if each.layer.bias else 0
    yield Choice("products", 0, mul)
    yield Choice("products and additions", 1, mul + add)
    yield Choice("2 for each product", 1, 2 * mul)
    yield Choice("additions", 2, add)
    if biases:
        yield Choice("products, and 1 for each output with a bias", 1, mul + biases)
        yield Choice("2 for each product, and 1 for each output with a bias", 2, 2 * mul + biases)
        yield Choice("products and additions, without biases", 2, mul + add_without)
        yield Choice("additions, without biases", 3, add_without)


def elements(net: Network) -> Iterator[Choice]:
    """Yield what is counted of the elements behind layers."""
    norms = [NOTHING, Choice("2 for each element of a normalisation", 1, 2 * net.norm_elements)]
    norms.append(Choice("1 for each element of a normalisation", 2, net.norm_elements))
    activations = [NOTHING, Choice("1 for each element of an activation", 1, net.activation_elements)]
    behind = norms if net.norm_elements else norms[:1], activations if net.activation_elements else activations[:1]
    for norm, activation in product(*behind):
        yield Choice(joined(norm, activation), norm.departures + activation.departures, norm.value + activation.value)


def of_images(net: Network, value: int, parts: tuple[Choice, ...]) -> Iterator[Tally]:
    """Yield an operation count for the images that the network takes, for one of them, and for usual batches of one."""
    departures = sum(part.departures for part in parts)
    yield Tally("operations", value, joined(*parts), departures)
    images = {layer.x_shape[0] for layer in net.layers}
    if images == {1} and departures < 2:
        for N in BATCHES:
            yield Tally("operations", N * value, joined(*parts, Choice(f"for a batch of {N}", 4)), departures + 4)
    elif len(images) == 1 and min(images) > 1:
        N = min(images)
        yield Tally(
            "operations", Fraction(value, N), joined(*parts, Choice(f"for one image of {N}", 1)), departures + 1
        )


def tools(net: Network) -> Iterator[Tally]:
    """Yield what counting tools print for convolutions and fully connected layers, their faults included."""
    facts = [Facts.of_layer(layer) for layer in net.layers]
    for name, convention in CONVENTIONS.items():
        value = sum(convert(seen, name) for seen in facts)
        yield Tally("operations", value, f"as {name} counts {convention.prints}", 3, name)


def parameters(net: Network, measured: Sequence[Measured]) -> Iterator[Tally]:
    """Yield numbers of parameters: which of them, of which layers."""
    for scope, layers in scopes(measured):
        weights = sum(each.weights for each in layers)
        all_of_layers = sum(each.parameters for each in layers)
        norms = net.norm_parameters if scope is NOTHING else 0
        if norms:
            yield Tally("parameters", all_of_layers + norms, "weights, biases and normalisations", 0)
            words = "weights, biases and normalisations, running means and variances too"
            yield Tally("parameters", all_of_layers + 2 * norms, words, 2)
        usual = scope.departures + bool(net.norm_parameters)
        yield Tally("parameters", all_of_layers, joined(Choice("weights and biases", 0), scope), usual)
        if weights != all_of_layers:
            yield Tally("parameters", weights, joined(Choice("weights", 0), scope), usual + 1)


def shares(measured: Sequence[Measured]) -> Iterator[Tally]:
    """Yield what share each kind of layer has in products and parameters, and what share of the products is on padding."""
    counts = sum((each.times * each.counts for each in measured), OpCount())
    if not counts.dense_mul:
        return
    for words, part in (("products on padding", counts.padding_mul), ("useful products", counts.mul)):
        yield Tally("share", Fraction(part, counts.dense_mul), f"{words} in all products", 0)
    measures: tuple[tuple[str, int, Callable[[Measured], int]], ...] = (
        ("products", 0, lambda each: each.times * each.counts.dense_mul),
        ("useful products", 1, lambda each: each.times * each.counts.mul),
        ("products and additions", 2, lambda each: each.times * (each.counts.dense_mul + each.counts.dense_add)),
        ("weights", 0, lambda each: each.weights),
        ("weights and biases", 1, lambda each: each.parameters),
    )
    for scope, layers in list(scopes(measured))[:2]:
        for (words, departures, measure), kind in product(measures, dict.fromkeys(each.kind for each in layers)):
            part = sum(measure(each) for each in layers if each.kind == kind)
            whole = sum(map(measure, layers))
            told = joined(Choice(f"{kind} in all {words}", 0), scope)
            yield Tally("share", Fraction(part, whole), told, departures + scope.departures)


def receptive_fields(net: Network) -> Iterator[Tally]:
    """Yield size, stride and padding of the last layer whose receptive field is known from a chain of layers."""
    fields = zip(net.layers, layer_fields(net), strict=True)
    known = [(layer.name, field) for layer, field in fields if field and not layer.fully_connected]
    for name, field in known[-1:]:
        yield Tally("receptive field", field.size[0], f"rows that an output of {name} sees", 0)
        yield Tally("receptive field", field.stride[0], f"rows from what one output of {name} sees to the next", 0)
        yield Tally(
            "receptive field", field.padding[0][0], f"rows of padding above what the first output of {name} sees", 0
        )


def kind_of(layer: Layer) -> str:
    """Return what papers call such a layer.

    >>> kind_of(Layer("conv2.depthwise", (1, 32, 112, 112), (32, 1, 3, 3), groups=32))
    'depthwise 3x3'
    """
    _, C, _, _ = layer.x_shape
    *_, KH, KW = layer.weight_shape
    if layer.fully_connected:
        return "fully connected layers"
    form = "transposed " if layer.transposed else ""
    form += "depthwise " if 1 < C == layer.groups else "grouped " if layer.groups > 1 else ""
    return f"{form}{KH}x{KW}"


def joined(*parts: Choice) -> str:
    """Return what was chosen, in words."""
    return ", ".join(part.words for part in parts if part.words)
