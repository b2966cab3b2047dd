"""What a layout is, and what the layouts of several methods have in common."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from npconv.arrays import in_order
from npconv.geometry import Geometry
from npconv.kernels.calls import TileKernel
from npconv.kernels.entry import Entry
from npconv.kernels.packing import pack_filters
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.kernels.tile import multiply_tile
from npconv.memory import empty

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


# Sets of lanes that a plan writes down at most: 4 MiB of tables, an image of 680 x 680 pixels for a 3x3 kernel.
MOST_SETS = 2**18
# Taps of a filter whose places it writes down.
MOST_TAPS = 2**22
# To ask helpers, and to hear from them in the end, takes ten microseconds; they begin nine later than who asked. What a thread takes from
# another's units was in that one's cache. Fitted to the layers of published networks.
CYCLES_TO_ASK, CYCLES_TO_BEGIN, CYCLES_OF_A_THEFT = 35_000, 30_000, 15_000
# Weights that are packed sooner through registers than by NumPy.
WORTH_TURNING = 2**13


class NotServedError(ValueError):
    """A method cannot serve a geometry; the text says why and what can."""


@dataclass(frozen=True)
class Layout:
    """One method, ready for one geometry.

    Attributes
    ----------
    method : str
        Name of the method.
    dtype : numpy.dtype
        Type of the sums.
    kernel : callable
        Its compiled function, ``kernel(*head, x, w, bias, y, counters, tally, *workspace)``.
    tile : RegisterTile
        The register tile.
    choice : tuple of int
        What `lay_out` must be given as its `tile` to choose the same.
    parts : tuple
        What the kernel is given before the arrays: tile kernels, sizes and tables.
    pack : callable
        Turns weights (O, C // groups, KH, KW) into the order in which the kernel reads them.
    pack_bias : callable
        Does the same for the bias.
    units : int
        Pieces of work that threads can take.
    scratch : int
        Elements of scratch for each thread.
    idle : int
        Outputs that are computed in lanes or rows of a tile and thrown away.
    moved : int
        Elements of the input that are copied.
    cycles : float
        Estimated time of one thread.
    spare : list
        Workspaces that no call uses now; see `npconv.choice`.
    packing : Layout, optional
        The same for a kernel that is given weights in the order that the user gave them, and packs each of them once, when it meets them.
    """

    method: str
    dtype: np.dtype[Any]
    kernel: Callable[..., None]
    tile: RegisterTile
    choice: tuple[int, ...]
    parts: tuple[Any, ...]
    pack: Callable[..., Array]
    pack_bias: Callable[[Array], Array]
    units: int
    scratch: int
    idle: int
    moved: int
    cycles: float
    spare: list[Any] = field(default_factory=list, compare=False, repr=False)
    packing: "Layout | None" = field(default=None, compare=False, repr=False)

    def cycles_of(self, threads: int) -> float:
        """Estimate the cycles until the last of so many threads is done; units are not cut, and helpers begin late."""
        if threads == 1:
            return self.cycles
        each = self.cycles / max(1, self.units)
        # Each thread takes its own units, or those that begin sooner take more of them, and the last is late by half of one.
        alike = CYCLES_TO_BEGIN + -(-self.units // threads) * each
        shared = (CYCLES_TO_BEGIN * (threads - 1) + self.cycles) / threads + each / 2 + CYCLES_OF_A_THEFT
        return CYCLES_TO_ASK + min(alike, shared)

    @property
    def tail(self) -> str:
        """What to say of the last tile, where it is another."""
        *_, tail = self.choice
        if self.method in ("filterwise", "depthwise"):
            return f", the last one {tail} rows" if len(self.choice) == 3 and tail < self.tile.rows else ""
        return f", the last of a band {tail} vector(s) wide" if tail < self.tile.vectors else ""

    @cached_property
    def head(self) -> tuple[Any, ...]:
        """Return the parts as the kernel takes them: tile kernels compiled."""
        return tuple(part.for_driver if isinstance(part, TileKernel) else part for part in self.parts)

    @cached_property
    def entry(self) -> Entry:
        """Return the way into the kernel."""
        return Entry.of(self.kernel, self.head, self.dtype, reads=3, scratch=self.scratch > 0)


def check_taps(method: str, g: Geometry) -> None:
    """Refuse a kernel of more taps than a table is made for."""
    if g.K > MOST_TAPS:
        raise NotServedError(
            f"method '{method}' writes down where each of the {g.K} taps of a filter lies, and allows itself {MOST_TAPS}. "
            "Use method='naive'."
        )


def check_shuffle(method: str, g: Geometry, shuffle: int) -> None:
    """Refuse a channel shuffle unless its groups divide the convolution's: then a block's planes stay at one distance from each other."""
    if g.groups % shuffle:
        raise NotServedError(
            f"method '{method}' shuffles channels as it stores them, where shuffle_groups divides groups, but {shuffle} does not divide "
            f"{g.groups}. Use channel_shuffle afterwards."
        )


def table(values: Iterable[int]) -> Array:
    """Return a read-only array of integers for a kernel."""
    array = np.array(values if isinstance(values, np.ndarray) else list(values), np.int64)
    array.flags.writeable = False
    return array


def pairs(values: Iterable[tuple[int, int]]) -> Array:
    """Return a table of pairs, one after the other."""
    return table(n for pair in values for n in pair)


def in_blocks(groups: int, rows: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return what packs weights and bias as [group][block of filters][k][row of the tile], zeros where a block has filters to spare."""

    def pack(weight: Array) -> Array:
        filters = weight.reshape(groups, weight.shape[0] // groups, -1)
        F, K = filters.shape[1:]
        blocks = -(-F // rows)
        if weight.size >= WORTH_TURNING:
            lanes = target().lanes(weight.itemsize)
            packed = empty((groups * blocks * K * rows,), weight.dtype)
            elements = in_order(weight, weight.dtype).reshape(-1)
            # Of one type, whether or not the user may write to them: it is compiled once.
            elements.flags.writeable = False
            pack_filters(RegisterTile(lanes, 1, lanes), (groups, blocks, rows, F, K), elements, packed)
            return packed
        padded = filters
        if blocks * rows > F:
            padded = np.zeros((groups, blocks * rows, K), weight.dtype)
            padded[:, :F] = filters
        packed = empty((groups, blocks, K, rows), weight.dtype)
        packed[...] = padded.reshape(groups, blocks, rows, K).swapaxes(2, 3)
        return packed.reshape(-1)

    def pack_bias(bias: Array) -> Array:
        return pack(bias.reshape(-1, 1)) if bias.size else bias

    return pack, pack_bias


def as_given(array: Array) -> Array:
    """Return weights or bias in the order that the user gave them."""
    return array.reshape(-1)


def simplified(geometry: Geometry) -> Geometry:
    """Return the same convolution with the numbers that no longer matter set to one.

    A single output has no stride, a single tap no dilation; a pointwise convolution sees no rows, so its image is one long row.
    """
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    sh, sw = sh if geometry.OH > 1 else 1, sw if geometry.OW > 1 else 1
    dh, dw = dh if geometry.KH > 1 else 1, dw if geometry.KW > 1 else 1
    geometry = replace(geometry, stride=(sh, sw), dilation=(dh, dw))
    if (geometry.KH, geometry.KW, sh, sw) == (1, 1, 1, 1) and not any(sum(geometry.padding, ())):
        pixels = geometry.OH * geometry.OW
        if (geometry.H, geometry.W) == (geometry.OH, geometry.OW):
            geometry = replace(geometry, H=1, W=pixels, OH=1, OW=pixels)
    return geometry


def taps_on_image(size: int, k: int, stride: int, dilation: int, before: int, outputs: int) -> list[tuple[int, int]]:
    """Return for each tap of an axis the outputs, first and past the last, at which it meets the image."""
    spans = []
    for i in range(k):
        first = max(0, -((i * dilation - before) // stride))
        last = min(outputs, (size - 1 + before - i * dilation) // stride + 1)
        spans.append((min(first, outputs), max(last, min(first, outputs))))
    return spans


def axis_spans(geometry: Geometry) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return `taps_on_image` of both axes."""
    (top, _), (left, _) = geometry.padding
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    return (
        taps_on_image(geometry.H, geometry.KH, sh, dh, top, geometry.OH),
        taps_on_image(geometry.W, geometry.KW, sw, dw, left, geometry.OW),
    )


@dataclass(frozen=True, slots=True)
class Tiling:
    """How the dense kernels cut a run of neighbouring outputs into tiles: all but the last are wide.

    Attributes
    ----------
    rows, vectors : int
        The wide tile: filters, and vectors of outputs.
    tail : int
        Vectors of the last tile.
    lanes : int
        Outputs in a vector.
    """

    rows: int
    vectors: int
    tail: int
    lanes: int

    @classmethod
    def of(cls, columns: int, choice: tuple[int, ...], lanes: int) -> "Tiling":
        """Return the tiling for (rows, vectors, tail), or for (rows, vectors) that whose tail is no wider than the columns need."""
        rows, vectors, *tail = choice
        return cls(rows, vectors, tail[0] if tail else -(-(columns % (vectors * lanes)) // lanes) or vectors, lanes)

    @property
    def choice(self) -> tuple[int, int, int]:
        """Rows, vectors, vectors of the tail."""
        return self.rows, self.vectors, self.tail

    def wide_tiles(self, columns: int) -> int:
        """Return how many wide tiles there are before the tail."""
        return max(0, -(-(columns - self.tail * self.lanes) // (self.vectors * self.lanes)))

    def number(self, columns: int) -> int:
        """Return how many tiles there are."""
        wide = self.wide_tiles(columns)
        return wide + (columns > wide * self.vectors * self.lanes)

    def computed(self, columns: int) -> int:
        """Return how many columns all tiles have."""
        wide = self.wide_tiles(columns)
        return (wide * self.vectors + (self.number(columns) - wide) * self.tail) * self.lanes

    def cycles(self, columns: int, K: int, *, packed: bool = False) -> float:
        """Estimate the cycles that all tiles of these columns take for one block of filters."""
        wide = self.wide_tiles(columns)
        tails = self.number(columns) - wide
        one, other = (tile_cycles(self.rows, vectors, K, packed=packed) for vectors in (self.vectors, self.tail))
        return wide * one + tails * other

    def tile(self, vectors: int, *, masked: bool = False) -> RegisterTile:
        """Return a tile; of a masked one every vector may reach over the image."""
        return RegisterTile(self.rows, vectors, self.lanes, edge=vectors if masked else 0)

    def kernels(self, dtype: np.dtype[Any], *, masked: bool = False) -> tuple[TileKernel, TileKernel]:
        """Return what drivers are given first: the kernels of the wide tile and of the tail."""
        wide = TileKernel(multiply_tile, self.tile(self.vectors, masked=masked), dtype)
        if self.tail == self.vectors:
            return wide, wide
        return wide, TileKernel(multiply_tile, self.tile(self.tail, masked=masked), dtype)


def tile_cycles(rows: int, vectors: int, taps: int, *, packed: bool = False) -> float:
    """Estimate the cycles of one dense tile: multiply-adds, four cycles before a sum can be used again, and loads.

    What loads cost was fitted to 64 -> 256, 256 -> 64 and 512 -> 512 channels with a 1x1 kernel, in tiles of 8x3, 6x4, 12x2, 4x6 and
    14x2: every weight a quarter of a cycle, and the more vectors are read side by side the more each, as fewer come in time. A CPU that
    needs two cycles for what others multiply and add in one has loaded everything by then.
    """
    each = rows * vectors / 2 + rows / 4 + vectors * (vectors - 1) / 4
    if packed:
        # Neighbouring vectors, each in a cache line of its own, come in time. Of two multiply-adds or two loads in a cycle a sixth is lost
        # on weights, and at the ends of a panel.
        each = max(0.6 * rows * vectors, 0.61 * (rows + vectors))
    return taps * max(rows * vectors / target().multiply_adds, each, 4) + 40 + 3 * rows * vectors
