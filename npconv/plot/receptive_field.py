"""Which pixels an output depends on, over the input."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from npconv import receptive
from npconv.arguments import Pair, PairLike, pair
from npconv.networks import Layer, Network
from npconv.plot.style import BLUE, FAINT, GREY, INK, RED, WHITE, axes, title
from npconv.text import by, square

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Labels closer than this share of the picture would be written over one another; a frame of three has room for one.
ROOM_FOR_A_LABEL = 0.035
# More pixels than these are too small for edges.
MOST_PIXELS_WITH_EDGES = 32

Region: TypeAlias = tuple[range, range]


def receptive_field(
    layers: Network | Sequence[receptive.LayerLike],
    *,
    output: PairLike | None = None,
    image_size: PairLike | None = None,
    image: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw over the input which pixels an output depends on: of the last layer, and of each layer on the way.

    Parameters
    ----------
    layers : Network, or sequence of Layer or mapping
        What the image goes through, as `npconv.receptive_field` takes it.
    output : int or (int, int), optional
        Row and column of the output, by default the one in the middle.
    image_size : int or (int, int), optional
        Rows and columns of the image, where the layers do not know them.
    image : array_like, shape (H, W), (H, W, 3) or (H, W, 4), optional
        A picture to draw below, as Matplotlib's `imshow` takes it.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The pixels that the output depends on, filled; the field of each layer, framed; the edge of the image, beyond
        which there is padding.

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is not installed.
    TypeError, ValueError
        As `npconv.receptive_field`; or if there is no such output, or the size of the image is not known.

    Notes
    -----
    Of the layers on the way it is the output whose field lies closest to the middle of the last one's.

    Examples
    --------
    Three taps, two pixels apart, each 3 pixels wide.

    >>> import npconv as nc
    >>> ax = nc.plot.receptive_field([{"kernel_size": 3}, {"kernel_size": 3, "dilation": 2}], image_size=9)
    >>> ax.get_title(loc="left")
    'output (1, 1) depends on 49 pixels, within 7x7'
    """
    listed = [*(layers.layers if isinstance(layers, Network) else layers)]
    first, *fields = (receptive.receptive_field(listed[:end], image_size=image_size) for end in range(len(listed) + 1))
    last = fields[-1] if fields else first
    middle = tuple(n // 2 for n in last.sizes[-1]) if last.sizes else (0, 0)
    place = middle if output is None else pair("receptive_field", "output", output, 0)
    rows, columns = last.pixels(*place)
    region = last.region(*place)
    ax = axes(ax, (6.4, 6.6))
    draw_image(ax, last.sizes[0], region, image)
    fill(ax, last.sizes[0], rows, columns, 0.5 if image is None else 0.25)
    names = [layer.name if isinstance(layer, Layer) else f"layer {number}" for number, layer in enumerate(listed, 1)]
    frame(ax, ((name, field.region(*closest(field, region))) for name, field in zip(names, fields, strict=True)))
    title(ax, f"output {place} depends on {len(rows) * len(columns):,} pixels, within {by(last.size)}")
    ax.set(xlabel="column", ylabel="row")
    return ax


def closest(field: receptive.ReceptiveField, region: Region) -> Pair:
    """Return the output whose field lies closest to the middle of a region.

    >>> closest(receptive.receptive_field([{"kernel_size": 3, "stride": 2}], image_size=9), (range(10), range(2)))
    (2, 0)
    """
    axes = zip(field.sizes[-1], field.offset, field.stride, field.size, region, strict=True)
    rows, columns = (
        min(range(n), key=lambda o: abs(2 * (start + o * step) + size - 1 - (cells[0] + cells[-1])))
        for n, start, step, size, cells in axes
    )
    return rows, columns


def draw_image(ax: "Axes", size: Pair, region: Region, image: Any) -> None:
    """Draw the image, and padding as far around it as a region reaches."""
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    limits = [
        (min(0, cells[0]) - 1.5 * (cells[0] < 0) - 0.5, max(n - 1, cells[-1]) + 1.5 * (cells[-1] >= n) + 0.5)
        for n, cells in zip(size, region, strict=True)
    ]
    (top, bottom), (left, right) = limits
    H, W = size
    sheet = Rectangle((left, top), right - left, bottom - top)
    sheet.set(facecolor=FAINT, edgecolor=GREY, hatch="////", linewidth=0)
    ax.add_patch(sheet)
    if (bottom, right) != (H - 0.5, W - 0.5):
        ax.annotate("padding", (right, bottom), (-6, 6), textcoords="offset points", ha="right", fontsize=8, color=INK)
    elif (top, left) != (-0.5, -0.5):
        ax.annotate("padding", (left, top), (6, -6), textcoords="offset points", va="top", fontsize=8, color=INK)
    ax.add_patch(Rectangle((-0.5, -0.5), W, H, facecolor=WHITE, edgecolor=INK))
    if image is not None:
        ax.imshow(image, extent=(-0.5, W - 0.5, H - 0.5, -0.5), zorder=1.5)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    ax.spines[:].set_visible(False)


def fill(ax: "Axes", size: Pair, rows: Sequence[int], columns: Sequence[int], opacity: float) -> None:
    """Fill the pixels in some rows and columns, and where there are few of them draw their edges too."""
    from matplotlib.colors import to_rgb

    H, W = size
    pixels = np.zeros((H, W, 4))
    pixels[np.ix_(rows, columns)] = (*to_rgb(BLUE), opacity)
    ax.imshow(pixels, interpolation="nearest", extent=(-0.5, W - 0.5, H - 0.5, -0.5), zorder=2)
    if max(size) <= MOST_PIXELS_WITH_EDGES:
        ax.hlines(np.arange(H + 1) - 0.5, -0.5, W - 0.5, color=GREY, linewidth=0.5)
        ax.vlines(np.arange(W + 1) - 0.5, -0.5, H - 0.5, color=GREY, linewidth=0.5)


def frame(ax: "Axes", regions: Iterable[tuple[str, Region]]) -> None:
    """Draw a frame around each region, with its name and size where there is room; of equal ones around the first."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground=WHITE)]
    bottom, top = ax.get_ylim()
    first: dict[Region, str] = {}
    for name, region in regions:
        first.setdefault(region, name)
    written = -math.inf
    # From the outermost to the innermost.
    for (rows, columns), name in reversed(first.items()):
        corner = columns[0] - 0.5, rows[0] - 0.5
        box = Rectangle(corner, len(columns), len(rows), fill=False)
        box.set(edgecolor=RED, linewidth=1.2, zorder=3, path_effects=halo)
        ax.add_patch(box)
        if min(corner[1] - written, len(rows) / 3) > ROOM_FOR_A_LABEL * (bottom - top):
            written = corner[1]
            text = f"{name}: {square((len(rows), len(columns)))}"
            label = ax.annotate(text, corner, (3, -3), textcoords="offset points")
            label.set(va="top", fontsize=8, color=INK, path_effects=halo, zorder=4)
