"""One layer as standard, grouped, depthwise and separable convolution: what each needs, and the formulas with the numbers put in.

Computed from shapes alone, so that an answer comes without waiting for a compiler.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

from npconv.arguments import PaddingLike, PairLike, ShapeLike, index, pair
from npconv.conventions import CONVENTIONS, Convention, Facts
from npconv.conventions.facts import PaddingWord
from npconv.counts import OpCount
from npconv.geometry import Geometry, conv2d_geometry, covered_outputs, valid_taps
from npconv.networks import Layer
from npconv.text import Row, by, share, stacked

# The number of groups to show if none is asked for: the first that divides the channels and the filters.
USUAL_GROUPS = (4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to build what was asked for: a single layer, or for a separable one two."""

    name: str
    layers: tuple[Layer, ...]
    padding_word: PaddingWord = ""

    @property
    def counts(self) -> OpCount:
        """Operations of all layers."""
        return sum((layer.counts for layer in self.layers), OpCount())

    @property
    def parameters(self) -> int:
        """Learned numbers of all layers."""
        return sum(layer.parameters for layer in self.layers)

    def printed(self, convention: Convention) -> int | None:
        """Return what a tool prints, or None where it stops with an error."""
        seen = [replace(Facts.of_layer(layer), padding_word=self.padding_word) for layer in self.layers]
        numbers = [convention.printed(facts) for facts in seen]
        return None if None in numbers else sum(filter(None, numbers))


@dataclass(frozen=True, slots=True)
class Formula:
    """A number and where it comes from; `letters` and `numbers` are Python expressions of the same value."""

    name: str
    letters: str
    numbers: str
    value: int

    def __str__(self) -> str:
        return f"{self.name:<21} {self.letters} = {self.numbers} = {self.value:,}"


