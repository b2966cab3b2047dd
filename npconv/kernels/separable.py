"""Depthwise separable convolution in one pass: all pointwise filters meet a band of depthwise outputs while it is in the cache.

What lies between the two convolutions is never whole, and never written to memory.
"""

from npconv.kernels.compile import driver
from npconv.kernels.depthwise import stream_rows
from npconv.kernels.direct import multiply_band
from npconv.kernels.work import next_unit, rest


@driver
def separable(
    tile, tail, window, sizes, window_sizes, offsets, lanes, real, none, x, w, bias, y, counters, tally, scratch, packed
):  # fmt: skip
    """Convolve units (n, band of output rows), claimed from `counters`, into y. `packed` is `scratch`, read-only.

    `window`, `window_sizes` and `lanes` are what `depthwise` takes; `tile`, `tail`, `sizes`, `offsets` and `real` what `direct` does, to
    which the depthwise outputs of a band are the image. x (N, C, H, W); y (N, O, OH, OW); w has the depthwise weights, then the pointwise
    ones; `none` is the bias that the depthwise outputs have not.
    """
    (units, _, bands, band_columns) = sizes[:4]
    (blocks, _, OH, OW, _, _, plane) = sizes[8:15]
    (C, multiplier, _, H, W) = window_sizes[3:8]
    (stripes, pointwise) = window_sizes[19:21]
    unit = next_unit(counters, tally, units)
    while unit < units:
        first = unit % bands * band_columns
        n = unit // bands
        rows = min(band_columns, OH * OW - first) // OW
        for c in range(0, C, window.planes):
            for j in range(multiplier):
                o = c * multiplier + j
                for stripe in range(stripes):
                    stream_rows(
                        window, window_sizes, x, (n * C + c) * H * W, w, o, none, lanes, stripe, scratch, o * plane - first, plane, 0,
                        first // OW, first // OW + rows, tally,
                    )  # fmt: skip
        multiply_band(
            tile, tail, sizes, offsets, real, packed, 0, w, pointwise, bias, y, n, 0, first, 0, blocks, tally, scratch
        )
        unit = next_unit(counters, tally, units)
    rest(counters, tally)
