"""Depthwise convolution: rows of the image stream past a window of accumulator rows, one for each kernel row.

An input row meets every output row that it reaches while it is in registers. Then the oldest output row is complete and is stored,
and the others move up. Nothing is copied: lanes and rows outside the image are zero vectors, and every product with them is done.

With a stride or dilation in y, the outputs that share input rows are `classes` rows apart, and `phases` input rows enter a step.
"""

from npconv.kernels.compile import driver, inlined, kernel
from npconv.kernels.registers import (
    accumulators,
    element,
    fma,
    gather_lanes,
    get,
    load_lanes,
    move_up,
    multiply,
    put,
    splat,
    store,
    store_lanes,
    weight_registers,
    zero,
)
from npconv.kernels.tile import ADD, EVERY, EVERY_SECOND, IDLE_ADD, IDLE_MUL, MUL, is_inner
from npconv.kernels.work import next_unit, rest


@driver
def depthwise(tile, sizes, lanes, x, w, bias, y, counters, tally):
    """Convolve units (n, block of `planes` channels, band of steps), claimed from `counters`, into y.

    x (N, C, H, W); w [channel*multiplier][phase][kw][row of the tile]; y (N, C*multiplier, OH, OW); lanes [stripe][kw][vector], the sets
    of lanes that are inside the image, then [stripe][vector], those that are outputs, of a row cut into stripes as wide as the tile.
    Planes in one tile have one filter each.
    """
    (units, bands, band_steps, C, multiplier, classes, H, W, OH, OW) = sizes[:10]
    stripes = (OW + tile.vectors * tile.lanes - 1) // (tile.vectors * tile.lanes)
    unit = next_unit(counters, tally, units)
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
                            tile, sizes, x, plane * H * W, w, o % (C * multiplier), bias, lanes, stripe, y, o * OH * OW, OH * OW,
                            row_class, first, last, tally,
                        )  # fmt: skip
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@kernel
def stream_rows(tile, sizes, x, x0, w, channel, bias, lanes, stripe, y, y0, y_plane, row_class, first, last, tally):
    """Compute the output rows row_class + classes*t, t from first to last - 1, in one stripe of columns of the tile's planes.

    Those planes are `y_plane` elements apart in y, the first at y0.
    At step t, row m of the tile sums output step t - (rows - 1 - m); phase b of the step is its tap kh = b + phases*(rows - 1 - m).
    """
    (classes, H, W, _, OW, KW, KH, sh, sw, dh, dw, top, left) = sizes[5:18]
    acc = accumulators(tile, x)
    weights = weight_registers(tile, x)
    width = tile.vectors * tile.lanes
    each = tile.planes * tile.vectors
    # Numbers that the compiler knows, where the tile carries them.
    stride = tile.step if tile.step > 0 else sw
    phases = tile.phases if tile.phases > 0 else sizes[18]
    taps = phases * KW * tile.rows
    newest = tile.rows - 1
    whole = KH - phases * newest
    ow = stripe * width
    real_lanes = stripe * KW * tile.vectors
    kept_lanes = ((OW + width - 1) // width * KW + stripe) * tile.vectors
    # Multiply-adds, which are a product and an addition each, and the products that sums begin with.
    fused = begun = 0
    for j in range(tile.rows * each):
        put(acc, j, zero(tile, x))
    for t in range(first, last + newest):
        # The first tap begins the newest sums, from the bias or from its product.
        h = (row_class + classes * t) * sh - top
        inside = EVERY if 0 <= h < H else 0
        for p in range(tile.planes):
            for m in range(tile.rows):
                put(weights, m, splat(tile, w, (channel + p) * taps + m))
            for v in range(tile.vectors):
                j = p * tile.vectors + v
                i = x0 + (p * H + h) * W + (ow + v * tile.lanes) * stride - left
                pixels = read(tile, x, i, stride, lanes, real_lanes + v, inside, v)
                for m in range(newest):
                    put(acc, m * each + j, fma(get(weights, m), pixels, get(acc, m * each + j)))
                    fused += tile.lanes
                if bias.size > 0:
                    put(acc, newest * each + j, fma(get(weights, newest), pixels, splat(tile, bias, channel + p)))
                else:
                    put(acc, newest * each + j, multiply(get(weights, newest), pixels))
                begun += tile.lanes
        for b in range(phases):
            h = (row_class + classes * t) * sh + b * dh - top
            inside = EVERY if 0 <= h < H else 0
            for kw in range(0 if b > 0 else 1, KW):
                i = x0 + h * W + ow * stride + kw * dw - left
                tap = channel * taps + (b * KW + kw) * tile.rows
                of = real_lanes + kw * tile.vectors
                if tile.phases == 1 or b < whole:
                    fused += add_tap(tile, acc, weights, 0, w, tap, taps, x, i, H * W, stride, lanes, of, inside)
                else:
                    fused += add_tap(tile, acc, weights, 1, w, tap, taps, x, i, H * W, stride, lanes, of, inside)
        if t - newest >= first:
            target = y0 + (row_class + classes * (t - newest)) * OW + ow
            store_row(tile, acc, y, target, y_plane, lanes, kept_lanes)
        move_up(tile, acc)
    tally[MUL] += fused + begun
    # A sum that begins from the bias adds its first product to that.
    tally[ADD] += fused + begun if bias.size > 0 else fused
    # Lanes past the row's end, and the steps in which the first or the last outputs were not yet, or no longer, in the window.
    idle = tile.planes * ((last - first) * max(0, ow + width - OW) + newest * width)
    tally[IDLE_MUL] += idle * KH * KW
    tally[IDLE_ADD] += idle * (KH * KW if bias.size > 0 else KH * KW - 1)


@inlined
def add_tap(tile, acc, weights, oldest, w, tap, taps, x, i, plane, stride, lanes, of, inside):
    """Add the products of one row of pixels, from x[i] on, with the weights from w[tap] on to the rows of sums from `oldest` on."""
    each = tile.planes * tile.vectors
    fused = 0
    for p in range(tile.planes):
        for m in range(oldest, tile.rows):
            put(weights, m, splat(tile, w, tap + p * taps + m))
        for v in range(tile.vectors):
            pixels = read(tile, x, i + p * plane + v * tile.lanes * stride, stride, lanes, of + v, inside, v)
            for m in range(oldest, tile.rows):
                j = m * each + p * tile.vectors + v
                put(acc, j, fma(get(weights, m), pixels, get(acc, j)))
                fused += tile.lanes
    return fused


@inlined
def read(tile, x, i, stride, lanes, of, inside, v):
    """Return vector v of a row of pixels, from x[i] on, `stride` apart, zeros in the lanes that are outside the image."""
    real = (every_lane(tile) if is_inner(tile, v) else element(lanes, of)) & inside
    if tile.step > 0:
        return load_lanes(tile, x, i, real)
    return gather_lanes(tile, x, i, stride, real)


@inlined
def every_lane(tile):
    """Return the set of all lanes, as `load_lanes` takes it."""
    return EVERY_SECOND if tile.step == 2 else EVERY


@inlined
def store_row(tile, acc, y, target, plane, lanes, i):
    """Store the oldest row of sums to y from `target` on, plane after plane, in the lanes that are outputs."""
    for p in range(tile.planes):
        for v in range(tile.vectors):
            sums = get(acc, p * tile.vectors + v)
            if is_inner(tile, v):
                store(y, target + p * plane + v * tile.lanes, sums)
            else:
                store_lanes(y, target + p * plane + v * tile.lanes, sums, element(lanes, i + v))
