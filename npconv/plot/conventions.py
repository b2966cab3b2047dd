"""One layer, many answers: what counting tools print for it."""

from typing import TYPE_CHECKING, Any

from npconv.arguments import complaint, shown
from npconv.conventions import CONVENTIONS, Facts
from npconv.conventions.convention import MISTAKE
from npconv.networks import Layer
from npconv.plot.style import BLUE, GREY, INK, ORANGE, axes, title
from npconv.text import by

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES_OF_A_BAR = 0.42
# What a number can be made of, and the colour and hatching of its bar.
LOOKS = {"useful": (BLUE, ""), "dense": (ORANGE, "////"), "": (GREY, "....")}
LEGEND = {
    "useful": "made of useful products",
    "dense": "made of dense products",
    "": "neither: mistaken about this layer",
}


def conventions(layer: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw what each counting tool prints for one layer, and what that is made of.

    Parameters
    ----------
    layer : Layer or Facts
        The layer, and how it is called where that matters.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        A bar for each number, with the tools that print it and what it is made of.

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.
    TypeError
        If `layer` is no layer.

    Examples
    --------
    Without padding and without a bias it is once or twice the same.

    >>> import npconv as nc
    >>> ax = nc.plot.conventions(nc.networks.Layer("conv", (1, 2, 3, 3), (4, 2, 3, 3)))
    >>> [int(bar.get_width()) for bar in ax.patches]
    [72, 140, 144]
    """
    if not isinstance(layer, (Layer, Facts)):
        rule = f"layer is {shown(layer)}, but must be a Layer. Did you mean one of Network.layers?"
        raise complaint("conventions", TypeError(rule), {"layer": layer})
    seen = layer if isinstance(layer, Facts) else Facts.of_layer(layer)
    tools = printed(seen)
    ax = axes(ax, (8.5, 1.4 + INCHES_OF_A_BAR * len(tools)))
    from matplotlib.ticker import EngFormatter

    kinds = [made_of(number, seen) for _, number in tools]
    for place, ((answer, number), (kind, sum_of)) in enumerate(zip(tools, kinds, strict=True)):
        colour, hatch = LOOKS[kind]
        ax.barh(place, answer, 0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        text = f" {answer:,}{sum_of}" + (", for one image" if answer != number else "")
        ax.text(answer, place, text, va="center", fontsize=8, color=INK)
    draw_legend(ax, {kind for kind, _ in kinds})
    title(ax, f"x {by(seen.x_shape)}, weight {by(seen.weight_shape)}: {len(tools)} answers", above=22)
    ax.set_yticks(range(len(tools)), [",\n".join(in_lines(names)) for names in tools.values()], fontsize=8)
    ax.set(
        xlim=(0, 1.4 * max(1, *(answer for answer, _ in tools))),
        ylim=(len(tools) - 0.5, -0.5),
        xlabel="number that is printed",
    )
    ax.xaxis.set_major_formatter(EngFormatter())
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "top", "right"]].set_visible(False)
    return ax


def printed(layer: Facts) -> dict[tuple[int, int], list[str]]:
    """Return the tools by what they print and by the number that they have it from, which is of the whole batch.

    In rising order; formulas with mistakes are left out.
    """
    tools: dict[tuple[int, int], list[str]] = {}
    for name, convention in CONVENTIONS.items():
        number, answer = convention.rule(layer), convention.printed(layer)
        if convention.unit != MISTAKE and number is not None and answer is not None:
            tools.setdefault((answer, number), []).append(name)
    return dict(sorted(tools.items()))


def made_of(number: int, layer: Facts) -> tuple[str, str]:
    """Return which products a number is made of, and how; empty where it is made of neither.

    >>> made_of(174, Facts((1, 2, 3, 3), (2, 2, 3, 3), (1, 1), (1, 1), (0, 0), ((1, 1), (0, 0)), bias=True))
    ('useful', ' = 2 x useful + biases')
    """
    for name, products in (("dense", layer.dense), ("useful", layer.useful)):
        for times, factor in ((1, ""), (2, "2 x ")):
            for biases, more in ((0, ""), (layer.biases, " + biases")):
                if number == times * products + biases:
                    return name, f" = {factor}{name}{more}"
    if number == layer.dense + layer.dense_add:
        return "dense", " = dense + additions"
    return "", ""


def draw_legend(ax: "Axes", kinds: set[str]) -> None:
    """Say what the colours mean."""
    from matplotlib.patches import Patch

    patches = []
    for name, (colour, hatch) in LOOKS.items():
        if name in kinds:
            patch = Patch(label=LEGEND[name])
            patch.set(facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0)
            patches.append(patch)
    ax.legend(
        handles=patches,
        frameon=False,
        ncols=len(patches),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        fontsize=8,
        borderaxespad=0,
    )


def in_lines(names: list[str]) -> list[str]:
    """Return names in lines of two."""
    return [", ".join(names[i : i + 2]) for i in range(0, len(names), 2)]
