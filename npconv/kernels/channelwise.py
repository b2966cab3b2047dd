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
    zero,
)
from npconv.kernels.tile import ADD, IDLE_ADD, IDLE_MUL, MOVED, MUL, clear, store_tile
from npconv.kernels.work import next_unit, rest


@driver
def channelwise(tile, window, sizes, offsets, x, w, bias, y, counters, tally, scratch, packed):
    """Convolve units (n, block of channels), claimed from `counters`, into y. `packed` is `scratch`, read-only.

    x (N, C, H, W); w [block][j][kh][kw][channel of the block]; y (N, C, multiplier, OH, OW). A row of outputs is cut into tiles of
    `pixels` neighbours.
    """
    (units, blocks, C, multiplier, H, W, OH, OW, K, pitch, plane) = sizes[:11]
    (sh, sw) = sizes[15:17]
    lanes = line(x).lanes
    pixels = tile[0]
    sums = scratch.size - pixels * lanes
    additions = K if bias.size > 0 else K - 1
    unit = next_unit(counters, tally, units)
    while unit < units:
        block = unit % blocks
        n = unit // blocks
        channels = min(lanes, C - block * lanes)
        plane_of_x = n * C + block * lanes
        tally[MOVED] += channels * turn_planes(window, sizes, x, plane_of_x * H * W, channels, scratch)
        for j in range(multiplier):
            of_block = (block * multiplier + j) * lanes
            b0 = of_block if bias.size > 0 else -1
            y0 = (plane_of_x * multiplier + j) * OH * OW
            for r in range(OH):
                column = 0
                while column < OW:
                    # A last tile that is too wide is moved back: it computes some outputs again instead of reaching past the row.
                    q = max(0, min(column, OW - pixels))
                    last = min(column + pixels, OW)
                    whole = channels == lanes and q + pixels <= OW
                    target = y if whole else scratch
                    t0 = y0 + q if whole else sums
                    t_pitch = multiplier * OH * OW if whole else pixels
                    start = (r * sh * pitch + q * sw) * lanes
                    run_tile(
                        tile[2], w, of_block * K, packed, start, offsets, 0, K, offsets, sw * lanes, 0, bias, b0, target, t0, t_pitch,
                        w, 0, 0, tally,
                    )  # fmt: skip
                    if not whole:
                        store_tile(
                            scratch,
                            sums + column - q,
                            pixels,
                            y,
                            y0,
                            multiplier * OH * OW,
                            channels,
                            column,
                            last,
                            OW,
                            OW,
                            OW,
                        )
                    idle = pixels * lanes - channels * (last - column)
                    tally[IDLE_MUL] += idle * K
                    tally[IDLE_ADD] += idle * additions
                    column += pixels
                y0 += OW
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@kernel
def turn_planes(window, sizes, x, x0, channels, scratch):
    """Copy planes of some channels to scratch[h + top][w + left][channel], zeros around; return how many elements of a plane that were.

    Rows of `pitch` pixels follow one another, and what one writes past its end, the next writes again.
    """
    (H, W) = sizes[4:6]
    (pitch, plane, top, left, rows, used) = sizes[9:15]
    pixels = accumulators(window, x)
    nothing = zero(window, x)
    lanes = window.lanes
    real_rows = max(0, min(H, rows - top))
    real = max(0, min(W, used - left))
    t = (top * pitch + left) * lanes
    clear(scratch, 0, min(t, plane * lanes))
    for h in range(real_rows):
        for column in range(0, real, window.rows):
            load_turned(window, pixels, x, x0 + h * W + column, H * W, channels, real - column)
            for m in range(window.rows):
                store(scratch, t + (column + m) * lanes, get(pixels, m))
        for gap in range(real, pitch):
            store(scratch, t + gap * lanes, nothing)
        t += pitch * lanes
    clear(scratch, t, max(0, plane * lanes - t))
    return real_rows * real


@kernel
def multiply_channels(
    tile, w, w0, x, x0, offsets, first, last, real, step, ahead, bias, b0, y, y0, pitch, later, soon, soon_step, tally
):
    """y[y0 + c*pitch + m] = sum over taps k of w[w0 + k*lanes + c] * x[x0 + offsets[2*k] + m*step + c], taps from `first` to `last` - 1.

    Row m of the tile is a pixel, its lanes c are channels. Starts from bias[b0 + c], or where b0 < 0 from the first product. The caller
    guarantees that all pixels can be read, and as many elements as the tile has rows written for every channel.
    """
    acc = accumulators(tile, x)
    fused = alone = 0
    start = first
    if b0 >= 0:
        for m in range(tile.rows):
            put(acc, m, load(tile, bias, b0))
    else:
        start = first + 1
        weight = load(tile, w, w0 + first * tile.lanes)
        for m in range(tile.rows):
            put(acc, m, multiply(weight, load(tile, x, x0 + offsets[2 * first] + m * step)))
            alone += tile.lanes
    for k in range(start, last):
        weight = load(tile, w, w0 + k * tile.lanes)
        for m in range(tile.rows):
            put(acc, m, fma(weight, load(tile, x, x0 + offsets[2 * k] + m * step), get(acc, m)))
            fused += tile.lanes
    store_turned(tile, acc, y, y0, pitch)
    # A multiply-add is a product and an addition.
    tally[MUL] += fused + alone
    tally[ADD] += fused
