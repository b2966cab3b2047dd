"""One register tile of outputs: sum its products, keep what belongs to the image. The innermost loop of every dense method is here."""

from npconv.kernels.compile import inlined, kernel
from npconv.kernels.registers import (
    accumulators,
    every_second,
    fma,
    get,
    lanes_below,
    line,
    load,
    load_lanes,
    multiply,
    prefetch,
    put,
    row_registers,
    splat,
    store,
    store_lanes,
    zero,
)

# The sets of all and of every second of 64 elements, as bits.
EVERY, EVERY_SECOND = -1, 0x5555555555555555

# What comes from the second-level cache is asked for so many taps before it is needed.
TAPS_AHEAD = 16

# What a kernel tallies, by position.
MUL, ADD, IDLE_MUL, IDLE_ADD, ZEROS, MOVED = range(6)
# And what else is in a thread's tally: the thread's number, and for a helper the address of its desk; see `npconv.kernels.work`.
THREAD, DESK = 6, 7


@kernel
def multiply_tile(
    tile, w, w0, x, x0, offsets, first, last, real, r0, ahead, bias, b0, y, y0, pitch, later, soon, soon_step, tally
):
    """y[y0 + m*pitch + q] = sum over taps k of w[w0 + k*rows + m] * x[x0 + offsets[k] + q], taps `first` to `last` - 1 in order.

    Here offsets[k] is ``offsets[2*k]``. Goes on from the sums in y when first > 0; else starts from bias[b0 + m], or where b0 < 0 from the
    first product. Of a vector v that is not inner, only the lanes real[r0 + offsets[2*k + 1] + v] are read, and the others are zeros.
    Where `ahead` is not 0, each tap k has fetched what is read later: pixels so far on, and the weights at later[soon + k*soon_step].
    The caller guarantees that all others can be read, and ``vectors * lanes`` elements written in every row.
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
        read_pixels(tile, row, x, x0, offsets, 0, real, r0)
        for m in range(tile.rows):
            a = splat(tile, w, w0 + m)
            for v in range(tile.vectors):
                put(acc, m * tile.vectors + v, multiply(a, get(row, v)))
                mul += tile.lanes
    for k in range(start, last):
        read_pixels(tile, row, x, x0, offsets, k, real, r0)
        if ahead > 0:
            for v in range(tile.vectors):
                prefetch(x, x0 + offsets[2 * k] + ahead + v * tile.lanes)
            prefetch(later, soon + k * soon_step)
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


@inlined
def read_pixels(tile, row, x, x0, offsets, k, real, r0):
    """Set the row of registers to the pixels of tap k, zeros in the lanes that are outside the image."""
    for v in range(tile.vectors):
        i = x0 + offsets[2 * k] + v * tile.lanes
        if is_inner(tile, v):
            put(row, v, load(tile, x, i))
        else:
            put(row, v, load_lanes(tile, x, i, real[r0 + offsets[2 * k + 1] + v]))


@inlined
def is_inner(tile, v):
    """Return whether every lane of vector v is inside the image at every tap."""
    return tile.edge <= v < tile.vectors - tile.edge


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


@inlined
def first_plane(g, groups, F, shuffle):
    """Return which plane of the output is that of the first filter of group g, and the others follow `shuffle` planes apart.

    A shuffle in so many groups moves channel i*(O // shuffle) + j to j*shuffle + i, where O = groups*F; it divides the groups.
    """
    together = groups // shuffle
    return g % together * F * shuffle + g // together


@inlined
def next_run(tile, tail, tile_rows, r, rows, column, OW):
    """Return which outputs of a row, or of some rows, a tile takes from column on: the first, past the last, whether it has no others.

    And before these how many pixels it has, and its code. `tile_rows` whole rows make a tile if these are more than one.
    """
    left = OW - column if tile_rows == 1 else (rows - r) * OW
    pixels, code = (tile[0], tile[2]) if left > tail[0] else (tail[0], tail[2])
    # A last tile that is too wide is moved back: it computes some outputs again instead of reaching past the row.
    q = max(0, min(column, column + left - pixels))
    return pixels, code, q, column + min(pixels, left), q + pixels <= column + left


@inlined
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
def copy_rows(source, s, s_pitch, step, target, t, t_pitch, n, rows):
    """Copy `rows` rows of n elements, which stand `step` apart in the source; a row begins a pitch after the one before."""
    pairs = every_second(source)
    whole = n - n % pairs.lanes
    rest = lanes_below(n - whole)
    for r in range(rows):
        a = s + r * s_pitch
        b = t + r * t_pitch
        if step == 1:
            copy(source, a, target, b, n)
        elif step == 2 and pairs.lanes <= 32:
            for i in range(0, whole, pairs.lanes):
                store(target, b + i, load(pairs, source, a + 2 * i))
            if rest:
                elements = lanes_below(2 * (n - whole)) & EVERY_SECOND
                store_lanes(target, b + whole, load_lanes(pairs, source, a + 2 * whole, elements), rest)
        else:
            for i in range(n):
                target[b + i] = source[a + i * step]


@kernel
def copy_rows_with_zeros(source, s, s_pitch, target, t, t_pitch, n, rows):
    """Copy `rows` rows of n neighbours, each followed by zeros up to the next; after the last, up to a vector of zeros more."""
    tile = line(source)
    whole = n - n % tile.lanes
    rest = lanes_below(n - whole)
    for r in range(rows):
        a = s + r * s_pitch
        b = t + r * t_pitch
        for i in range(0, whole, tile.lanes):
            store(target, b + i, load(tile, source, a + i))
        # What a vector is too wide for is zeros here, and written again with the next row.
        for i in range(whole, t_pitch, tile.lanes):
            if i == whole:
                store(target, b + i, load_lanes(tile, source, a + i, rest))
            else:
                store(target, b + i, zero(tile, target))


@kernel
def clear(target, t, n):
    """Set n elements to zero."""
    clear_rows(target, t, 0, n, 1)


@kernel
def clear_rows(target, t, pitch, n, rows):
    """Set `rows` rows of n elements to zero, each beginning a pitch after the one before."""
    tile = line(target)
    nothing = zero(tile, target)
    whole = n - n % tile.lanes
    rest = lanes_below(n - whole)
    for i in range(0, whole, tile.lanes):
        for r in range(rows):
            store(target, t + r * pitch + i, nothing)
    if rest:
        for r in range(rows):
            store_lanes(target, t + r * pitch + whole, nothing, rest)
