"""The whole im2col matrix and its adjoint: for reading and for users. The fast path never builds it (see `im2col`)."""

from npconv.kernels.compile import driver
from npconv.kernels.tile import ADD, MOVED, clear, copy_rows
from npconv.kernels.work import next_unit, rest


@driver
def unfold(sizes, spans, x, columns, counters, tally):
    """columns[n, (c, kh, kw), (oh, ow)] = x[n, c, oh*sh + kh*dh - top, ow*sw + kw*dw - left], zeros outside; a unit is a row."""
    (units, H, W, KH, KW, OH, OW, sh, sw, dh, dw, top, left) = sizes
    unit = next_unit(counters, tally, units)
    while unit < units:
        kw = unit % KW
        kh = unit // KW % KH
        plane = unit // (KW * KH)
        first = spans[2 * (KH + kw)]
        last = max(first, spans[2 * (KH + kw) + 1])
        for oh in range(OH):
            target = (unit * OH + oh) * OW
            clear(columns, target, OW)
            if spans[2 * kh] <= oh < spans[2 * kh + 1]:
                source = (plane * H + oh * sh + kh * dh - top) * W + first * sw + kw * dw - left
                copy_rows(x, source, 0, sw, columns, target + first, 0, last - first, 1)
                tally[MOVED] += last - first
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@driver
def fold(sizes, spans, columns, x, counters, tally):
    """x[n, c, oh*sh + kh*dh - top, ow*sw + kw*dw - left] += columns[n, (c, kh, kw), (oh, ow)], x being zeros; a unit is a plane."""
    (units, H, W, KH, KW, OH, OW, sh, sw, dh, dw, top, left) = sizes
    unit = next_unit(counters, tally, units)
    while unit < units:
        for kh in range(KH):
            for kw in range(KW):
                for oh in range(spans[2 * kh], spans[2 * kh + 1]):
                    source = (((unit * KH + kh) * KW + kw) * OH + oh) * OW
                    target = (unit * H + oh * sh + kh * dh - top) * W + kw * dw - left
                    for ow in range(spans[2 * (KH + kw)], spans[2 * (KH + kw) + 1]):
                        x[target + ow * sw] += columns[source + ow]
                        tally[ADD] += 1
        unit = next_unit(counters, tally, units)
    rest(counters, tally)
