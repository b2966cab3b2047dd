"""Packing weights: rows of a matrix become columns, blocks of registers at a time."""

from npconv.kernels.compile import driver
from npconv.kernels.registers import (
    Array,
    RegisterTile,
    accumulators,
    get,
    lanes_below,
    load_turned,
    store,
    store_lanes,
)


@driver
def pack_filters(turn: RegisterTile, sizes: tuple[int, ...], w: Array, packed: Array) -> None:
    """packed[group][block][k][filter of the block] = w[group][filter][k], zeros where a block has filters to spare.

    `turn` is a tile of as many rows as it has lanes.
    """
    (groups, blocks, rows, F, K) = sizes
    filters = accumulators(turn, w)
    target = 0
    for g in range(groups):
        for b in range(blocks):
            source = (g * F + b * rows) * K
            real = min(rows, F - b * rows)
            for k in range(0, K, turn.rows):
                taps = min(turn.rows, K - k)
                for first in range(0, rows, turn.lanes):
                    load_turned(turn, filters, w, source + first * K + k, K, max(0, real - first), taps)
                    width = min(turn.lanes, rows - first)
                    t = target + k * rows + first
                    if width == turn.lanes and taps == turn.rows:
                        for m in range(turn.rows):
                            store(packed, t + m * rows, get(filters, m))
                    else:
                        kept = lanes_below(width)
                        for m in range(turn.rows):
                            store_lanes(packed, t + m * rows, get(filters, m), kept if m < taps else 0)
            target += K * rows
