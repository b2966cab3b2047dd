"""Depthwise convolution: rows of the image stream past a window of accumulator rows, one for each kernel row.

An input row meets every output row that it reaches while it is in registers. Then the oldest output row is complete and is stored,
and the others move up. Nothing is copied: lanes and rows outside the image are zero vectors, and every product with them is done.

With a stride or dilation in y, the outputs that share input rows are `classes` rows apart, and `phases` input rows enter a step.
"""

from npconv.kernels.compile import driver, inlined, kernel
from npconv.kernels.registers import (
    accumulators,
    claim,
    fma,
    gather_lanes,
    get,
    lanes_below,
    load,
    load_lanes,
    multiply,
    put,
    row_registers,
    splat,
    store_lanes,
    zero,
)
from npconv.kernels.tile import ADD, IDLE_ADD, IDLE_MUL, MUL


@driver
def depthwise(tile, sizes, lanes, x, w, bias, y, counter, tally):
    """Convolve units (n, block of `planes` channels, band of steps), claimed from `counter`, into y.

    x (N, C, H, W); w [channel*multiplier][phase][kw][row of the tile]; y (N, C*multiplier, OH, OW); lanes [stripe][kw][vector], the sets
    of lanes that are inside the image, then [stripe][vector], those that are outputs, of a row cut into stripes as wide as the tile.
    Planes in one tile have one filter each.
    """
    (units, bands, band_steps, C, multiplier, classes, H, W, OH, OW) = sizes[:10]
    stripes = (OW + tile.vectors * tile.lanes - 1) // (tile.vectors * tile.lanes)
    unit = claim(counter)
    while unit < units:
        first = unit % bands * band_steps
        plane = unit // bands * tile.planes
        for j in range(multiplier):
            o = plane * multiplier + j
            for row_class in range(min(classes, OH)):
                last = min(first + band_steps, (OH - row_class + classes - 1) // classes)
                if first < last:
                    for stripe in range(stripes):
                        stream_rows(
                            tile, sizes, x, plane * H * W, w, o % (C * multiplier), bias, lanes, stripe, y, o * OH * OW, row_class,
                            first, last, tally,
                        )  # fmt: skip
        unit = claim(counter)


@kernel
def stream_rows(tile, sizes, x, x0, w, channel, bias, lanes, stripe, y, y0, row_class, first, last, tally):
    """Compute the output rows row_class + classes*t, t from first to last - 1, in one stripe of columns of the tile's planes.

    At step t, row m of the tile sums output step t - (rows - 1 - m); phase b of the step is its tap kh = b + phases*(rows - 1 - m).
    """
    (classes, H, W, OH, OW, KW, phases, KH, sh, sw, dh, dw, top, left) = sizes[5:19]
    acc = accumulators(tile, x)
    row = row_registers(tile, x)
    every = lanes_below(tile.lanes)
    width = tile.vectors * tile.lanes
    each = tile.planes * tile.vectors
    taps = phases * KW * tile.rows
    newest = tile.rows - 1
    ow = stripe * width
    kept = ((OW + width - 1) // width * KW + stripe) * tile.vectors
    mul = add = 0
    clear_sums(tile, acc, x)
    for t in range(first, last + newest):
        # The first tap moves every sum up a row as it adds to it, and begins the newest.
        h = (row_class + classes * t) * sh - top
        inside = every if 0 <= h < H else 0
        read_row(tile, row, x, x0 + h * W + ow * sw - left, H * W, sw, lanes, stripe * KW * tile.vectors, inside)
        for m in range(newest):
            for p in range(tile.planes):
                a = splat(tile, w, (channel + p) * taps + m)
                for v in range(tile.vectors):
                    j = p * tile.vectors + v
                    put(acc, m * each + j, fma(a, get(row, j), get(acc, (m + 1) * each + j)))
                    mul += tile.lanes
                    add += tile.lanes
        for p in range(tile.planes):
            a = splat(tile, w, (channel + p) * taps + newest)
            for v in range(tile.vectors):
                j = p * tile.vectors + v
                if bias.size > 0:
                    put(acc, newest * each + j, fma(a, get(row, j), splat(tile, bias, channel + p)))
                    add += tile.lanes
                else:
                    put(acc, newest * each + j, multiply(a, get(row, j)))
                mul += tile.lanes
        for b in range(phases):
            h = (row_class + classes * t) * sh + b * dh - top
            inside = every if 0 <= h < H else 0
            oldest = 0 if b + phases * newest < KH else 1
            for kw in range(0 if b > 0 else 1, KW):
                start = x0 + h * W + ow * sw + kw * dw - left
                read_row(tile, row, x, start, H * W, sw, lanes, (stripe * KW + kw) * tile.vectors, inside)
                for m in range(tile.rows):
                    if m >= oldest:
                        for p in range(tile.planes):
                            a = splat(tile, w, (channel + p) * taps + (b * KW + kw) * tile.rows + m)
                            for v in range(tile.vectors):
                                j = p * tile.vectors + v
                                put(acc, m * each + j, fma(a, get(row, j), get(acc, m * each + j)))
                                mul += tile.lanes
                                add += tile.lanes
        if t - newest >= first:
            store_row(tile, acc, y, y0 + (row_class + classes * (t - newest)) * OW + ow, OH * OW, lanes, kept)
    tally[MUL] += mul
    tally[ADD] += add
    # Lanes past the row's end, and the steps in which the first or the last outputs were not yet, or no longer, in the window.
    idle = tile.planes * ((last - first) * max(0, ow + width - OW) + newest * width)
    tally[IDLE_MUL] += idle * KH * KW
    tally[IDLE_ADD] += idle * (KH * KW if bias.size > 0 else KH * KW - 1)


@inlined
def read_row(tile, row, x, start, plane, stride, lanes, i, inside):
    """Set the row of registers to x from `start` on, plane after plane, zeros in the lanes that are outside the image."""
    every = lanes_below(tile.lanes)
    for p in range(tile.planes):
        for v in range(tile.vectors):
            real = lanes[i + v] & inside
            at = start + p * plane + v * tile.lanes * stride
            if tile.step == 1:
                put(row, p * tile.vectors + v, load_lanes(tile, x, at, real))
            elif tile.step == stride and real == every:
                put(row, p * tile.vectors + v, load(tile, x, at))
            else:
                put(row, p * tile.vectors + v, gather_lanes(tile, x, at, stride, real))


@inlined
def store_row(tile, acc, y, target, plane, lanes, i):
    """Store the oldest row of sums to y from `target` on, plane after plane, in the lanes that are outputs."""
    for p in range(tile.planes):
        for v in range(tile.vectors):
            store_lanes(y, target + p * plane + v * tile.lanes, get(acc, p * tile.vectors + v), lanes[i + v])


@inlined
def clear_sums(tile, acc, like):
    """Set all sums to zero: those of the rows above the first are added to, and never stored."""
    for j in range(tile.rows * tile.planes * tile.vectors):
        put(acc, j, zero(tile, like))
