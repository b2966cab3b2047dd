"""What the pictures share: colours, axes, numbers in few digits."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008), "Color universal design": told apart by everyone.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
INK, GREY, FAINT, WHITE = "#333333", "#CCCCCC", "#E8E8E8", "#FFFFFF"


def axes(ax: "Axes | None", inches: tuple[float, float]) -> "Axes":
    """Return axes to draw on: those that were given, or new ones in a figure of so many inches."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError:
        raise ModuleNotFoundError('pictures need Matplotlib. Install with: pip install "npconv[plot]"') from None
    return plt.subplots(figsize=inches, layout="constrained")[1]


def title(ax: "Axes", text: str, above: float = 6) -> None:
    """Say above a picture, from its left edge on and so many points above it, what it shows."""
    ax.set_title(text, loc="left", fontsize=11, color=INK, pad=above)


def ink_on(colour: str) -> str:
    """Return the colour of text that can be read on another.

    >>> ink_on(BLUE) == WHITE, ink_on(ORANGE) == INK
    (True, True)
    """
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    # Brightness as ITU-R BT.601 weighs it.
    return WHITE if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else INK


def brief(number: int) -> str:
    """Return a number in three digits.

    >>> brief(568740352), brief(26_000_000), brief(1024), brief(7)
    ('569 M', '26.0 M', '1.02 k', '7')
    """
    for unit, name in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if number >= unit:
            whole = len(str(number // unit))
            return f"{number / unit:.{3 - min(whole, 3)}f}{name}"
    return str(number)
