"""The twelve layers that speed is measured on: one image, "same" padding, stride 1."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Layer:
    """A square convolution of one image, as large after as before.

    Attributes
    ----------
    C, O : int
        Channels in and out.
    K : int
        Rows and columns of the kernel, odd.
    H : int
        Rows and columns of the image.
    groups : int
        Number of groups.
    """

    C: int
    O: int
    K: int
    H: int
    groups: int = 1

    @property
    def name(self) -> str:
        """The layer in a few words."""
        channels = f"{self.C}" if self.C == self.O else f"{self.C} -> {self.O}"
        groups = "" if self.groups == 1 else " depthwise" if self.groups == self.C else f" g{self.groups}"
        return f"{channels}{groups} {self.K}x{self.K} {self.H}x{self.H}"

    @property
    def kind(self) -> str:
        """Its class: "dense", "pointwise" (grouped or not), "grouped" or "depthwise"."""
        if self.K == 1:
            return "pointwise"
        if self.groups == 1:
            return "dense"
        return "depthwise" if self.groups == self.C else "grouped"

    @property
    def padding(self) -> int:
        """Zeros on every side."""
        return self.K // 2

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """Shape (1, C, H, H) of the input."""
        return (1, self.C, self.H, self.H)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape (O, C // groups, K, K) of the filters."""
        return (self.O, self.C // self.groups, self.K, self.K)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """Shape (1, O, H, H) of the output."""
        return (1, self.O, self.H, self.H)

    @property
    def flop(self) -> int:
        """Multiplications and additions, those on padding too, a multiply-add being two."""
        return 2 * self.O * self.H**2 * (self.C // self.groups) * self.K**2

    def arrays(self, dtype: str) -> tuple[Array, Array]:
        """Return x and weight, normally distributed, the same in every process."""
        rng = np.random.default_rng((self.C, self.O, self.K, self.H, self.groups))
        return rng.standard_normal(self.x_shape).astype(dtype), rng.standard_normal(self.weight_shape).astype(dtype)


LAYERS = (
    Layer(64, 64, 3, 56),
    Layer(128, 128, 3, 28),
    Layer(64, 256, 1, 56),
    Layer(512, 512, 1, 14),
    Layer(128, 128, 3, 56, 32),
    Layer(256, 256, 3, 28, 32),
    Layer(512, 512, 3, 14, 32),
    Layer(240, 60, 1, 28, 3),
    Layer(384, 96, 1, 28, 8),
    Layer(32, 32, 3, 112, 32),
    Layer(512, 512, 3, 14, 512),
    Layer(96, 96, 7, 56, 96),
)


def select(words: str, *, one_of_each: bool = False) -> list[Layer]:
    """Return the layers whose name contains some words; with `one_of_each`, the first of each class among them."""
    named = [layer for layer in LAYERS if words in layer.name]
    first: dict[str, Layer] = {}
    for layer in named:
        first.setdefault(layer.kind, layer)
    return list(first.values()) if one_of_each else named
