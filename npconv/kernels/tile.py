"""One register tile of outputs: sum its products, keep what belongs to the image. The innermost loop of every dense method is here."""

from npconv.kernels.compile import kernel
from npconv.kernels.registers import (
    accumulators,
    fma,
    get,
    lanes_below,
    line,
    load,
    load_lanes,
    multiply,
    put,
    row_registers,
    splat,
    store,
    store_lanes,
    zero,
)

# What a kernel tallies, by position.
MUL, ADD, IDLE_MUL, IDLE_ADD, ZEROS, MOVED = range(6)


@kernel
def multiply_tile(tile, w, w0, x, x0, offsets, first, last, bias, b0, y, y0, pitch, tally):
    """y[y0 + m*pitch + q] = sum over taps k of w[w0 + k*rows + m] * x[x0 + offsets[k] + q], taps `first` to `last` - 1 in order.

    Goes on from the sums in y when first > 0; else starts from bias[b0 + m], or where b0 < 0 from the first product.
    The caller guarantees that ``vectors * lanes`` elements can be read at every tap and written in every row.
    """
    acc = accumulators(tile, x)
    row = row_registers(tile, x)
    mul = 0
    add = 0
    start = first
    if first > 0:
        for m in range(tile.rows):
            for v in range(tile.vectors):
                put(acc, m * tile.vectors + v, load(tile, y, y0 + m * pitch + v * tile.lanes))
    elif b0 >= 0:
        for m in range(tile.rows):
            for v in range(tile.vectors):
                put(acc, m * tile.vectors + v, splat(tile, bias, b0 + m))
    else:
        start = 1
        for v in range(tile.vectors):
            put(row, v, load(tile, x, x0 + offsets[0] + v * tile.lanes))
        for m in range(tile.rows):
            a = splat(tile, w, w0 + m)
            for v in range(tile.vectors):
                put(acc, m * tile.vectors + v, multiply(a, get(row, v)))
                mul += tile.lanes
    for k in range(start, last):
        tap = x0 + offsets[k]
        for v in range(tile.vectors):
            put(row, v, load(tile, x, tap + v * tile.lanes))
        for m in range(tile.rows):
            a = splat(tile, w, w0 + k * tile.rows + m)
            for v in range(tile.vectors):
                j = m * tile.vectors + v
                put(acc, j, fma(a, get(row, v), get(acc, j)))
                mul += tile.lanes
                add += tile.lanes
    for m in range(tile.rows):
        for v in range(tile.vectors):
            store(y, y0 + m * pitch + v * tile.lanes, get(acc, m * tile.vectors + v))
    tally[MUL] += mul
    tally[ADD] += add


@kernel
def store_tile(sums, s0, width, y, y0, plane, rows, q, stop, pitch, kept, step):
    """Copy columns q to stop - 1 of a tile, `width` columns wide, to y and return how many elements that were.

    Column q is number q % pitch of row q // pitch; the first `kept` of a row are outputs, and row r begins at r*step in the plane.
    Row m of the tile goes to the plane at y0 + m*plane; only the first `rows` of them are filters.
    """
    r = q // pitch
    i = q - r * pitch
    stored = 0
    s = s0
    while q < stop:
        run = min(pitch - i, stop - q)
        n = min(run, kept - i)
        if n > 0:
            for m in range(rows):
                copy(sums, s + m * width, y, y0 + m * plane + r * step + i, n)
            stored += n * rows
        s += run
        q += run
        r += 1
        i = 0
    return stored


@kernel
def copy(source, s, target, t, n):
    """Copy n elements, a vector at a time, and not one more."""
    tile = line(source)
    whole = n - n % tile.lanes
    for i in range(0, whole, tile.lanes):
        store(target, t + i, load(tile, source, s + i))
    if whole < n:
        rest = lanes_below(n - whole)
        store_lanes(target, t + whole, load_lanes(tile, source, s + whole, rest), rest)


@kernel
def copy_every(source, s, step, target, t, n):
    """Copy n elements that stand `step` apart in the source."""
    if step == 1:
        copy(source, s, target, t, n)
    else:
        for i in range(n):
            target[t + i] = source[s + i * step]


@kernel
def clear(target, t, n):
    """Set n elements to zero."""
    tile = line(target)
    nothing = zero(tile, target)
    whole = n - n % tile.lanes
    for i in range(0, whole, tile.lanes):
        store(target, t + i, nothing)
    store_lanes(target, t + whole, nothing, lanes_below(n - whole))
