"""The compiled form of the operations of `npconv.kernels.registers` that turn lanes into rows and rows into lanes."""

from llvmlite import ir
from numba.core import types

from npconv.kernels import registers
from npconv.kernels.lowering import INT32, INT64, intrinsic, lane_mask, lowers, register, suffix, vector_pointer


@lowers(
    registers.load_turned,
    lambda tile, file, array, i, pitch, rows, columns: types.void(tile, file, array, *[types.intp] * 4),
)
def emit_load_turned(context, builder, signature, args):
    tile, file, array = signature.args[:3]
    vector = context.get_value_type(file.vector)
    alignment = ir.Constant(INT32, array.dtype.bitwidth // 8)
    name = f"llvm.masked.load.{suffix(vector)}.p0"
    zero, one, most = (ir.Constant(INT64, n) for n in (0, 1, tile.rows))
    count = builder.select(builder.icmp_signed("<", args[6], most), args[6], most)
    columns = builder.sub(builder.shl(one, count), one)
    every_row = builder.icmp_signed(">=", args[5], ir.Constant(INT64, tile.lanes))
    for first in range(0, tile.rows, tile.lanes):
        elements = builder.lshr(columns, ir.Constant(INT64, first))

        def loaded(lane, of_row, first=first):
            row = builder.mul(args[4], ir.Constant(INT64, lane))
            index = builder.add(builder.add(args[3], row), ir.Constant(INT64, first))
            pointer = vector_pointer(context, builder, array, args[2], index, vector)
            mask = lane_mask(builder, of_row, tile.lanes)
            return intrinsic(builder, name, vector, [pointer, alignment, mask, ir.Constant(vector, None)])

        # Nearly always every row is there, and one set of lanes serves them all.
        with builder.if_else(every_row, likely=True) as (all_there, some_there):
            with all_there:
                alike, alike_from = [loaded(lane, elements) for lane in range(tile.lanes)], builder.block
            with some_there:
                own = []
                for lane in range(tile.lanes):
                    present = builder.icmp_signed("<", ir.Constant(INT64, lane), args[5])
                    own.append(loaded(lane, builder.select(present, elements, zero)))
                own_from = builder.block
        rows = []
        for one, other in zip(alike, own, strict=True):
            row = builder.phi(vector)
            row.add_incoming(one, alike_from)
            row.add_incoming(other, own_from)
            rows.append(row)
        for m, turned in enumerate(transposed(builder, rows)[: tile.rows - first]):
            builder.store(turned, register(builder, args[1], first + m))
    return context.get_dummy_value()


@lowers(
    registers.store_turned,
    lambda tile, file, array, i, pitch: types.void(tile, file, array, types.intp, types.intp),
)
def emit_store_turned(context, builder, signature, args):
    tile, file, array = signature.args[:3]
    vector = context.get_value_type(file.vector)
    alignment = ir.Constant(INT32, array.dtype.bitwidth // 8)
    name = f"llvm.masked.store.{suffix(vector)}.p0"
    for v in range(tile.vectors):
        for first in range(0, tile.rows, tile.lanes):
            pixels = min(tile.lanes, tile.rows - first)
            rows = [
                builder.load(register(builder, args[1], (first + m) * tile.vectors + v))
                if m < pixels
                else ir.Constant(vector, ir.Undefined)
                for m in range(tile.lanes)
            ]
            kept = ir.Constant(ir.VectorType(ir.IntType(1), tile.lanes), [int(m < pixels) for m in range(tile.lanes)])
            for lane, turned in enumerate(transposed(builder, rows)):
                filters = builder.mul(args[4], ir.Constant(INT64, v * tile.lanes + lane))
                index = builder.add(builder.add(args[3], filters), ir.Constant(INT64, first))
                pointer = vector_pointer(context, builder, array, args[2], index, vector)
                intrinsic(builder, name, ir.VoidType(), [turned, pointer, alignment, kept])
    return context.get_dummy_value()


def transposed(builder, rows):
    """Emit the transposition of as many vectors as they have lanes: blocks trade places across the diagonal, large ones first."""
    lanes = distance = len(rows)
    while distance > 1:
        distance //= 2
        for m in (m for m in range(lanes) if not m & distance):
            upper, lower = rows[m], rows[m + distance]
            for into, of_lower in ((m, 0), (m + distance, distance)):
                picked = [
                    lane + of_lower if not lane & distance else lanes + (lane ^ distance) + of_lower
                    for lane in range(lanes)
                ]
                rows[into] = builder.shuffle_vector(upper, lower, ir.Constant(ir.VectorType(INT32, lanes), picked))
    return rows
