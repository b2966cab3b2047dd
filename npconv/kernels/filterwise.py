"""Grouped convolution with filters in the lanes: a vector holds one output pixel of neighbouring filters.

A tap is a row of weights, one for each lane, and a pixel that is broadcast. So neighbouring pixels need not be neighbours in memory: a
stride costs nothing, and two rows of 7 pixels make as good a tile as one of 14. The price is paid once for each tile: its vectors are
turned, filters into rows, before they are stored.
"""

from npconv.kernels.calls import run_tile
from npconv.kernels.compile import driver, inlined, kernel
from npconv.kernels.packing import pack_block
from npconv.kernels.planes import copy_planes
from npconv.kernels.registers import (
    accumulators,
    fma,
    get,
    line,
    load,
    multiply,
    prefetch,
    put,
    row_registers,
    splat,
    store,
    store_turned,
)
from npconv.kernels.tile import ADD, IDLE_ADD, IDLE_MUL, MOVED, MUL, TAPS_AHEAD, first_plane, next_run, store_tile
from npconv.kernels.work import next_unit, rest


@driver
def filterwise(tile, tail, turn, sizes, offsets, views, x, w, bias, y, counters, tally, scratch, packed):
    """Convolve units (n, group, band of output rows, part of the filters), claimed from `counters`, into y.

    x (N, groups, C, H, W); w [group][block][k][filter of the block], or [group][filter][k] if it is `given` so, and each block is packed
    when it is met, with `turn`, a tile of as many rows as lanes; y (N, groups, F, OH, OW), planes shuffled in `shuffle` groups; `packed` is
    `scratch`, read-only. A row of outputs is cut into tiles of neighbours, or some whole rows make a tile; the last is a `tail` if that is
    enough. A part is some blocks of filters, and one block passes over the whole band before the next; `depth` taps of it at a time, so
    that their weights stay in the first-level cache, and sums that are not complete stay in scratch. Meanwhile every tile asks for pixels
    and weights that are needed soon.
    """
    (units, groups, bands, band_rows, C, H, W, _, blocks, _, _, _, copies) = sizes[:13]
    (sh, sw, parts) = sizes[21:24]
    margin = tile[0] * sw
    unit = next_unit(counters, tally, units)
    while unit < units:
        part = unit % parts
        first = unit // parts % bands * band_rows
        g = unit // parts // bands % groups
        n = unit // parts // bands // groups
        x0 = (n * groups + g) * C * H * W
        if copies:
            tally[MOVED] += copy_planes(sizes, views, x, x0, first * sh, scratch, margin)
            x0 = 0
        else:
            x0 += first * sh * W
        source = packed if copies else x
        for b in range(blocks * part // parts, blocks * (part + 1) // parts):
            multiply_band(
                tile, tail, turn, sizes, offsets, source, x0, w, bias, y, n, g, first, b, tally, scratch, packed
            )
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@inlined
def multiply_band(tile, tail, turn, sizes, offsets, source, x0, w, bias, y, n, g, first, b, tally, scratch, packed):
    """Let block b of the filters of group g pass over a band of image n, from row `first` on; its planes begin at source[x0].

    For the other arguments see `filterwise`.
    """
    (groups, _, band_rows, _, _, _, F, blocks, K, OH, OW, copies, pitch) = sizes[1:14]
    (shuffle, sh, sw, _, depth, waiting, tile_rows, given) = sizes[20:28]
    apart = shuffle * OH * OW
    width = tile[1] * line(source).lanes
    one_tile = tile[0] * width
    sums = scratch.size - given * K * width - one_tile
    additions = K if bias.size > 0 else K - 1
    block = (g * blocks + b) * width
    filters = min(width, F - b * width)
    b0 = block if bias.size > 0 else -1
    begin_of_block = (g * F + b * width if given > 0 else block) * K
    weights, w0 = w, begin_of_block
    if given > 0:
        weights, w0 = packed, scratch.size - K * width
        pack_block(turn, w, begin_of_block, filters, width, K, scratch, w0)
    rows = min(band_rows, OH - first)
    tiles = -(-rows // tile_rows) * -(-OW // tile[0])
    # The distance of neighbouring pixels, and of those above each other where a tile has several rows.
    step = sw if tile_rows == 1 else sh * pitch
    # The last pixel of a tile: it may lie in a line that no tile has read yet.
    ahead = 0 if copies and depth < K else (tile_rows - 1) * sh * pitch + (tile[0] // tile_rows - 1) * sw
    # Tiles that meet all taps ask for their own weights some taps before they need them; else each asks for a share of what comes next.
    own = depth == K and tiles > 1 and given == 0
    for k in range(0, K, depth):
        k_stop = min(k + depth, K)
        y0 = (n * groups * F + first_plane(g, groups, F, shuffle) + b * width * shuffle) * OH * OW + first * OW
        held = sums - waiting
        soon = begin_of_block + (TAPS_AHEAD if own else K + k if given > 0 else k_stop) * width
        share = 0 if own else -(-(k_stop - k) * width // tiles)
        each = width if own else -(-width // tiles)
        for r in range(0, rows, tile_rows):
            for column in range(0, OW, tile[0]):
                pixels, code, q, last, exact = next_run(tile, tail, tile_rows, r, rows, column, OW)
                whole = k_stop == K and filters == width and exact
                target = y if whole else scratch
                t0 = y0 + q if whole else sums
                t_pitch = apart if whole else pixels
                if k_stop < K:
                    t0, t_pitch = held, 0
                begin, begin0 = (bias, b0) if k == 0 else (packed, held)
                start = x0 + r * sh * pitch + q * sw
                run_tile(
                    code, weights, w0, source, start, offsets, k, k_stop, offsets, step, ahead, begin, begin0, target, t0,
                    t_pitch, w, soon - k * each, each, tally,
                )  # fmt: skip
                if k_stop == K:
                    if not whole:
                        store_tile(scratch, sums + column - q, pixels, y, y0, apart, filters, column, last, OW, OW, OW)
                    idle = pixels * width - filters * (last - column)
                    tally[IDLE_MUL] += idle * K
                    tally[IDLE_ADD] += idle * additions
                held += one_tile
                soon += share
            y0 += tile_rows * OW


@kernel
def multiply_filters(
    tile, w, w0, x, x0, offsets, first, last, real, apart, ahead, bias, b0, y, y0, pitch, later, soon, soon_step, tally
):
    """y[y0 + f*pitch + m] = sum over taps k of w[w0 + k*width + f] * x[x0 + offsets[2*k] + m*apart], taps `first` to `last` - 1 in order.

    Row m of the tile is a pixel, its ``width = vectors * lanes`` columns f are filters. Where the tile has several rows of the image,
    `apart` is the distance from one to the next instead, and the tile knows the pixels'. Starts from bias[b0 + f], or where b0 < 0 from the
    first product; where first > 0, it goes on from bias[b0 + m*width + f]. Where pitch is 0, sums are left as another call goes on from
    them, y[y0 + m*width + f]. Each tap k has fetched what is read later: the weights at later[soon + k*soon_step], and where `ahead` is not
    0, pixel offsets[2*k + 1] + `ahead`. The caller guarantees that all pixels can be read, and as many elements as the tile
    has rows written for every filter.
    """
    acc = accumulators(tile, x)
    row = row_registers(tile, x)
    weights = line(x)
    width = tile.vectors * tile.lanes
    # A number that the compiler knows, where the tile carries it.
    step = tile.step if tile.step > 0 else apart
    of_row = tile.rows // tile.phases
    mul = 0
    add = 0
    start = first
    if first > 0:
        for m in range(tile.rows):
            for v in range(tile.vectors):
                j = m * tile.vectors + v
                put(acc, j, load(weights, bias, b0 + j * tile.lanes))
    elif b0 >= 0:
        for v in range(tile.vectors):
            for m in range(tile.rows):
                put(acc, m * tile.vectors + v, load(weights, bias, b0 + v * tile.lanes))
    else:
        start = 1
        for v in range(tile.vectors):
            put(row, v, load(weights, w, w0 + v * tile.lanes))
        for m in range(tile.rows):
            a = splat(tile, x, x0 + offsets[0] + m // of_row * apart + m % of_row * step)
            for v in range(tile.vectors):
                put(acc, m * tile.vectors + v, multiply(get(row, v), a))
                mul += tile.lanes
    for k in range(start, last):
        for v in range(tile.vectors):
            put(row, v, load(weights, w, w0 + k * width + v * tile.lanes))
        if ahead > 0:
            prefetch(x, x0 + offsets[2 * k + 1] + ahead)
        prefetch(later, soon + k * soon_step)
        for m in range(tile.rows):
            a = splat(tile, x, x0 + offsets[2 * k] + m // of_row * apart + m % of_row * step)
            for v in range(tile.vectors):
                j = m * tile.vectors + v
                put(acc, j, fma(get(row, v), a, get(acc, j)))
                mul += tile.lanes
                add += tile.lanes
    if pitch > 0:
        store_turned(tile, acc, y, y0, pitch)
    else:
        for m in range(tile.rows):
            for v in range(tile.vectors):
                j = m * tile.vectors + v
                store(y, y0 + j * tile.lanes, get(acc, j))
    tally[MUL] += mul
    tally[ADD] += add