def forms(
    x_shape: tuple[int, ...],
    filters: int,
    kernel_size: PairLike,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int | None = None,
    bias: bool = False,
) -> tuple[Form, ...]:
    """Return one layer in four forms: standard, grouped, depthwise, and depthwise separable.

    Parameters
    ----------
    x_shape : tuple of int, (N, C, H, W)
        Shape of the input.
    filters : int
        Number of filters O, the channels of the output.
    kernel_size : int or (int, int)
        Rows and columns of the filters.
    stride : int or (int, int), default 1
        As `conv2d`.
    padding : int, (int, int), ((int, int), (int, int)) or {"valid", "same", "same_lower"}, default 0
        As `conv2d`.
    dilation : int or (int, int), default 1
        As `conv2d`.
    groups : int, optional
        Groups of the grouped form, by default the first of 4, 3, 2, 1 that divides C and O.
    bias : bool, optional
        Whether there is a bias; that of the separable form belongs to its 1x1 convolution.

    Returns
    -------
    tuple of Form
        The standard, the grouped, the depthwise and the separable form. The depthwise form has O filters if that is a
        multiple of C, else C, and a bias if there is one.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> [form.counts.mul for form in forms((1, 4, 5, 5), 8, 3)]
    [2592, 648, 648, 612]
    """
    kernel = pair("explain", "kernel_size", kernel_size, 1)
    C = x_shape[1] if len(x_shape) == 4 else 1

    def layer(name: str, shape: ShapeLike, weight: ShapeLike, biased: bool, **options: Any) -> Layer:
        g = conv2d_geometry(shape, weight, operation="explain", **options)
        return Layer(name, g.x_shape, g.weight_shape, g.stride, g.padding, g.dilation, g.groups, biased)

    options = {"stride": stride, "padding": padding, "dilation": dilation}
    standard = layer("standard", x_shape, (filters, C, *kernel), bias, **options)
    usual = next(g for g in USUAL_GROUPS if gcd(C, filters) % g == 0)
    groups = usual if groups is None else index("explain", "groups", groups, 1)
    # Too many groups leave no channel; the complaint is to be about groups, which the user gave, not about a weight.
    grouped = layer("grouped", x_shape, (filters, C // groups or 1, *kernel), bias, groups=groups, **options)
    O = C if filters % C else filters
    depthwise = layer("depthwise", x_shape, (O, 1, *kernel), bias, groups=C, **options)
    per_channel = layer("separable, depthwise", x_shape, (C, 1, *kernel), False, groups=C, **options)
    pointwise = layer("separable, then 1x1", per_channel.y_shape, (filters, C, 1, 1), bias)
    word: PaddingWord = "same" if padding == "same" else "valid" if padding == "valid" else ""
    return (
        Form("standard", (standard,), word),
        Form(f"{groups} groups" if groups > 1 else "1 group", (grouped,), word),
        Form("depthwise", (depthwise,), word),
        Form("separable", (per_channel, pointwise), word),
    )


def heading(forms: tuple[Form, ...]) -> str:
    """Return the layer in one line."""
    g = forms[0].layers[0].geometry
    (top, bottom), (left, right) = g.padding
    return (
        f"x {by(g.x_shape)} -> y {by(g.y_shape)}: kernel {g.KH}x{g.KW}, stride {by(g.stride)}, "
        f"dilation {by(g.dilation)}, padding {top} top, {bottom} bottom, {left} left, {right} right, "
        f"{'with' if forms[0].layers[0].bias else 'no'} bias"
    )


def rows(forms: tuple[Form, ...]) -> list[Row]:
    """Return the comparison as rows of text, the first of them the names."""
    counts = [form.counts for form in forms]

    def numbers(label: str, values: list[int]) -> Row:
        return (label, *(f"{value:,}" for value in values))

    return [
        ("", *(form.name for form in forms)),
        *stacked("weight", [[by(layer.weight_shape) for layer in form.layers] for form in forms]),
        ("output", *(by(form.layers[-1].y_shape) for form in forms)),
        numbers("parameters", [form.parameters for form in forms]),
        numbers("products", [c.dense_mul for c in counts]),
        numbers("  useful", [c.mul for c in counts]),
        numbers("  on padding", [c.padding_mul for c in counts]),
        ("  share on padding", *(share(c.padding_mul, c.dense_mul) for c in counts)),
        numbers("additions", [c.dense_add for c in counts]),
        numbers("  useful", [c.add for c in counts]),
        numbers("  on padding", [c.padding_add for c in counts]),
        ("of the standard form", *("" for _ in forms)),
        ("  parameters", *(share(form.parameters, forms[0].parameters) for form in forms)),
        ("  products", *(share(c.dense_mul, counts[0].dense_mul) for c in counts)),
        ("  additions", *(share(c.dense_add, counts[0].dense_add) for c in counts)),
    ]


def derivations(forms: tuple[Form, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each part of the calculation, and its lines."""
    g = forms[0].layers[0].geometry
    yield "Sizes and taps, the same in every form", [*map(str, sizes(g)), *taps(g)]
    for form in forms:
        for layer in form.layers:
            name = f"{layer.name[0].upper()}{layer.name[1:]}"
            if layer.name.endswith("1x1"):
                name += ", which meets no padding: Vh = Ah = OH, Vw = Aw = OW"
            yield f"{name}: weight {by(layer.weight_shape)}, g = {layer.groups}", [*map(str, needs(layer))]


def sizes(g: Geometry) -> Iterator[Formula]:
    """Yield the formulas of the output's size."""
    (sh, sw), (dh, dw), ((top, bottom), (left, right)) = g.stride, g.dilation, g.padding
    yield Formula(
        "OH, output rows",
        "(H + top + bottom - dh*(KH - 1) - 1)//sh + 1",
        f"({g.H} + {top} + {bottom} - {dh}*({g.KH} - 1) - 1)//{sh} + 1",
        g.OH,
    )
    yield Formula(
        "OW, output columns",
        "(W + left + right - dw*(KW - 1) - 1)//sw + 1",
        f"({g.W} + {left} + {right} - {dw}*({g.KW} - 1) - 1)//{sw} + 1",
        g.OW,
    )


def taps(g: Geometry) -> Iterator[str]:
    """Yield the sums over taps that tell the image from the padding: V and A of each axis."""
    extents = (g.KH, g.OH), (g.KW, g.OW)
    for axis, (taps, outputs), i, what in zip(g.axes, extents, "hw", ("row", "column"), strict=True):
        V, A = valid_taps(*axis), covered_outputs(*axis)
        pairs = f"V{i} = {V:,} of {outputs * taps:,} pairs (output {what}, tap)"
        yield f"{f'on the image, {what}s':<21} {pairs}; A{i} = {A:,} of {outputs:,} output {what}s"


def needs(layer: Layer) -> Iterator[Formula]:
    """Yield the formulas of outputs, parameters, products and additions."""
    g, counts = layer.geometry, layer.counts
    (Vh, Vw), (Ah, Aw) = (valid_taps(*axis) for axis in g.axes), (covered_outputs(*axis) for axis in g.axes)
    yield Formula("P, outputs", "N*O*OH*OW", f"{g.N}*{g.O}*{g.OH}*{g.OW}", g.P)
    yield Formula("K, products of one", "(C//g)*KH*KW", f"({g.C}//{g.groups})*{g.KH}*{g.KW}", g.K)
    if layer.bias:
        yield Formula("parameters", "O*K + O", f"{g.O}*{g.K} + {g.O}", layer.parameters)
    else:
        yield Formula("parameters", "O*K", f"{g.O}*{g.K}", layer.parameters)
    yield Formula("products", "P*K", f"{g.P}*{g.K}", counts.dense_mul)
    yield Formula("  useful", "N*O*(C//g)*Vh*Vw", f"{g.N}*{g.O}*({g.C}//{g.groups})*{Vh}*{Vw}", counts.mul)
    if layer.bias:
        yield Formula("additions", "P*K", f"{g.P}*{g.K}", counts.dense_add)
        yield Formula("  useful", "N*O*(C//g)*Vh*Vw", f"{g.N}*{g.O}*({g.C}//{g.groups})*{Vh}*{Vw}", counts.add)
    else:
        yield Formula("additions", "P*(K - 1)", f"{g.P}*({g.K} - 1)", counts.dense_add)
        yield Formula(
            "  useful",
            "N*O*((C//g)*Vh*Vw - Ah*Aw)",
            f"{g.N}*{g.O}*(({g.C}//{g.groups})*{Vh}*{Vw} - {Ah}*{Aw})",
            counts.add,
        )


def tools(forms: tuple[Form, ...]) -> list[Row]:
    """Return what each counting tool would print, as rows of text, the first of them the names."""
    return [
        ("", *(form.name for form in forms), "which are"),
        *((name, *printed(forms, convention)) for name, convention in CONVENTIONS.items()),
    ]


def printed(forms: tuple[Form, ...], convention: Convention) -> Iterator[str]:
    """Yield what one tool would print for each form, and what that is."""
    numbers = [form.printed(convention) for form in forms]
    yield from ("an error" if number is None else f"{number:,}" for number in numbers)
    # Some tools do not see a layer whose padding is given by a word.
    in_numbers = [replace(form, padding_word="").printed(convention) for form in forms]
    but = "" if numbers == in_numbers else f', but mistaken about padding "{forms[0].padding_word}"'
    yield convention.unit.name + but


def as_json(forms: tuple[Form, ...]) -> dict[str, Any]:
    """Return the same numbers as a structure of lists and dictionaries; counts carry the names of `OpCount`."""
    return {
        "x_shape": forms[0].layers[0].x_shape,
        "forms": [
            {
                "name": form.name,
                "y_shape": form.layers[-1].y_shape,
                "parameters": form.parameters,
                "counts": judged(form.counts),
                "tools": {name: form.printed(convention) for name, convention in CONVENTIONS.items()},
                "stages": [{**told(layer), "counts": judged(layer.counts)} for layer in form.layers],
            }
            for form in forms
        ],
    }


def records(forms: tuple[Form, ...]) -> Iterator[dict[str, Any]]:
    """Yield the same numbers layer by layer, for a table that another program reads."""
    for form in forms:
        for layer in form.layers:
            yield {"form": form.name, "x_shape": layer.x_shape, **told(layer), **judged(layer.counts)}


def told(layer: Layer) -> dict[str, Any]:
    """Return what a layer is, by name."""
    return {
        "weight_shape": layer.weight_shape,
        "y_shape": layer.y_shape,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.bias,
        "parameters": layer.parameters,
    }


def judged(counts: OpCount) -> dict[str, int]:
    """Return the four counts that have a closed form, by name."""
    return {name: getattr(counts, name) for name in ("mul", "add", "padding_mul", "padding_add")}
