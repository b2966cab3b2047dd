"""Planes of a group copied with their zeros: what lies around an image then needs no second thought."""

from npconv.kernels.compile import kernel
from npconv.kernels.tile import clear, clear_rows, copy, copy_rows, copy_rows_with_zeros


@kernel
def copy_planes(sizes, views, x, x0, oh, scratch, margin):
    """Copy the planes that the band of output rows from `oh` on reads, with zeros around; return how many elements moved.

    For each view (a, b) of channel c there is a plane with x[c, (oh + r)*sh + a - top, j*sw + b - left] in cell (r, j), row after
    row of `pitch` cells. `margin` zeros follow the last plane.
    """
    (C, H, W) = sizes[4:7]
    (pitch, plane, sh, sw, top, left, plane_rows) = sizes[13:20]
    count = views.size // 2
    moved = 0
    for p in range(count):
        # The cells that are real: 0 <= (oh + r)*sh + a - top < H, 0 <= j*sw + b - left < W.
        up = oh * sh + views[2 * p] - top
        before = views[2 * p + 1] - left
        r_first = min(max(0, -(up // sh)), plane_rows)
        r_last = max(r_first, min(plane_rows, (H - 1 - up) // sh + 1))
        first = min(max(0, -(before // sw)), pitch)
        last = max(first, min(pitch, (W - 1 - before) // sw + 1))
        real = last - first
        rows = r_last - r_first if real > 0 else 0
        for c in range(C):
            target = (c * count + p) * plane
            stop = target + plane
            if rows == 0:
                clear(scratch, target, plane)
                continue
            source = x0 + (c * H + r_first * sh + up) * W + first * sw + before
            clear(scratch, target, r_first * pitch + first)
            target += r_first * pitch + first
            if pitch == W and sh == 1 and sw == 1:
                # Rows that follow one another there as here are copied as one, what was between them put right below.
                copy(x, source, scratch, target, (rows - 1) * pitch + real)
                clear_rows(scratch, target + real, pitch, pitch - real, rows - 1)
            elif sw == 1 and count == 1:
                # Planes are written in the order of memory: what one writes past its end, the next writes again.
                copy_rows_with_zeros(x, source, sh * W, scratch, target, pitch, real, rows)
            else:
                copy_rows(x, source, sh * W, sw, scratch, target, pitch, real, rows)
                clear_rows(scratch, target + real, pitch, pitch - real, rows - 1)
            target += (rows - 1) * pitch + real
            clear(scratch, target, stop - target)
        moved += C * rows * real
    clear(scratch, C * count * plane, margin)
    return moved
