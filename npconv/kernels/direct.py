"""Grouped convolution over an offset table: a view of the image by distances, with no matrix built.

Tap k = (c, kh, kw) lies `offsets[k]` elements from the window's origin, whatever the kernel size, stride or dilation. Padding and
stride are taken out first: the channels of a group are copied to planes with their zeros, so that every tap is again a row of
neighbours. Without padding and stride, nothing is copied at all.
"""

from npconv.kernels.calls import run_tile
from npconv.kernels.compile import driver, inlined
from npconv.kernels.planes import copy_planes
from npconv.kernels.registers import line
from npconv.kernels.tile import (
    IDLE_ADD,
    IDLE_MUL,
    MOVED,
    TAPS_AHEAD,
    first_plane,
    store_tile,
)
from npconv.kernels.work import next_unit, rest


@driver
def direct(tile, tail, sizes, offsets, views, real, x, w, bias, y, counters, tally, scratch, packed):
    """Convolve units (n, group, band of flat columns, part of the filters), claimed from `counters`, into y.

    x (N, groups, C, H, W); w [group][block][k][row of the tile]; y (N, groups, F, OH, OW); `packed` is `scratch`, read-only. Flat column
    q is the output (q // pitch, q % pitch), and none where q % pitch >= OW. A band is cut into tiles, the last of them a `tail` if that
    is enough. The planes of y are shuffled in `shuffle` groups, one if they are not. A part is some blocks of filters, and one block
    passes over the whole band before the next: so y is written row by row, as the CPU expects it.
    Where x itself is read and has padding, real [tap][vector of flat columns] holds the sets of lanes that are inside the image.
    """
    (units, groups, bands, band_columns, C, H, W, F, blocks, K, OH, OW, copies, pitch, plane) = sizes[:15]
    parts = sizes[21]
    unit = next_unit(counters, tally, units)
    while unit < units:
        part = unit % parts
        first = unit // parts % bands * band_columns
        g = unit // parts // bands % groups
        n = unit // parts // bands // groups
        x0 = (n * groups + g) * C * H * W
        if copies:
            tally[MOVED] += copy_planes(sizes, views, x, x0, first // pitch, scratch, tile[1] * line(x).lanes)
            x0 = 0
        else:
            x0 += first
        source = packed if copies else x
        multiply_band(
            tile, tail, sizes, offsets, real, source, x0, w, 0, bias, y, n, g, first, blocks * part // parts, blocks * (part + 1) // parts,
            tally, scratch,
        )  # fmt: skip
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@inlined
def multiply_band(
    tile, tail, sizes, offsets, real, source, x0, w, w0, bias, y, n, g, first, first_block, last_block, tally, scratch
):  # fmt: skip
    """Let some blocks of filters pass over a band of flat columns of image n and group g, from column `first` on.

    The planes of the group begin at source[x0], the weights at w[w0]. For the other arguments see `direct`.
    """
    (groups, _, band_columns, _, _, _, F, blocks, K, OH, OW, copies, pitch) = sizes[1:14]
    shuffle = sizes[20]
    apart = shuffle * OH * OW
    lanes = line(source).lanes
    rows = tile[0]
    sums = scratch.size - rows * tile[1] * lanes
    additions = K if bias.size > 0 else K - 1
    columns = min(first + band_columns - (pitch - OW), (OH - 1) * pitch + OW) - first
    plane_of_group = first_plane(g, groups, F, shuffle)
    for b in range(first_block, last_block):
        block = (g * blocks + b) * rows
        filters = min(rows, F - b * rows)
        y0 = (n * groups * F + plane_of_group + b * rows * shuffle) * OH * OW + first // pitch * OW + first % pitch
        b0 = block if bias.size > 0 else -1
        column = 0
        while column < columns:
            vectors, code = tile[1:] if columns - column > tail[1] * lanes else tail[1:]
            width = vectors * lanes
            # A last tile that is too wide is moved back: it computes some outputs again instead of reaching past the band.
            q = column if real.size > 0 else max(0, min(column, columns - width))
            last = min(column + width, columns)
            # Where all of the tile is kept, and in one piece, it goes straight to its place.
            whole = pitch == OW and filters == rows and q + width <= columns
            target = y if whole else scratch
            t0 = y0 + q if whole else sums
            t_pitch = apart if whole else width
            r0 = (first + q) // lanes
            # The first block of filters is the first to read a band of x; for the others, and where it was copied, it is near.
            ahead = width if b == first_block and not copies else 0
            run_tile(
                code, w, w0 + block * K, source, x0 + q, offsets, 0, K, real, r0, ahead, bias, b0, target, t0, t_pitch,
                w, w0 + block * K + rows * TAPS_AHEAD, rows, tally,
            )  # fmt: skip
            kept = filters * (last - column)
            if not whole:
                kept = store_tile(scratch, sums + column - q, width, y, y0, apart, filters, column, last, pitch, OW, OW)
            tally[IDLE_MUL] += (rows * width - kept) * K
            tally[IDLE_ADD] += (rows * width - kept) * additions
            column += width
