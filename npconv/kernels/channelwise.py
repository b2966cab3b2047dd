"""Depthwise convolution with channels in the lanes, for narrow images: a vector holds one pixel of neighbouring channels.

A row of 7 pixels leaves most lanes of a vector empty, and windows that are turned by 90 degrees fill them all: planes are copied to
scratch with their zeros, pixel by pixel, and every product is one of whole vectors. Tiles are turned back before they are stored.
"""

from npconv.kernels.calls import run_tile
from npconv.kernels.compile import driver, kernel
from npconv.kernels.registers import (
    accumulators,
    fma,
    get,
    line,
    load,
    load_turned,
    multiply,
    put,
    store,
    store_turned,
)
from npconv.kernels.tile import ADD, IDLE_ADD, IDLE_MUL, MOVED, MUL, clear, next_run, store_tile
from npconv.kernels.work import next_unit, rest


@driver
def channelwise(tile, tail, turn, sizes, offsets, places, x, w, bias, y, counters, tally, scratch, packed):
    """Convolve units (n, block of channels), claimed from `counters`, into y. `packed` is `scratch`, read-only.

    x (N, C, H, W); w [block][j][kh][kw][channel of the block]; y (N, C, multiplier, OH, OW). A row of outputs is cut into tiles of
    neighbours, or some whole rows make a tile; the last is a `tail` if that is enough. Planes are turned with `turn`, a tile of as many
    rows as lanes; places[pixel] is where a pixel then begins, among zeros that are written once.
    """
    (units, blocks, C, multiplier, H, W, OH, OW, K, pitch, plane, real, sh, sw, tile_rows) = sizes
    lanes = line(x).lanes
    apart = multiplier * OH * OW
    sums = scratch.size - tile[0] * lanes
    additions = K if bias.size > 0 else K - 1
    # The distance of neighbouring pixels, and of those above each other where a tile has several rows.
    step = (sw if tile_rows == 1 else sh * pitch) * lanes
    clear(scratch, 0, plane * lanes)
    unit = next_unit(counters, tally, units)
    while unit < units:
        block = unit % blocks
        n = unit // blocks
        channels = min(lanes, C - block * lanes)
        plane_of_x = n * C + block * lanes
        turn_planes(turn, places, x, plane_of_x * H * W, H * W, channels, scratch)
        tally[MOVED] += channels * real
        for j in range(multiplier):
            of_block = (block * multiplier + j) * lanes
            b0 = of_block if bias.size > 0 else -1
            y0 = (plane_of_x * multiplier + j) * OH * OW
            for r in range(0, OH, tile_rows):
                for column in range(0, OW, tile[0]):
                    pixels, code, q, last, exact = next_run(tile, tail, tile_rows, r, OH, column, OW)
                    whole = channels == lanes and exact
                    target = y if whole else scratch
                    t0 = y0 + q if whole else sums
                    t_pitch = apart if whole else pixels
                    start = (r * sh * pitch + q * sw) * lanes
                    run_tile(
                        code, w, of_block * K, packed, start, offsets, 0, K, offsets, step, 0, bias, b0, target, t0, t_pitch,
                        w, 0, 0, tally,
                    )  # fmt: skip
                    if not whole:
                        store_tile(scratch, sums + column - q, pixels, y, y0, apart, channels, column, last, OW, OW, OW)
                    idle = pixels * lanes - channels * (last - column)
                    tally[IDLE_MUL] += idle * K
                    tally[IDLE_ADD] += idle * additions
                y0 += tile_rows * OW
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@kernel
def turn_planes(turn, places, x, x0, plane, channels, scratch):
    """Copy the first pixels of the planes of some channels to scratch[places[pixel] + channel], as many as there are places.

    As many pixels as there are lanes are turned at once, whatever the row that they belong to.
    """
    pixels = accumulators(turn, x)
    for first in range(0, places.size, turn.rows):
        load_turned(turn, pixels, x, x0 + first, plane, channels, plane - first)
        for m in range(turn.rows):
            store(scratch, places[first + m], get(pixels, m))


@kernel
def multiply_channels(
    tile, w, w0, x, x0, offsets, first, last, real, apart, ahead, bias, b0, y, y0, pitch, later, soon, soon_step, tally
):
    """y[y0 + c*pitch + m] = sum over taps k of w[w0 + k*lanes + c] * x[x0 + offsets[2*k] + m*apart + c], taps from `first` to `last` - 1.

    Row m of the tile is a pixel, its lanes c are channels. Where the tile has several rows of the image, `apart` is the distance from one
    to the next instead, and the tile knows the pixels'. Starts from bias[b0 + c], or where b0 < 0 from the first product. The caller
    guarantees that all pixels can be read, and as many elements as the tile has rows written for every channel.
    """
    acc = accumulators(tile, x)
    channels = line(x)
    # A number that the compiler knows, where the tile carries it.
    step = tile.step * tile.lanes if tile.step > 0 else apart
    of_row = tile.rows // tile.phases
    fused = alone = 0
    start = first
    if b0 >= 0:
        for m in range(tile.rows):
            put(acc, m, load(channels, bias, b0))
    else:
        start = first + 1
        weight = load(channels, w, w0 + first * tile.lanes)
        for m in range(tile.rows):
            i = x0 + offsets[2 * first] + m // of_row * apart + m % of_row * step
            put(acc, m, multiply(weight, load(channels, x, i)))
            alone += tile.lanes
    for k in range(start, last):
        weight = load(channels, w, w0 + k * tile.lanes)
        for m in range(tile.rows):
            i = x0 + offsets[2 * k] + m // of_row * apart + m % of_row * step
            put(acc, m, fma(weight, load(channels, x, i), get(acc, m)))
            fused += tile.lanes
    store_turned(tile, acc, y, y0, pitch)
    # A multiply-add is a product and an addition.
    tally[MUL] += fused + alone
    tally[ADD] += fused
