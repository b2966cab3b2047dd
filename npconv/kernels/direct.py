"""Grouped convolution over an offset table: a view of the image by distances, with no matrix built.

Tap k = (c, kh, kw) lies `offsets[k]` elements from the window's origin, whatever the kernel size, stride or dilation. Padding and
stride are taken out first: the planes of a group are copied with their zeros, and a stride of s splits each into s*s *phase planes*,
so that every tap is again a row of neighbours. Without padding and stride, nothing is copied at all.
"""

from npconv.kernels.compile import kernel
from npconv.kernels.registers import claim
from npconv.kernels.tile import IDLE_ADD, IDLE_MUL, MOVED, clear, copy_every, multiply_tile, store_tile


@kernel
def direct(tile, sizes, offsets, phases, x, w, bias, y, counter, tally, scratch, packed):
    """Convolve units (n, group, band of flat columns), claimed from `counter`, into y. `packed` is `scratch`, read-only.

    x (N, groups, C, H, W); w [group][block][k][row of the tile]; y (N, groups, F, OH, OW); phases: pairs (row, column). Flat column q
    is the output (q // pitch, q % pitch), and none where q % pitch >= OW.
    """
    (units, groups, bands, band_columns, C, H, W, F, blocks, K, OH, OW, copies, pitch, plane) = sizes[:15]
    width = tile.vectors * tile.lanes
    sums = scratch.size - tile.rows * width
    additions = K if bias.size > 0 else K - 1
    unit = claim(counter)
    while unit < units:
        first = unit % bands * band_columns
        g = unit // bands % groups
        n = unit // bands // groups
        columns = min(first + band_columns - (pitch - OW), (OH - 1) * pitch + OW) - first
        x0 = (n * groups + g) * C * H * W
        if copies:
            tally[MOVED] += copy_planes(tile.line, sizes, phases, x, x0, first // pitch, scratch, width)
            x0 = 0
        else:
            x0 += first
        source = packed if copies else x
        for column in range(0, columns, width):
            # In x itself the last tile is moved back into the image: it computes some outputs again instead of reading past them.
            q = column if copies else min(column, columns - width)
            last = min(column + width, columns)
            for b in range(blocks):
                block = (g * blocks + b) * tile.rows
                rows = min(tile.rows, F - b * tile.rows)
                y0 = ((n * groups + g) * F + b * tile.rows) * OH * OW + first // pitch * OW + first % pitch
                # Where all of the tile is kept, and in one piece, it goes straight to its place.
                whole = pitch == OW and rows == tile.rows and q + width <= columns
                target = y if whole else scratch
                t0 = y0 + q if whole else sums
                t_pitch = OH * OW if whole else width
                multiply_tile(
                    tile, w, block * K, source, x0 + q, offsets, 0, K, bias, block, target, t0, t_pitch, tally
                )
                kept = rows * (last - column)
                if not whole:
                    kept = store_tile(
                        tile.line, scratch, sums + column - q, width, y, y0, OH * OW, rows, column, last, pitch, OW, OW
                    )
                tally[IDLE_MUL] += (tile.rows * width - kept) * K
                tally[IDLE_ADD] += (tile.rows * width - kept) * additions
        unit = claim(counter)


@kernel
def copy_planes(line, sizes, phases, x, x0, oh, scratch, margin):
    """Copy the phase planes that the band of output rows from `oh` on reads, with zeros around; return how many elements moved.

    Cell (r, j) of phase plane (a, b) of channel c is x[c, (oh + r)*sh + a - top, j*sw + b - left]. Rows follow one another after
    `pitch` cells, so that the zeros to the right of one row are those to the left of the next; `margin` zeros follow the last.
    """
    (C, H, W) = sizes[4:7]
    (pitch, plane, sh, sw, top, left, plane_rows) = sizes[13:20]
    planes = phases.size // 2
    moved = 0
    for c in range(C):
        for p in range(planes):
            a = phases[2 * p]
            b = phases[2 * p + 1]
            target = (c * planes + p) * plane
            # The columns j of this plane that are real: 0 <= j*sw + b - left < W.
            first = min(max(0, -((b - left) // sw)), pitch)
            last = max(first, min(pitch, (W - 1 + left - b) // sw + 1))
            # Each row is written from its first real cell to that of the next row, so the zeros between two rows are written at once.
            clear(line, scratch, target, first)
            target += first
            for r in range(plane_rows):
                h = (oh + r) * sh + a - top
                if first < last and 0 <= h < H:
                    source = x0 + (c * H + h) * W + first * sw + b - left
                    copy_every(line, x, source, sw, scratch, target, last - first)
                    clear(line, scratch, target + last - first, pitch - last + first)
                    moved += last - first
                else:
                    clear(line, scratch, target, pitch)
                target += pitch
            clear(line, scratch, target, plane - plane_rows * pitch - first)
    clear(line, scratch, C * planes * plane, margin)
    return moved
