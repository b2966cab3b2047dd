"""A layer that is measured: its class, what it has to compute and to move, and the arrays that it runs on."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from npconv.geometry import Geometry, conv2d_geometry
from npconv.memory import aligned

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

KINDS = ("dense", "pointwise", "grouped", "depthwise", "stem")
# An image has three channels, or four with its mask; what follows has more.
STEM_CHANNELS = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution without bias.

    Attributes
    ----------
    geometry : Geometry
        Shapes and options.
    """

    geometry: Geometry

    @classmethod
    def square(cls, C: int, O: int, K: int, H: int, groups: int = 1, N: int = 1) -> "Layer":
        """Return the layer with a square kernel whose output is as large as its square image."""
        return cls(conv2d_geometry((N, C, H, H), (O, C // groups, K, K), padding="same", groups=groups))

    def of_batch(self, N: int) -> "Layer":
        """Return the same layer for so many images."""
        return Layer(replace(self.geometry, N=N))

    @property
    def name(self) -> str:
        """The layer of one image in a few words; padding is told where it is not that of a centred kernel."""
        g = self.geometry
        channels = f"{g.C}" if g.C == g.O else f"{g.C} -> {g.O}"
        groups = "" if g.groups == 1 else " depthwise" if g.groups == g.C else f" g{g.groups}"
        stride = "" if g.stride == (1, 1) else f"/{product(*g.stride, short=True)}"
        dilation = "" if g.dilation == (1, 1) else f" dilated {product(*g.dilation, short=True)}"
        centred = tuple((d * (k - 1) // 2,) * 2 for d, k in zip(g.dilation, (g.KH, g.KW), strict=True))
        sides = [side for axis in g.padding for side in axis]
        padding = (
            "" if g.padding == centred else f" pad {','.join(map(str, sides if len(set(sides)) > 1 else sides[:1]))}"
        )
        return f"{channels}{groups} {product(g.KH, g.KW)}{stride}{dilation}{padding} {product(g.H, g.W)}"

    @property
    def kind(self) -> str:
        """Its class, one of `KINDS`: "pointwise" is grouped or not, "stem" sees the image that the network is given."""
        g = self.geometry
        if g.KH == g.KW == 1:
            return "pointwise"
        if g.groups == 1:
            return "stem" if g.C <= STEM_CHANNELS else "dense"
        return "depthwise" if g.group_channels == 1 else "grouped"

    @property
    def options(self) -> dict[str, Any]:
        """Stride, padding, dilation and groups, as `npconv.plan_conv2d` takes them."""
        g = self.geometry
        return {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": g.groups}

    @property
    def products(self) -> int:
        """Multiplications, those on padding too."""
        return self.geometry.P * self.geometry.K

    @property
    def flop(self) -> int:
        """Multiplications and additions, a multiply-add being two."""
        return 2 * self.products

    def traffic(self, dtype: str) -> int:
        """Return the bytes that are moved at least: x and weight read, y written, once each."""
        g = self.geometry
        return (g.N * g.C * g.H * g.W + g.O * g.K + g.P) * np.dtype(dtype).itemsize

    def arrays(self, dtype: str) -> tuple[Array, Array]:
        """Return x and weight, normally distributed, the same in every process, where the libraries' own allocators would put them."""
        g = self.geometry
        rng = np.random.default_rng((*g.x_shape, *g.weight_shape, *g.stride))
        x, weight = (aligned(shape, np.dtype(dtype)) for shape in (g.x_shape, g.weight_shape))
        x[...], weight[...] = rng.standard_normal(g.x_shape), rng.standard_normal(g.weight_shape)
        return x, weight


def product(rows: int, columns: int, *, short: bool = False) -> str:
    """Return two extents as text, such as 3x3; if short, 3 where they are the same."""
    return f"{rows}" if short and rows == columns else f"{rows}x{columns}"
