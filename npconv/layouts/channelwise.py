"""Layout of `npconv.kernels.channelwise`: depthwise planes turned by 90 degrees, and how many pixels a tile has."""

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.calls import TileKernel
from npconv.kernels.channelwise import channelwise, multiply_channels
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts.layout import Array, Layout, check_taps, pairs, simplified, table
from npconv.layouts.planes import check_scratch, real_cells
from npconv.layouts.runs import Runs

# Pixels of a tile. As with other tiles every one that is used is compiled once.
PIXELS = (1, 4, 7, 8, 10, 14)
# Cycles of a tap for each pixel, and besides; of a tile for each pixel, and besides; of a lane that a tile has to itself where rows are
# narrower; of each trade of a pixel of the image; and of a vector of channels. All fitted to the layers of published networks in float32
# and float64.
OF_A_TAP, OF_A_TILE, OF_A_LANE_CUT, OF_A_TRADE, OF_A_BLOCK = (0.8, 2.3), (3.4, 17), 6, 1.25, 80
# More for each pixel of planes that a cache no longer holds, the image's with them, and the bytes that it does.
OF_A_FAR_PIXEL = {40 * 1024: 4.5, 128 * 1024: 4}


@dataclass(frozen=True, slots=True)
class Turned:
    """A plane whose pixels are vectors of channels, with the zeros around it."""

    g: Geometry
    lanes: int
    itemsize: int

    @property
    def trades(self) -> int:
        """How often a vector trades with another to be turned: as often as lanes can be halved."""
        return self.lanes.bit_length() - 1

    @property
    def rows(self) -> int:
        """Rows that outputs read."""
        return (self.g.OH - 1) * self.g.stride[0] + (self.g.KH - 1) * self.g.dilation[0] + 1

    @property
    def columns(self) -> int:
        """Columns that outputs read."""
        return (self.g.OW - 1) * self.g.stride[1] + (self.g.KW - 1) * self.g.dilation[1] + 1

    @property
    def pitch(self) -> int:
        """Pixels from one row to the next: the zeros past a row's end may be those before the next row's beginning."""
        first, last = real_cells(self.g.W, 1, -self.g.padding[1][0], self.columns)
        return max(last, self.columns - first)

    @property
    def real(self) -> tuple[int, int]:
        """Rows and columns of the image that outputs read."""
        (top, _), (left, _) = self.g.padding
        return max(0, min(self.g.H, self.rows - top)), max(0, min(self.g.W, self.columns - left))

    def places(self, elsewhere: int) -> Array:
        """Return where each pixel of the image goes, `elsewhere` if no output needs it; rows as far as they are needed, whole vectors."""
        (top, _), (left, _) = self.g.padding
        rows, columns = self.real
        places = np.full(-(-rows * self.g.W // self.lanes) * self.lanes, elsewhere, np.int64)
        image = places[: rows * self.g.W].reshape(rows, self.g.W)
        image[:, :columns] = (top + np.arange(rows)[:, None]) * self.pitch + left + np.arange(columns)
        return places

    def cycles(self, runs: Runs) -> float:
        """Estimate the cycles for all planes of a vector of channels."""
        pixels, near = (
            self.rows * self.pitch,
            (self.rows * self.pitch + self.g.H * self.g.W) * self.lanes * self.itemsize,
        )
        far = sum(pixels * each for most, each in OF_A_FAR_PIXEL.items() if near > most)
        turning = -(-self.real[0] * self.g.W // self.lanes) * self.lanes * self.trades * OF_A_TRADE
        tiles = self.g.group_filters * runs.cycles(partial(self.cycles_of_a_tile, runs))
        return tiles + turning + far + OF_A_BLOCK

    def cycles_of_a_tile(self, runs: Runs, pixels: int) -> float:
        """Estimate the cycles of a tile or a tail."""
        # Where half of the pixels would be thrown away, so are half of the trades.
        trades = -(-pixels // self.lanes) * self.lanes * self.trades // (1 + (2 * pixels <= self.lanes))
        taps = self.g.K * (OF_A_TAP[0] * pixels + OF_A_TAP[1])
        cut = self.lanes * OF_A_LANE_CUT * (runs.pixels > runs.rows * self.g.OW)
        return taps + OF_A_TILE[0] * pixels + OF_A_TILE[1] + trades + cut


def channelwise_layout(geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None) -> Layout:
    """Lay out depthwise tiles whose lanes are channels; `tile` may force (pixels,) or (pixels, 1, pixels of the last)."""
    g = simplified(geometry)
    check_taps("depthwise", g)
    lanes, integer = target().lanes(dtype.itemsize), dtype.kind == "i"
    blocks, turned = -(-g.C // lanes), Turned(g, lanes, dtype.itemsize)
    served = [pixels for pixels in PIXELS if target().fits(pixels, 1, integer=integer)]
    ways = (
        [Runs.of(g, tile[0], tile[-1])] if tile else [of for pixels in served for of in Runs.choices(g, pixels, served)]
    )
    runs = min(ways, key=turned.cycles)
    (sh, sw), (dh, dw), pitch = g.stride, g.dilation, turned.pitch
    plane = turned.rows * pitch + max(g.padding[1][0], turned.columns - pitch) + runs.pixels * sw
    scratch = (plane + 2 * runs.pixels) * lanes
    check_scratch("depthwise", scratch, dtype)
    units = g.N * blocks
    sizes = (
        units, blocks, g.C, g.group_filters, g.H, g.W, g.OH, g.OW, g.K, pitch, plane, prod(turned.real), sh, sw, runs.rows,
    )  # fmt: skip
    # Behind the plane is room for what no output needs.
    places = table(turned.places(plane) * lanes)
    offsets = pairs(((kh * dh * pitch + kw * dw) * lanes, 0) for kh in range(g.KH) for kw in range(g.KW))

    def pack(weight: Array) -> Array:
        """Return [block][j][kh][kw][channel of the block], zeros where a block has channels to spare."""
        filters = weight.reshape(g.C, g.group_filters, -1)
        packed = np.zeros((blocks * lanes, g.group_filters, filters.shape[2]), weight.dtype)
        packed[: g.C] = filters
        return np.ascontiguousarray(packed.reshape(blocks, lanes, g.group_filters, -1).transpose(0, 2, 3, 1)).reshape(
            -1
        )

    def pack_bias(bias: Array) -> Array:
        return pack(bias) if bias.size else bias

    idle = g.N * (blocks * lanes * g.group_filters * runs.computed() - g.OH * g.OW * g.O)
    window, tail = runs.register_tiles(1, lanes)
    kernels = [TileKernel(multiply_channels, tile_of, dtype) for tile_of in (window, tail)]
    return Layout(
        "depthwise", dtype, channelwise, window, (runs.pixels, 1, runs.tail),
        (*kernels, RegisterTile(lanes, 1, lanes), sizes, offsets, places), pack, pack_bias, units, scratch, idle,
        g.N * g.C * prod(turned.real), units * turned.cycles(runs),
    )  # fmt: skip
