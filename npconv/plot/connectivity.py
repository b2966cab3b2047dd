"""Which channels depend on which, through grouped layers with and without a shuffle between them."""

from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

import numpy as np

from npconv.arguments import complaint, index
from npconv.functional import conv2d
from npconv.plot.style import COLOURS, FAINT, INK, WHITE, axes, ink_on, title
from npconv.rearrange import channel_shuffle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# With more channels the cells are too small to write in.
MOST_CELLS_WRITTEN_IN = 16


def connectivity(
    channels: SupportsIndex,
    groups: SupportsIndex,
    *,
    layers: SupportsIndex = 1,
    shuffled: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw which input channels each output channel depends on, through grouped layers one after another.

    Parameters
    ----------
    channels : int
        Channels of the input, and of what each layer leaves.
    groups : int
        Groups of each layer; a divisor of `channels`.
    layers : int, default 1
        How many grouped 1x1 convolutions there are.
    shuffled : bool, default False
        Whether the channels are shuffled between two layers.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each output channel, a column for each input channel, in the colour of its group, and in each cell
        the number of ways from one to the other.

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.
    TypeError, ValueError
        If a number is no integer or below 1, or if the groups do not divide the channels.

    Notes
    -----
    The layers say themselves what they connect: each channel goes through them alone, as an image of a single 1,
    and all weights are 1.

    Examples
    --------
    >>> import npconv as nc
    >>> print(nc.plot.connectivity(4, 2, layers=2).get_title(loc="left"))
    2 layers of 2 groups:
    each output depends on 2 of 4 inputs
    >>> print(nc.plot.connectivity(4, 2, layers=2, shuffled=True).get_title(loc="left"))
    2 layers of 2 groups, shuffled between:
    each output depends on 4 of 4 inputs
    """
    options = {"channels": channels, "groups": groups, "layers": layers}
    C, g, n = (index("connectivity", name, value, 1) for name, value in options.items())
    if C % g:
        rule = f"there are {C} channels, which cannot be split evenly into {g} groups"
        raise complaint("connectivity", ValueError(f"{rule}. Did you mean channels={-(-C // g) * g}?"), options)
    ways = ways_through(C, g, n, shuffled=shuffled)
    ax = axes(ax, (4.6, 4.9))
    draw(ways, g, ax)
    seen = sorted(set(np.count_nonzero(ways, axis=1).tolist()))
    depends = f"each output depends on {' to '.join(map(str, seen))} of {C} inputs"
    title(ax, f"{n} layer{'s' if n > 1 else ''} of {g} groups{', shuffled between' if shuffled else ''}:\n{depends}")
    ax.set(xlabel="input channel", ylabel="output channel")
    return ax


def ways_through(channels: int, groups: int, layers: int, *, shuffled: bool) -> Array:
    """Return in how many ways each output channel (row) is reached from each input channel (column).

    >>> ways_through(4, 2, 2, shuffled=False).tolist()
    [[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]]
    """
    # An image for each channel, which is 1 there and 0 in all others.
    y = np.eye(channels, dtype=np.float32).reshape(channels, channels, 1, 1)
    weight = np.ones((channels, channels // groups, 1, 1), np.float32)
    for layer in range(layers):
        x = channel_shuffle(y, groups) if shuffled and layer else y
        # The method that is compiled soonest.
        y = conv2d(x, weight, groups=groups, method="naive")
    ways: Array = y.reshape(channels, channels).T.astype(int)
    return ways


def draw(ways: Array, groups: int, ax: "Axes") -> None:
    """Draw the matrix, a cell for each pair of channels and a line between groups."""
    from matplotlib.colors import to_rgb

    C = len(ways)
    colours = [COLOURS[channel * groups // C % len(COLOURS)] for channel in range(C)]
    cells = np.full((C, C, 3), to_rgb(FAINT))
    for channel, colour in enumerate(colours):
        cells[ways[:, channel] > 0, channel] = to_rgb(colour)
    ax.imshow(cells, interpolation="nearest")
    for edge in range(C + 1):
        between_groups = edge % (C // groups) == 0
        for line in (ax.axhline, ax.axvline):
            line(edge - 0.5, color=INK if between_groups else WHITE, linewidth=1.2 if between_groups else 0.6)
    if C <= MOST_CELLS_WRITTEN_IN:
        for o, c in np.argwhere(ways).tolist():
            ax.text(c, o, str(ways[o, c]), ha="center", va="center", fontsize=8, color=ink_on(colours[c]))
    firsts = range(0, C, C // groups)
    ax.set(xticks=firsts, yticks=firsts)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
