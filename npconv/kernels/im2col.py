"""im2col as a matrix product over packed panels: the matrix of windows is never whole, one panel of it at a time is packed and used.

Column q of the matrix is an output pixel, counted through the whole batch; row k = (c, kh, kw) is a tap. A panel holds the
columns of one register tile for the taps of some channels, mostly of all: it stays in the caches while it meets every filter. Of a large
image some panels are packed together.
"""

from npconv.kernels.calls import run_tile
from npconv.kernels.compile import driver, kernel
from npconv.kernels.registers import element, line, load_lanes, prefetch, store
from npconv.kernels.tile import IDLE_ADD, IDLE_MUL, MOVED, TAPS_AHEAD, ZEROS, clear, copy_rows, first_plane, store_tile
from npconv.kernels.work import next_unit, rest


@driver
def im2col(tile, tail, sizes, offsets, spans, real, x, w, bias, y, counters, tally, scratch, packed):
    """Convolve units (group, some panels), claimed from `counters`, into y. `packed` is `scratch`, read-only.

    x (N, groups, C, H, W); w [group][block][k][rows]; y (N, groups, F, OH, OW); spans: for each kernel row, then each kernel
    column, the first and past-the-last output index at which it meets the image. The last tile of a group is a `tail` if that is enough.
    Where the output is as wide as the image and there is no stride, real [tap][vector of columns] holds the sets of lanes that are inside
    the image, and how many they are; elsewhere, and where they would be too many, it is empty. Panels `abreast` are packed together: of an
    image in memory, long runs are read sooner than short ones.
    """
    (units, groups, units_of_group, N, C, H, W, F, blocks, K, OH, OW, channels) = sizes[:13]
    (shuffle, taps_ahead, far, abreast) = sizes[21:]
    P = OH * OW
    lanes = line(x).lanes
    panel = tile[1] * lanes
    unit = next_unit(counters, tally, units)
    while unit < units:
        g = unit // units_of_group
        begin = unit % units_of_group * abreast * panel
        end = min(begin + abreast * panel, N * P)
        n = begin // P
        of_image = begin - n * P
        together = abreast > 1 and end <= (n + 1) * P and of_image % lanes == 0
        if together:
            vectors = -(-(end - begin) // panel) * tile[1]
            found = pack_vectors(sizes, real, x, n, g, 0, C, of_image, vectors, scratch, panel)
            tally[MOVED] += found
            tally[ZEROS] += (K * (end - begin) - found) * F
        for q in range(begin, end, panel):
            p0 = (q - begin) * K if together else -1
            multiply_panel(tile, tail, sizes, offsets, spans, real, x, w, bias, y, tally, scratch, packed, g, q, p0)
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@kernel
def multiply_panel(tile, tail, sizes, offsets, spans, real, x, w, bias, y, tally, scratch, packed, g, q, p0):
    """Multiply the panel of columns from q on of a group with all filters: it lies at p0, or has still to be packed if that is negative.

    Where y is too large for the second-level cache, it is `far`: a tile asks for the places of the next one, which no CPU guesses, since
    they are in other planes.
    """
    (units, groups, units_of_group, N, C, H, W, F, blocks, K, OH, OW, channels) = sizes[:13]
    (shuffle, taps_ahead, far, abreast) = sizes[21:]
    P = OH * OW
    taps = K // C
    rows = tile[0]
    lanes = line(x).lanes
    panel = tile[1] * lanes
    sums = abreast * channels * taps * panel
    additions = K if bias.size > 0 else K - 1
    plane = first_plane(g, groups, F, shuffle)
    vectors, code = tile[1:] if N * P - q > tail[1] * lanes else tail[1:]
    width = vectors * lanes
    stop = min(q + width, N * P)
    n = q // P
    of_image = q - n * P
    one_image = stop <= (n + 1) * P
    # Filters whose sums are all kept, and in one piece: these are in their place from the first channel on.
    placed = F // rows if one_image and stop == q + width else 0
    for c in range(0, C, channels):
        c_stop = min(c + channels, C)
        if p0 < 0:
            if real.size > 0 and one_image and of_image % lanes == 0:
                found = pack_vectors(sizes, real, x, n, g, c, c_stop, of_image, vectors, scratch, panel)
            else:
                found = pack_panel(sizes, spans, x, g, c, c_stop, q, stop, scratch, panel)
            tally[MOVED] += found
            tally[ZEROS] += ((c_stop - c) * taps * (stop - q) - found) * F
        x0 = max(p0, 0) - c * taps * panel
        for b in range(blocks):
            block = (g * blocks + b) * rows
            b0 = block if bias.size > 0 else -1
            target = y if b < placed else scratch
            s0 = sums + b * rows * width
            if b < placed:
                s0 = (n * groups * F + plane + b * rows * shuffle) * P + of_image
            pitch = shuffle * P if b < placed else width
            if far > 0 and b + 1 < placed:
                prefetch_rows(y, s0 + rows * pitch, pitch, rows, width)
            run_tile(
                code, w, block * K, packed, x0, offsets, c * taps, c_stop * taps, offsets, 0, taps_ahead * width, bias, b0, target, s0,
                pitch, w, block * K + rows * TAPS_AHEAD, rows, tally,
            )  # fmt: skip
    for b in range(placed, blocks):
        filters = min(rows, F - b * rows)
        y0 = (plane + b * rows * shuffle) * P
        s0 = sums + b * rows * width
        kept = store_tile(scratch, s0, width, y, y0, shuffle * P, filters, q, stop, P, P, groups * F * P)
        tally[IDLE_MUL] += (rows * width - kept) * K
        tally[IDLE_ADD] += (rows * width - kept) * additions


@kernel
def prefetch_rows(y, y0, pitch, rows, n):
    """Have the places of n elements in some rows fetched."""
    each = line(y).lanes
    for m in range(rows):
        for i in range(0, n, each):
            prefetch(y, y0 + m * pitch + i)


@kernel
def pack_vectors(sizes, real, x, n, g, c_first, c_stop, q, vectors, panel, width):
    """Pack vectors of columns from q on of one image, zeros around it, panel by panel; return how many elements of x that were.

    Columns are those of the image, so a tap moves all by the same distance; lanes that it moves over the edge are left out.
    """
    (groups, _, _, C, H, W, _, _, K) = sizes[1:10]
    (_, _, _, KH, KW, _, _, dh, dw, top, left) = sizes[10:21]
    tile = line(x)
    taps = KH * KW
    sets = real.size // (2 * taps)
    inside = 0
    each = width // tile.lanes
    x0 = ((n * groups + g) * C + c_first) * H * W + q
    for kh in range(KH):
        for kw in range(KW):
            tap = kh * KW + kw
            first = 2 * (tap * sets + q // tile.lanes)
            source = x0 + (kh * dh - top) * W + kw * dw - left
            target = tap * width
            for _ in range(c_first, c_stop):
                t = target
                left_over = each
                for v in range(vectors):
                    if left_over == 0:
                        t += (K - 1) * width
                        left_over = each
                    pixels = load_lanes(tile, x, source + v * tile.lanes, element(real, first + 2 * v))
                    store(panel, t, pixels)
                    t += tile.lanes
                    left_over -= 1
                source += H * W
                target += taps * width
            for v in range(vectors):
                inside += element(real, first + 2 * v + 1)
    return inside * (c_stop - c_first)


@kernel
def pack_panel(sizes, spans, x, g, c_first, c_stop, q, stop, panel, width):
    """Pack columns q to stop - 1 for the taps of some channels, zeros around the image; return how many elements of x that were.

    panel[k, q] = x[n, g, c, oh*sh + kh*dh - top, ow*sw + kw*dw - left], one tap after another, each as wide as the tile.
    """
    (groups, _, _, C, H, W) = sizes[1:7]
    (OH, OW, _, KH, KW, sh, sw, dh, dw, top, left) = sizes[10:21]
    first_row = q // OW
    first_column = q - first_row * OW
    moved = 0
    target = 0
    for c in range(c_first, c_stop):
        for kh in range(KH):
            for kw in range(KW):
                clear(panel, target, width)
                row = first_row
                ow = first_column
                t = target
                left_over = stop - q
                while left_over > 0:
                    n = row // OH
                    oh = row - n * OH
                    run = min(OW - ow, left_over)
                    if spans[2 * kh] <= oh < spans[2 * kh + 1]:
                        first = max(ow, spans[2 * (KH + kw)])
                        last = min(ow + run, spans[2 * (KH + kw) + 1])
                        if first < last:
                            h = oh * sh + kh * dh - top
                            source = (((n * groups + g) * C + c) * H + h) * W + first * sw + kw * dw - left
                            copy_rows(x, source, 0, sw, panel, t + first - ow, 0, last - first, 1)
                            moved += last - first
                    t += run
                    left_over -= run
                    row += 1
                    ow = 0
                target += width
    return moved
