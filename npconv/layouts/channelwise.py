"""Layout of `npconv.kernels.channelwise`: depthwise planes turned by 90 degrees, and how many pixels a tile has."""

from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.kernels.calls import TileKernel
from npconv.kernels.channelwise import channelwise, multiply_channels
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import target
from npconv.layouts.layout import Array, Layout, check_taps, pairs, simplified, table, tile_cycles
from npconv.layouts.planes import CYCLES_OF_A_UNIT, check_scratch, real_cells
from npconv.layouts.runs import Runs

# Pixels of a tile. As with other tiles every one that is used is compiled once.
PIXELS = (1, 4, 7, 8, 14)
# Cycles to turn a block of vectors, for each lane and for each pixel; fitted to images of 7x7 and 14x14.
CYCLES_OF_A_LANE, CYCLES_OF_A_PIXEL = 4, 4


def channelwise_layout(geometry: Geometry, dtype: np.dtype[Any], tile: tuple[int, ...] | None = None) -> Layout:
    """Lay out depthwise tiles whose lanes are channels; `tile` may force (pixels,) or (pixels, 1, pixels of the last)."""
    g = simplified(geometry)
    check_taps("depthwise", g)
    lanes, integer = target().lanes(dtype.itemsize), dtype.kind == "i"
    blocks = -(-g.C // lanes)
    (sh, sw), (dh, dw), ((top, _), (left, _)) = g.stride, g.dilation, g.padding
    rows = (g.OH - 1) * sh + (g.KH - 1) * dh + 1
    read = (g.OW - 1) * sw + (g.KW - 1) * dw + 1
    first, last = real_cells(g.W, 1, -left, read)
    # The zeros past a row's end may be those before the next row's beginning.
    pitch = max(last, read - first)

    def cycles(runs: Runs) -> float:
        def turns(pixels: int) -> int:
            # Half of the lanes' trades are spared where half of the pixels would be thrown away.
            return lanes * CYCLES_OF_A_LANE // (1 + (2 * pixels <= lanes)) + pixels * CYCLES_OF_A_PIXEL

        tiles = g.group_filters * runs.cycles(lambda pixels: tile_cycles(pixels, 1, g.K) + turns(pixels))
        turning = -(-min(rows, g.H) * g.W // lanes) * (turns(lanes) + 2 * lanes) + 2 * min(rows, g.H) * (pitch - g.W)
        return g.N * blocks * (tiles + turning + CYCLES_OF_A_UNIT)

    served = [pixels for pixels in PIXELS if target().fits(pixels, 1, integer=integer)]
    ways = (
        [Runs.of(g, tile[0], tile[-1])] if tile else [of for pixels in served for of in Runs.choices(g, pixels, served)]
    )
    runs = min(ways, key=cycles)
    plane = rows * pitch + max(left, read - pitch) + runs.pixels * sw
    scratch = (plane + 2 * runs.pixels) * lanes
    check_scratch("depthwise", scratch, dtype)
    units = g.N * blocks
    real_rows, real_columns = max(0, min(g.H, rows - top)), max(0, min(g.W, read - left))
    sizes = (
        units, blocks, g.C, g.group_filters, g.H, g.W, g.OH, g.OW, g.K, pitch, plane, real_rows * real_columns, sh, sw, runs.rows,
    )  # fmt: skip
    # Behind the plane is room for what no output needs.
    places = [(top + h) * pitch + left + w if w < real_columns else plane for h in range(real_rows) for w in range(g.W)]
    places += [plane] * (-len(places) % lanes)
    window, tail = runs.register_tiles(1, lanes)
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

    computed = blocks * lanes * g.group_filters * runs.computed()
    moved = g.C * real_rows * real_columns
    kernels = [TileKernel(multiply_channels, tile_of, dtype) for tile_of in (window, tail)]
    parts = (*kernels, RegisterTile(lanes, 1, lanes), sizes, offsets, table(place * lanes for place in places))
    return Layout(
        "depthwise", dtype, channelwise, window, (runs.pixels, 1, runs.tail), parts, pack, pack_bias, units, scratch,
        g.N * (computed - g.OH * g.OW * g.O), g.N * moved, cycles(runs),
    )  # fmt: skip
