"""The rungs of vector registers: outputs are summed there from the first tap to the last, many at once.

Arrays are flat. Seen from output q, tap k = (c, kh, kw) is pixel offsets[k] + q, so that neighbouring outputs read neighbouring pixels.
"""

from typing import Any

from npconv.kernels.compile import from_python
from npconv.kernels.registers import (
    RegisterTile,
    accumulators,
    element,
    fma,
    get,
    load,
    load_lanes,
    put,
    row_registers,
    splat,
    store,
    zero,
)


@from_python
def one_filter(tile: RegisterTile, sizes: Any, padded: Any, offsets: Any, w: Any, wide: Any) -> None:
    """wide[o*columns + q] = sum over k of w[o*K + k] * padded[offsets[k] + q], for `vectors` vectors of q at a time."""
    (O, K, columns) = sizes
    acc = accumulators(tile, padded)
    for q in range(0, columns, tile.vectors * tile.lanes):
        for o in range(O):
            for v in range(tile.vectors):
                put(acc, v, zero(tile, padded))
            for k in range(K):
                first = element(offsets, k) + q
                a = splat(tile, w, o * K + k)
                for v in range(tile.vectors):
                    put(acc, v, fma(a, load(tile, padded, first + v * tile.lanes), get(acc, v)))
            for v in range(tile.vectors):
                store(wide, o * columns + q + v * tile.lanes, get(acc, v))


@from_python
def several_filters(tile: RegisterTile, sizes: Any, padded: Any, offsets: Any, w: Any, wide: Any) -> None:
    """As `one_filter`, for `rows` filters at a time: pixels that were loaded meet all of them."""
    (O, K, columns) = sizes
    acc = accumulators(tile, padded)
    row = row_registers(tile, padded)
    for q in range(0, columns, tile.vectors * tile.lanes):
        for o in range(0, O, tile.rows):
            for j in range(tile.rows * tile.vectors):
                put(acc, j, zero(tile, padded))
            for k in range(K):
                first = element(offsets, k) + q
                for v in range(tile.vectors):
                    put(row, v, load(tile, padded, first + v * tile.lanes))
                for m in range(tile.rows):
                    a = splat(tile, w, (o + m) * K + k)
                    for v in range(tile.vectors):
                        j = m * tile.vectors + v
                        put(acc, j, fma(a, get(row, v), get(acc, j)))
            for m in range(tile.rows):
                for v in range(tile.vectors):
                    store(wide, (o + m) * columns + q + v * tile.lanes, get(acc, m * tile.vectors + v))


@from_python
def packed_weights(tile: RegisterTile, sizes: Any, padded: Any, offsets: Any, w: Any, wide: Any) -> None:
    """As `several_filters`, with the weights in the order in which they are read: w[block of filters][k][row of the tile]."""
    (O, K, columns) = sizes
    acc = accumulators(tile, padded)
    row = row_registers(tile, padded)
    for q in range(0, columns, tile.vectors * tile.lanes):
        for o in range(0, O, tile.rows):
            for j in range(tile.rows * tile.vectors):
                put(acc, j, zero(tile, padded))
            for k in range(K):
                first = element(offsets, k) + q
                for v in range(tile.vectors):
                    put(row, v, load(tile, padded, first + v * tile.lanes))
                for m in range(tile.rows):
                    a = splat(tile, w, o * K + k * tile.rows + m)
                    for v in range(tile.vectors):
                        j = m * tile.vectors + v
                        put(acc, j, fma(a, get(row, v), get(acc, j)))
            for m in range(tile.rows):
                for v in range(tile.vectors):
                    store(wide, (o + m) * columns + q + v * tile.lanes, get(acc, m * tile.vectors + v))


@from_python
def sets_of_lanes(tile: RegisterTile, sizes: Any, x: Any, offsets: Any, real: Any, w: Any, y: Any) -> None:
    """As `packed_weights`, on the image as it is: real[t*vectors of a plane + v] holds the lanes of vector v that tap t finds on it."""
    (O, K, columns) = sizes
    acc = accumulators(tile, x)
    row = row_registers(tile, x)
    across = columns // tile.lanes
    for q in range(0, columns, tile.vectors * tile.lanes):
        for o in range(0, O, tile.rows):
            for j in range(tile.rows * tile.vectors):
                put(acc, j, zero(tile, x))
            for k in range(K):
                first = element(offsets, 2 * k) + q
                lanes = element(offsets, 2 * k + 1) * across + q // tile.lanes
                for v in range(tile.vectors):
                    put(row, v, load_lanes(tile, x, first + v * tile.lanes, element(real, lanes + v)))
                for m in range(tile.rows):
                    a = splat(tile, w, o * K + k * tile.rows + m)
                    for v in range(tile.vectors):
                        j = m * tile.vectors + v
                        put(acc, j, fma(a, get(row, v), get(acc, j)))
            for m in range(tile.rows):
                for v in range(tile.vectors):
                    store(y, (o + m) * columns + q + v * tile.lanes, get(acc, m * tile.vectors + v))
