"""Where every multiplication went, layer by layer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npconv.arguments import complaint
from npconv.counts import OpCount
from npconv.networks import Network
from npconv.plot.style import BLUE, GREY, INK, ORANGE, PURPLE, axes, brief, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What products are spent on: the field of `OpCount`, its name, and a colour and a hatching that can be told apart in grey.
SPENT = (
    ("mul", "useful", BLUE, ""),
    ("padding_mul", "on padding", ORANGE, "////"),
    ("idle_mul", "in idle lanes", GREY, "...."),
    ("transform_mul", "in transforms", PURPLE, "xxxx"),
)
INCHES_OF_A_BAR = 0.21


def multiplications(counts: Network | Mapping[str, OpCount], *, ax: "Axes | None" = None) -> "Axes":
    """Draw where every multiplication of some layers went: useful, on padding, in idle lanes.

    Parameters
    ----------
    counts : Network, or mapping from str to OpCount
        What to draw, by the names of the layers. A network is drawn by its closed forms, which know of no idle lanes;
        what was executed comes from `counting`, from ``return_counts=True``, or before it is run from `plan_conv2d`.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        A bar for each layer, split into shares of the products that it executes, and their number at its end.

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.
    TypeError, ValueError
        If `counts` is something else, or empty.

    Examples
    --------
    Of 81 products 49 are useful, as 7 of 9 taps of an axis meet the image.

    >>> import npconv as nc
    >>> ax = nc.plot.multiplications({"padded": nc.count_conv2d((1, 1, 3, 3), (1, 1, 3, 3), padding=1)})
    >>> ax.get_title(loc="left")
    '81 products, 60.5% of them useful'
    """
    layers = by_name(counts)
    total = sum(layers.values(), OpCount())
    ax = axes(ax, (8, 1.2 + INCHES_OF_A_BAR * len(layers)))
    begin = [0.0] * len(layers)
    spent = [part for part in SPENT if getattr(total, part[0])]
    for field, label, colour, hatch in spent:
        shares = [100 * getattr(count, field) / max(1, count.executed_mul) for count in layers.values()]
        ax.barh(
            range(len(layers)),
            shares,
            0.8,
            begin,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=label,
        )
        begin = [sum(pair) for pair in zip(begin, shares, strict=True)]
    for place, count in enumerate(layers.values()):
        ax.text(107, place, brief(count.executed_mul), ha="right", va="center", fontsize=8, color=INK)
    title(ax, f"{brief(total.executed_mul)} products, {total.utilisation:.1%} of them useful")
    ax.set_yticks(range(len(layers)), list(layers), fontsize=8)
    ax.set(xlim=(0, 107), ylim=(len(layers) - 0.4, -0.6), xticks=range(0, 101, 20))
    ax.set_xlabel("share of the products of each layer, in %, and their number")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.legend(frameon=False, ncols=len(spent), loc="lower right", bbox_to_anchor=(1, 1), fontsize=9, borderaxespad=0.2)
    return ax


def by_name(counts: Any) -> dict[str, OpCount]:
    """Return counts by the names of their layers, or say what they have to be."""
    if isinstance(counts, Network):
        return {layer.name: layer.counts for layer in counts.layers}
    if not isinstance(counts, Mapping) or not all(isinstance(count, OpCount) for count in counts.values()):
        rule = 'counts is no mapping from names to OpCount. Did you mean {"conv1": counts}?'
        raise complaint("multiplications", TypeError(rule), {"counts": counts})
    if not counts:
        rule = "there are no counts, but a picture needs one layer or more."
        raise complaint("multiplications", ValueError(rule), {"counts": counts})
    return dict(counts)
