"""One layer as standard, grouped and separable convolution: what each needs, and the formulas with the numbers put in.

Computed from shapes alone, so that an answer comes without waiting for a compiler.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import Any

from npconv.arguments import PaddingLike, PairLike, index, pair
from npconv.counts import OpCount, conv2d_counts, conv2d_parameters
from npconv.geometry import Geometry, conv2d_geometry, covered_outputs, valid_taps
from npconv.text import Row, by, share, stacked

# The number of groups to show if none is asked for: the first that divides the channels and the filters.
USUAL_GROUPS = (4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """One convolution: a standard or a grouped layer is one stage, a separable layer two."""

    geometry: Geometry
    bias: bool

    @property
    def counts(self) -> OpCount:
        """Useful operations and those on padding, by their closed forms."""
        return conv2d_counts(self.geometry, self.bias)

    @property
    def parameters(self) -> int:
        """Numbers that are learned: weights, and biases if there are any."""
        return conv2d_parameters(self.geometry, self.bias)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to build the layer."""

    name: str
    stages: tuple[Stage, ...]

    @property
    def counts(self) -> OpCount:
        """Operations of all stages."""
        return sum((stage.counts for stage in self.stages), OpCount())

    @property
    def parameters(self) -> int:
        """Learned numbers of all stages."""
        return sum(stage.parameters for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Formula:
    """A number and where it comes from; `letters` and `numbers` are Python expressions of the same value."""

    name: str
    letters: str
    numbers: str
    value: int

    def __str__(self) -> str:
        return f"{self.name:<21} {self.letters} = {self.numbers} = {self.value:,}"


def explain(
    x_shape: tuple[int, ...],
    filters: int,
    kernel_size: PairLike,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int | None = None,
    bias: bool = False,
) -> tuple[Form, Form, Form]:
    """Return one layer in three forms: standard, grouped, and depthwise separable.

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
        The standard, the grouped and the separable form.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> [form.counts.mul for form in explain((1, 4, 5, 5), 8, 3)]
    [2592, 648, 612]
    """
    kernel = pair("explain", "kernel_size", kernel_size, 1)
    C = x_shape[1] if len(x_shape) == 4 else 1

    def stage(shape: tuple[int, ...], weight: tuple[int, ...], biased: bool, **options: Any) -> Stage:
        return Stage(conv2d_geometry(shape, weight, operation="explain", **options), biased)

    options = {"stride": stride, "padding": padding, "dilation": dilation}
    standard = stage(x_shape, (filters, C, *kernel), bias, **options)
    usual = next(g for g in USUAL_GROUPS if gcd(C, filters) % g == 0)
    groups = usual if groups is None else index("explain", "groups", groups, 1)
    # Too many groups leave no channel; the complaint is to be about groups, which the user gave, not about a weight.
    grouped = stage(x_shape, (filters, C // groups or 1, *kernel), bias, groups=groups, **options)
    depthwise = stage(x_shape, (C, 1, *kernel), False, groups=C, **options)
    pointwise = stage(depthwise.geometry.y_shape, (filters, C, 1, 1), bias)
    return (
        Form("standard", (standard,)),
        Form(f"{groups} groups" if groups > 1 else "1 group", (grouped,)),
        Form("separable", (depthwise, pointwise)),
    )


def heading(forms: tuple[Form, ...]) -> str:
    """Return the layer in one line."""
    g = forms[0].stages[0].geometry
    (top, bottom), (left, right) = g.padding
    return (
        f"x {by(g.x_shape)} -> y {by(g.y_shape)}: kernel {g.KH}x{g.KW}, stride {by(g.stride)}, "
        f"dilation {by(g.dilation)}, padding {top} top, {bottom} bottom, {left} left, {right} right, "
        f"{'with' if forms[0].stages[0].bias else 'no'} bias"
    )


def rows(forms: tuple[Form, ...]) -> list[Row]:
    """Return the comparison as rows of text, the first of them the names."""
    counts = [form.counts for form in forms]

    def numbers(label: str, values: list[int]) -> Row:
        return (label, *(f"{value:,}" for value in values))

    return [
        ("", *(form.name for form in forms)),
        *stacked("weight", [[by(stage.geometry.weight_shape) for stage in form.stages] for form in forms]),
        ("output", *(by(form.stages[-1].geometry.y_shape) for form in forms)),
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
    g = forms[0].stages[0].geometry
    yield "Sizes and taps, the same in every form", [*map(str, sizes(g)), *taps(g)]
    for form in forms:
        for stage in form.stages:
            g = stage.geometry
            name = f"{form.name[0].upper()}{form.name[1:]}"
            if len(form.stages) > 1:
                name += (
                    ", depthwise"
                    if stage is form.stages[0]
                    else ", then 1x1, which meets no padding: Vh = Ah = OH, Vw = Aw = OW"
                )
            yield f"{name}: weight {by(g.weight_shape)}, g = {g.groups}", [*map(str, needs(stage))]


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


def needs(stage: Stage) -> Iterator[Formula]:
    """Yield the formulas of outputs, parameters, products and additions."""
    g, counts = stage.geometry, stage.counts
    (Vh, Vw), (Ah, Aw) = (valid_taps(*axis) for axis in g.axes), (covered_outputs(*axis) for axis in g.axes)
    yield Formula("P, outputs", "N*O*OH*OW", f"{g.N}*{g.O}*{g.OH}*{g.OW}", g.P)
    yield Formula("K, products of one", "(C//g)*KH*KW", f"({g.C}//{g.groups})*{g.KH}*{g.KW}", g.K)
    if stage.bias:
        yield Formula("parameters", "O*K + O", f"{g.O}*{g.K} + {g.O}", stage.parameters)
    else:
        yield Formula("parameters", "O*K", f"{g.O}*{g.K}", stage.parameters)
    yield Formula("products", "P*K", f"{g.P}*{g.K}", counts.dense_mul)
    yield Formula("  useful", "N*O*(C//g)*Vh*Vw", f"{g.N}*{g.O}*({g.C}//{g.groups})*{Vh}*{Vw}", counts.mul)
    if stage.bias:
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


def as_json(forms: tuple[Form, ...]) -> dict[str, Any]:
    """Return the same numbers as a structure of lists and dictionaries; counts carry the names of `OpCount`."""
    return {
        "x_shape": forms[0].stages[0].geometry.x_shape,
        "forms": [
            {
                "name": form.name,
                "y_shape": form.stages[-1].geometry.y_shape,
                "parameters": form.parameters,
                "counts": judged(form.counts),
                "stages": [
                    {
                        "weight_shape": stage.geometry.weight_shape,
                        "y_shape": stage.geometry.y_shape,
                        "stride": stage.geometry.stride,
                        "padding": stage.geometry.padding,
                        "dilation": stage.geometry.dilation,
                        "groups": stage.geometry.groups,
                        "bias": stage.bias,
                        "parameters": stage.parameters,
                        "counts": judged(stage.counts),
                    }
                    for stage in form.stages
                ],
            }
            for form in forms
        ],
    }


def judged(counts: OpCount) -> dict[str, int]:
    """Return the four counts that have a closed form, by name."""
    return {name: getattr(counts, name) for name in ("mul", "add", "padding_mul", "padding_add")}
