"""Packing weights: rows of a matrix become columns, blocks of registers at a time."""

from npconv.kernels.compile import from_python, kernel
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


@from_python
def pack_filters(turn: RegisterTile, sizes: tuple[int, ...], w: Array, packed: Array) -> None:
    """packed[group][block][k][filter of the block] = w[group][filter][k], zeros where a block has filters to spare.

    `turn` is a tile of as many rows as it has lanes.
    """
    (groups, blocks, rows, F, K) = sizes
    for g in range(groups):
        for b in range(blocks):
            filters = min(rows, F - b * rows)
            pack_block(turn, w, (g * F + b * rows) * K, filters, rows, K, packed, (g * blocks + b) * K * rows)


@kernel
def pack_block(turn: RegisterTile, w: Array, w0: int, filters: int, rows: int, K: int, packed: Array, p0: int) -> None:
    """packed[p0 + k*rows + f] = w[w0 + f*K + k] for so many filters of K taps, zeros from there to `rows`; `turn` as in `pack_filters`."""
    columns = accumulators(turn, w)
    for k in range(0, K, turn.rows):
        taps = min(turn.rows, K - k)
        for first in range(0, rows, turn.lanes):
            load_turned(turn, columns, w, w0 + first * K + k, K, max(0, filters - first), taps)
            width = min(turn.lanes, rows - first)
            target = p0 + k * rows + first
            if width == turn.lanes and taps == turn.rows:
                for m in range(turn.rows):
                    store(packed, target + m * rows, get(columns, m))
            else:
                kept = lanes_below(width)
                for m in range(turn.rows):
                    store_lanes(packed, target + m * rows, get(columns, m), kept if m < taps else 0)
