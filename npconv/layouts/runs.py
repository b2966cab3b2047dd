"""How outputs are cut into tiles whose pixels need not be neighbours in memory: parts of a row, or some whole rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from npconv.geometry import Geometry
from npconv.kernels.registers import RegisterTile

# A stride that the tile's kernel was made for costs nothing; another one is multiplied with at every pixel.
KNOWN_STRIDES = 4
# The share of a row that a tail has to spare.
WORTH_A_TAIL = 0.03


@dataclass(frozen=True, slots=True)
class Runs:
    """Tiles of `pixels`, and the last one of a row, or of all rows, a tail if that is enough.

    Attributes
    ----------
    pixels, tail : int
        Pixels of a tile, and of a tail.
    rows : int
        Rows of outputs whose pixels make a tile: one, part of which it is, or several whole ones.
    """

    g: Geometry
    pixels: int
    tail: int
    rows: int

    @classmethod
    def of(cls, g: Geometry, pixels: int, tail: int) -> "Runs":
        """Return tiles of whole rows if there are such, and a tail is just what is left."""
        rows, over = divmod(pixels, g.OW)
        whole = 1 < rows <= g.OH and not over and g.stride[1] <= KNOWN_STRIDES
        return cls(g, pixels, tail, rows if whole and tail == (g.OH % rows * g.OW or pixels) else 1)

    @classmethod
    def choices(cls, g: Geometry, pixels: int, others: Iterable[int]) -> Iterator["Runs"]:
        """Yield the ways to cut outputs into tiles of so many pixels with a tail of as many or of one of the others."""
        yield cls.of(g, pixels, pixels)
        tails = [cls.of(g, pixels, tail) for tail in sorted(others) if tail < pixels]
        yield from (runs for runs in tails if runs.rows > 1)
        # Else a tail has to be worth another kernel, for which somebody has to wait.
        left = g.OW % pixels if pixels < g.OW else 0
        yield from [runs for runs in tails if runs.tail >= left > 0 and pixels - runs.tail > WORTH_A_TAIL * g.OW][:1]

    def register_tiles(self, vectors: int, lanes: int) -> tuple[RegisterTile, RegisterTile]:
        """Return the register tile and that of a tail, so many vectors wide; they know the stride if they may."""
        step = self.g.stride[1] if self.g.stride[1] <= KNOWN_STRIDES else 0
        rows_of_tail = self.tail // self.g.OW if self.rows > 1 else 1
        return (
            RegisterTile(self.pixels, vectors, lanes, step=step, phases=self.rows),
            RegisterTile(self.tail, vectors, lanes, step=step, phases=rows_of_tail),
        )

    def in_rows(self, rows: int) -> int:
        """Return the number of tiles, tails among them, in so many rows."""
        return -(-rows // self.rows) * -(-self.g.OW // self.pixels)

    def tiles_and_tails(self) -> tuple[int, int]:
        """Return how many tiles all outputs of a plane take, and how many tails besides."""
        length, lines = (self.g.OW, self.g.OH) if self.rows == 1 else (self.g.OH * self.g.OW, 1)
        tails = 0 < length % self.pixels <= self.tail < self.pixels
        return lines * (-(-length // self.pixels) - tails), lines * tails

    def computed(self) -> int:
        """Return how many outputs all tiles of a plane have."""
        tiles, tails = self.tiles_and_tails()
        return tiles * self.pixels + tails * self.tail

    def cycles(self, of_a_tile: Callable[[int], float]) -> float:
        """Return the cycles of all tiles of a plane from those of one of so many pixels."""
        tiles, tails = self.tiles_and_tails()
        return tiles * of_a_tile(self.pixels) + tails * of_a_tile(self.tail)
