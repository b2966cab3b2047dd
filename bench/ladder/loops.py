"""The rungs that know no vector registers: loops over numbers. Images are (C, H, W), the kernel is 3x3, a zero is added all around."""

from typing import Any

from npconv.kernels.compile import from_python


def in_python(x: Any, w: Any, y: Any) -> None:
    """y[o][oh][ow] = sum over c, kh, kw of x[c][oh + kh - 1][ow + kw - 1] * w[o][c][kh][kw], in lists."""
    C, H, W = len(x), len(x[0]), len(x[0][0])
    for o in range(len(w)):
        for oh in range(H):
            for ow in range(W):
                total = 0.0
                for c in range(C):
                    for kh in range(3):
                        for kw in range(3):
                            h, i = oh + kh - 1, ow + kw - 1
                            if 0 <= h < H and 0 <= i < W:
                                total += x[c][h][i] * w[o][c][kh][kw]
                y[o][oh][ow] = total


@from_python
def compiled(x: Any, w: Any, y: Any) -> None:
    """As `in_python`, line by line, on arrays, and compiled."""
    C, H, W = x.shape
    zero = y.dtype.type(0)
    for o in range(w.shape[0]):
        for oh in range(H):
            for ow in range(W):
                total = zero
                for c in range(C):
                    for kh in range(3):
                        for kw in range(3):
                            h, i = oh + kh - 1, ow + kw - 1
                            if 0 <= h < H and 0 <= i < W:
                                total += x[c, h, i] * w[o, c, kh, kw]
                y[o, oh, ow] = total


@from_python
def pad(x: Any, padded: Any) -> None:
    """Copy each plane into the middle of one that is two rows and two columns larger; what is around it is zero already."""
    C, H, W = x.shape
    for c in range(C):
        for h in range(H):
            for i in range(W):
                padded[c, h + 1, i + 1] = x[c, h, i]


@from_python
def without_questions(padded: Any, w: Any, y: Any) -> None:
    """As `compiled`, on a padded image: no window reaches over it."""
    O, H, W = y.shape
    zero = y.dtype.type(0)
    for o in range(O):
        for oh in range(H):
            for ow in range(W):
                total = zero
                for c in range(padded.shape[0]):
                    for kh in range(3):
                        for kw in range(3):
                            total += padded[c, oh + kh, ow + kw] * w[o, c, kh, kw]
                y[o, oh, ow] = total


@from_python
def neighbours_inside(sizes: Any, padded: Any, offsets: Any, w: Any, wide: Any) -> None:
    """wide[o*columns + q] += w[o*K + k] * padded[offsets[k] + q], with the loop over neighbouring outputs q inside.

    Arrays are flat. Neighbours do not wait for each other, and the compiler takes several at once. Where a row of the image ends, two
    columns are no outputs, and `crop` leaves them out.
    """
    (O, K, columns) = sizes
    for o in range(O):
        sums = wide[o * columns : (o + 1) * columns]
        for q in range(columns):
            sums[q] = 0
        for k in range(K):
            a = w[o * K + k]
            pixels = padded[offsets[k] : offsets[k] + columns]
            for q in range(columns):
                sums[q] += a * pixels[q]


@from_python
def crop(sizes: Any, pitch: int, wide: Any, y: Any) -> None:
    """y[o][oh][ow] = wide[o*columns + oh*pitch + ow]."""
    (_, _, columns) = sizes
    O, H, W = y.shape
    for o in range(O):
        for oh in range(H):
            sums = wide[o * columns + oh * pitch : o * columns + oh * pitch + W]
            for ow in range(W):
                y[o, oh, ow] = sums[ow]
