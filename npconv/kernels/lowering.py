"""The compiled form of `npconv.kernels.registers`: an operation as a Numba type rule and the LLVM it becomes; two are in `turning`."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.types.misc import CPointer
from numba.core.typing import signature
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_builtin,
    lower_getattr_generic,
    models,
    register_model,
    type_callable,
    typeof_impl,
    unbox,
)

from npconv.kernels import registers
from npconv.kernels.targets import target

INT32 = ir.IntType(32)
INT64 = ir.IntType(64)


class RegisterTileType(types.Type):
    """The type of a `RegisterTile`: the numbers, known to the compiler."""

    def __init__(self, rows: int, vectors: int, lanes: int, planes: int, step: int, edge: int, phases: int) -> None:
        self.rows = rows
        self.vectors = vectors
        self.lanes = lanes
        self.planes = planes
        self.step = step
        self.edge = edge
        self.phases = phases
        super().__init__(f"RegisterTile({rows}, {vectors}, {lanes}, {planes}, {step}, {edge}, {phases})")

    @classmethod
    def of(cls, tile: registers.RegisterTile) -> "RegisterTileType":
        """Return the type of a tile."""
        return cls(tile.rows, tile.vectors, tile.lanes, tile.planes, tile.step, tile.edge, tile.phases)


class VectorType(types.Type):
    """A vector register of `lanes` elements."""

    def __init__(self, dtype: types.Type, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(f"Vector({dtype}, {lanes})")


class RegistersType(types.Type):
    """A file of `count` vector registers, addressed by a number."""

    def __init__(self, vector: VectorType, count: int) -> None:
        self.vector = vector
        self.count = count
        super().__init__(f"Registers({vector}, {count})")


@typeof_impl.register(registers.RegisterTile)
def typeof_tile(tile, context):
    return RegisterTileType.of(tile)


register_model(RegisterTileType)(models.OpaqueModel)


@unbox(RegisterTileType)
def unbox_tile(typ, tile, c):
    return NativeValue(c.context.get_dummy_value())


@infer_getattr
class TileAttributes(AttributeTemplate):
    """The numbers of a tile are integers that the compiler knows."""

    key = RegisterTileType

    def generic_resolve(self, _tile, attribute):
        """Return the type of an attribute."""
        return types.intp if attribute in registers.RegisterTile.__slots__ else None


@lower_getattr_generic(RegisterTileType)
def tile_attribute(context, builder, typ, value, attribute):
    return context.get_constant(types.intp, getattr(typ, attribute))


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """An LLVM vector."""

    def __init__(self, manager, typ):
        super().__init__(manager, typ, ir.VectorType(manager.lookup(typ.dtype).get_value_type(), typ.lanes))


@register_model(RegistersType)
class RegistersModel(models.PrimitiveModel):
    """A stack array that LLVM takes apart into registers once every index is a constant."""

    def __init__(self, manager, typ):
        vector = manager.lookup(typ.vector).get_value_type()
        super().__init__(manager, typ, ir.ArrayType(vector, typ.count).as_pointer())


def lowers(twin: Callable[..., Any], result: Callable[..., Any]) -> Callable[..., Any]:
    """Attach a compiled form to a twin: `result` gives the type for the argument types, the decorated function emits the LLVM."""
    type_callable(twin)(lambda context: result)

    def attach(emit: Callable[..., Any]) -> Callable[..., Any]:
        lower_builtin(twin, *[types.Any] * result.__code__.co_argcount)(emit)
        return emit

    return attach


def element_pointer(context, builder, array_type, array, index):
    is_pointer = isinstance(array_type, CPointer)
    first = array if is_pointer else context.make_array(array_type)(context, builder, array).data
    return builder.gep(first, [index])


def vector_pointer(context, builder, array_type, array, index, vector):
    return builder.bitcast(element_pointer(context, builder, array_type, array, index), vector.as_pointer())


def broadcast(builder, value, lanes):
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    zeros = ir.Constant(ir.VectorType(INT32, lanes), None)
    return builder.shuffle_vector(builder.insert_element(undefined, value, ir.Constant(INT32, 0)), undefined, zeros)


def lane_mask(builder, lanes, count):
    """Emit the mask of a set of lanes that an integer holds as bits."""
    bits = lanes if count == 64 else builder.trunc(lanes, ir.IntType(count))
    return builder.bitcast(bits, ir.VectorType(ir.IntType(1), count))


def intrinsic(builder, name, result, arguments):
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


def suffix(vector):
    element = {"float": "f32", "double": "f64"}.get(str(vector.element), str(vector.element))
    return f"v{vector.count}{element}"


def register(builder, file, i):
    return builder.gep(file, [ir.Constant(INT64, 0), ir.Constant(INT64, i) if isinstance(i, int) else i])


def emit_registers(context, builder, signature, args):
    storage = context.get_value_type(signature.return_type).pointee
    with builder.goto_entry_block():
        return builder.alloca(storage)


lowers(
    registers.accumulators,
    lambda tile, like: RegistersType(VectorType(like.dtype, tile.lanes), tile.rows * tile.planes * tile.vectors)(
        tile, like
    ),
)(emit_registers)
lowers(
    registers.row_registers,
    lambda tile, like: RegistersType(VectorType(like.dtype, tile.lanes), tile.planes * tile.vectors)(tile, like),
)(emit_registers)

lowers(
    registers.weight_registers,
    lambda tile, like: RegistersType(VectorType(like.dtype, tile.lanes), tile.rows)(tile, like),
)(emit_registers)


def line_type(like, step):
    return RegisterTileType(1, 1, target().lanes(like.dtype.bitwidth // 8), 1, step, 0, 1)


@lowers(registers.line, lambda like: line_type(like, 1)(like))
@lowers(registers.every_second, lambda like: line_type(like, 2)(like))
def emit_line(context, builder, signature, args):
    return context.get_dummy_value()


@lowers(registers.move_up, lambda tile, file: signature(types.void, tile, file))
def emit_move_up(context, builder, signature, args):
    each = signature.args[0].planes * signature.args[0].vectors
    for i in range(signature.args[1].count - each):
        builder.store(builder.load(register(builder, args[1], i + each)), register(builder, args[1], i))
    return context.get_dummy_value()


@lowers(registers.get, lambda file, i: file.vector(file, types.intp))
def emit_get(context, builder, signature, args):
    return builder.load(register(builder, *args))


@lowers(registers.put, lambda file, i, vector: types.void(file, types.intp, file.vector))
def emit_put(context, builder, signature, args):
    builder.store(args[2], register(builder, *args[:2]))
    return context.get_dummy_value()


@lowers(registers.zero, lambda tile, like: VectorType(like.dtype, tile.lanes)(tile, like))
def emit_zero(context, builder, signature, args):
    return ir.Constant(context.get_value_type(signature.return_type), None)


@lowers(registers.element, lambda array, i: array.dtype(array, types.intp))
def emit_element(context, builder, signature, args):
    return builder.load(element_pointer(context, builder, signature.args[0], args[0], args[1]))


@lowers(registers.prefetch, lambda array, i: types.void(array, types.intp))
def emit_prefetch(context, builder, signature, args):
    # CPUs with few registers have none to spare for another address in the innermost loop: sums would be kept in memory.
    if target().vector_bytes == 64:
        pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
        # Not to be written, wanted in every cache, and data.
        how = [ir.Constant(INT32, number) for number in (0, 3, 1)]
        intrinsic(builder, "llvm.prefetch.p0", ir.VoidType(), [builder.bitcast(pointer, cgutils.voidptr_t), *how])
    return context.get_dummy_value()


@lowers(registers.splat, lambda tile, array, i: VectorType(array.dtype, tile.lanes)(tile, array, types.intp))
def emit_splat(context, builder, signature, args):
    value = builder.load(element_pointer(context, builder, signature.args[1], args[1], args[2]))
    return broadcast(builder, value, signature.return_type.lanes)


@lowers(registers.load, lambda tile, array, i: VectorType(array.dtype, tile.lanes)(tile, array, types.intp))
def emit_load(context, builder, signature, args):
    tile, array, vector = signature.args[0], signature.args[1], context.get_value_type(signature.return_type)

    def at(index):
        return builder.load(
            vector_pointer(context, builder, array, args[1], index, vector), align=array.dtype.bitwidth // 8
        )

    low = at(args[2])
    if tile.step == 1:
        return low
    # Every second element of 2 * lanes - 1: the upper vector begins one early, so that nothing past the last lane is read.
    high = at(builder.add(args[2], ir.Constant(INT64, tile.lanes - 1)))
    picked = [2 * lane if 2 * lane < tile.lanes else 2 * lane + 1 for lane in range(tile.lanes)]
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(INT32, tile.lanes), picked))


@lowers(
    registers.load_lanes,
    lambda tile, array, i, elements: VectorType(array.dtype, tile.lanes)(tile, array, types.intp, types.intp),
)
def emit_load_lanes(context, builder, signature, args):
    tile, array, vector = signature.args[0], signature.args[1], context.get_value_type(signature.return_type)
    alignment = ir.Constant(INT32, array.dtype.bitwidth // 8)
    name = f"llvm.masked.load.{suffix(vector)}.p0"

    def at(part):
        # The form with an alignment argument is the one that every LLVM reads: newer ones upgrade it.
        first = ir.Constant(INT64, part * tile.lanes)
        pointer = vector_pointer(context, builder, array, args[1], builder.add(args[2], first), vector)
        mask = lane_mask(builder, builder.lshr(args[3], first), tile.lanes)
        return intrinsic(builder, name, vector, [pointer, alignment, mask, ir.Constant(vector, None)])

    if tile.step == 1:
        return at(0)
    picked = ir.Constant(ir.VectorType(INT32, tile.lanes), [2 * lane for lane in range(tile.lanes)])
    return builder.shuffle_vector(at(0), at(1), picked)


@lowers(
    registers.gather_lanes,
    lambda tile, array, i, stride, lanes: VectorType(array.dtype, tile.lanes)(tile, array, *[types.intp] * 3),
)
def emit_gather_lanes(context, builder, signature, args):
    array, vector = signature.args[1], context.get_value_type(signature.return_type)
    size = array.dtype.bitwidth // 8
    first = element_pointer(context, builder, array, args[1], args[2])
    distance = broadcast(builder, builder.mul(args[3], ir.Constant(INT64, size)), vector.count)
    steps = builder.mul(distance, ir.Constant(ir.VectorType(INT64, vector.count), list(range(vector.count))))
    addresses = builder.add(broadcast(builder, builder.ptrtoint(first, INT64), vector.count), steps)
    pointers = builder.inttoptr(addresses, ir.VectorType(first.type, vector.count))
    mask = lane_mask(builder, args[4], vector.count)
    name = f"llvm.masked.gather.{suffix(vector)}.v{vector.count}p0"
    return intrinsic(builder, name, vector, [pointers, ir.Constant(INT32, size), mask, ir.Constant(vector, None)])


@lowers(registers.store, lambda array, i, vector: types.void(array, types.intp, vector))
def emit_store(context, builder, signature, args):
    pointer = vector_pointer(context, builder, signature.args[0], args[0], args[1], args[2].type)
    builder.store(args[2], pointer, align=signature.args[0].dtype.bitwidth // 8)
    return context.get_dummy_value()


@lowers(registers.store_lanes, lambda array, i, vector, lanes: types.void(array, types.intp, vector, types.intp))
def emit_store_lanes(context, builder, signature, args):
    vector = args[2].type
    pointer = vector_pointer(context, builder, signature.args[0], args[0], args[1], vector)
    alignment = ir.Constant(INT32, signature.args[0].dtype.bitwidth // 8)
    mask = lane_mask(builder, args[3], vector.count)
    intrinsic(builder, f"llvm.masked.store.{suffix(vector)}.p0", ir.VoidType(), [args[2], pointer, alignment, mask])
    return context.get_dummy_value()


@lowers(registers.lanes_below, lambda n: types.intp(types.intp))
def emit_lanes_below(context, builder, signature, args):
    # Shifting by all 64 bits is undefined in LLVM: of a vector of 64 lanes, every lane is asked for as such.
    one, sixty_four = ir.Constant(INT64, 1), ir.Constant(INT64, 64)
    below = builder.sub(builder.shl(one, args[0]), one)
    return builder.select(builder.icmp_unsigned("<", args[0], sixty_four), below, ir.Constant(INT64, -1))


@lowers(registers.multiply, lambda a, b: a(a, b))
def emit_multiply(context, builder, signature, args):
    if isinstance(signature.return_type.dtype, types.Integer):
        return builder.mul(*args)
    return builder.fmul(*args)


@lowers(registers.fma, lambda a, b, c: a(a, b, c))
def emit_fma(context, builder, signature, args):
    a, b, c = args
    if isinstance(signature.return_type.dtype, types.Integer):
        return builder.add(builder.mul(a, b), c)
    if not target().fma:
        # llvm.fma would call the C library lane by lane here.
        return builder.fadd(builder.fmul(a, b), c)
    return intrinsic(builder, f"llvm.fma.{suffix(a.type)}", a.type, args)
