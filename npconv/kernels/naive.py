"""The definition as seven compiled loops, one scalar product at a time: the first rung, and what the fast kernels are measured against."""

from npconv.kernels.compile import driver
from npconv.kernels.tile import ADD, MUL
from npconv.kernels.work import next_unit, rest


@driver
def naive(sizes, x, w, bias, y, counters, tally):
    """y[n, o, oh, ow] = sum over c, kh, kw of x[n, g*C + c, oh*sh + kh*dh - top, ow*sw + kw*dw - left] * w[o, c, kh, kw].

    x (N, groups, C, H, W); w (groups*F, C, KH, KW); y (N, groups, F, OH, OW). Units are output planes. Each product is rounded.
    """
    (units, groups, C, H, W, F, KH, KW, OH, OW, sh, sw, dh, dw, top, left) = sizes
    zero = y.dtype.type(0)
    unit = next_unit(counters, tally, units)
    while unit < units:
        mul = 0
        add = 0
        o = unit % (groups * F)
        x0 = (unit // F) * C * H * W
        for oh in range(OH):
            for ow in range(OW):
                total = bias[o] if bias.size > 0 else zero
                terms = bias.size
                for c in range(C):
                    for kh in range(KH):
                        for kw in range(KW):
                            h = oh * sh + kh * dh - top
                            i = ow * sw + kw * dw - left
                            inside = 0 <= h < H and 0 <= i < W
                            value = x[x0 + (c * H + h) * W + i] if inside else zero
                            product = value * w[((o * C + c) * KH + kh) * KW + kw]
                            mul += 1
                            if terms > 0:
                                total = total + product
                                add += 1
                            else:
                                total = product
                                terms = 1
                y[(unit * OH + oh) * OW + ow] = total
        tally[MUL] += mul
        tally[ADD] += add
        unit = next_unit(counters, tally, units)
    rest(counters, tally)
