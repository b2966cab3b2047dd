"""How Python enters a driver: one tuple, of which compiled code takes what it needs.

Numba's own way in unpacks a driver's arguments one after another, some forty numbers and ten arrays, which takes longer than a small
layer. Here what stays the same from call to call is written down once, numbers and addresses in one array: a job. So is what a thread
alone writes to. Only the operands are looked at in each call, whatever their axes: C-contiguous arrays, in which a driver sees one axis.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.types.containers import BaseTuple
from numba.extending import NativeValue, lower_builtin, models, register_model, type_callable, unbox
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from npconv.kernels.compile import from_python
from npconv.kernels.forms import DATA, Comparison, allows, fields_are_known, has_form
from npconv.kernels.lowering import INT64, RegisterTileType
from npconv.kernels.registers import RegisterTile

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# What an array that NumPy makes may have: its description is written by its own number of axes.
MOST_AXES = 64
# What is said of operands that are refused. A user's were looked at before, and told in other words what to do.
OTHER_ARRAYS = "a kernel was given other arrays than it was compiled for"
AMONG_OPERANDS = "a kernel was given a result to write that lies among what it reads"


@dataclass(frozen=True, slots=True)
class Entry:
    """The way into a driver: ``enter((job, own, operands, like))``, which refuses other operands, and a result that lies among them.

    Attributes
    ----------
    enter : callable
        What is called. `own` is what `written_down` makes of integers that begin as zeros, of counters and tally, and of scratch twice if
        there is some; operands are arrays to read and one to write, C-contiguous and of the size of elements that was said. Each is the
        same object as in `like`, and then somebody has looked at it, or it has the form of what stands there.
    job : ndarray of int64
        All that stays the same from call to call.
    head : tuple
        Where that comes from, kept alive.
    """

    enter: Callable[[tuple[Any, ...]], None]
    job: Any
    head: tuple[Any, ...]

    @classmethod
    def of(
        cls,
        driver: Callable[..., None],
        head: Sequence[Any],
        dtype: np.dtype[Any],
        reads: int,
        *,
        scratch: bool = False,
    ) -> "Entry":
        """Return the way into a driver that is given `head`, so many operands to read and one to write, and what is a thread's own."""
        if config.DISABLE_JIT:
            return cls(enter, written_down((driver, *head)), tuple(head))
        element = from_dtype(dtype)
        read, written = types.Array(element, 1, "C", readonly=True), types.Array(element, 1, "C")
        integers = types.Array(types.int64, 1, "C")
        own = (integers, integers, *((written, read) if scratch else ()))
        given = ArgumentsType(tuple(map(numba.typeof, head)), (*[read] * reads, written), own)
        compiled: Any = driver
        compiled.compile(given.arguments)
        code = compiled.overloads[given.arguments]
        address = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
        machine_code: Any = enter
        return cls(machine_code.compile((given,)), written_down((address, *head)), tuple(head))


def written_down(values: Sequence[Any]) -> Any:
    """Return numbers, arrays and tuples of them as compiled code takes them up; with the JIT off as they are."""
    return tuple(values) if config.DISABLE_JIT else np.array([*numbers(values)], np.int64)


def numbers(value: Any) -> Iterator[int]:
    """Yield what a value consists of: an array is its address and its size; the numbers of a tile are known to the compiler."""
    if isinstance(value, np.ndarray):
        yield from (value.ctypes.data, value.size)
    elif isinstance(value, Sequence):
        for part in value:
            yield from numbers(part)
    elif not isinstance(value, RegisterTile):
        yield value


class ArgumentsType(types.Type):
    """The type of all that a driver is given: what is in its job, operands, and what is a thread's own."""

    def __init__(self, job: Sequence[types.Type], operands: Sequence[types.Type], own: Sequence[types.Type]) -> None:
        self.job, self.operands, self.own = job, operands, own
        self.arguments = (*job, *operands, *own)
        super().__init__(f"Arguments({job}, {operands}, {own})")


@register_model(ArgumentsType)
class ArgumentsModel(models.StructModel):
    """Where the job and a thread's own are written down, and of each operand where it begins and how many elements it has."""

    def __init__(self, manager, typ):
        places = [f"{part}{i}" for i in range(len(typ.operands)) for part in ("address", "size")]
        super().__init__(manager, typ, [(name, types.intp) for name in ("job", "own", *places)])


@unbox(ArgumentsType)
def unbox_arguments(typ, passed, c):
    given = cgutils.create_struct_proxy(typ)(c.context, c.builder)
    job, own, operands, likes = (c.pyapi.tuple_getitem(passed, i) for i in range(4))
    compared = Comparison(c)
    for i in range(len(typ.operands)):
        operand, like = (c.pyapi.tuple_getitem(items, i) for items in (operands, likes))
        if fields_are_known():
            with c.builder.if_then(c.builder.not_(compared.same(operand, like))):
                compared.form(operand, like)
                compared.allows(operand, like)
        else:
            compared.demand(compared.same(operand, like))
    fit = compared.outcome()
    # What was written down is ours alone, and never something else.
    given.job, given.own = (
        compared.field(numbers, DATA, INT64) if fields_are_known() else place(c, numbers, types.int64)[0]
        for numbers in (job, own)
    )
    other, spans = c.builder.not_(fit), []
    for i, operand in enumerate(typ.operands):
        address, size, other_array = place(c, c.pyapi.tuple_getitem(operands, i), operand.dtype)
        setattr(given, f"address{i}", address)
        setattr(given, f"size{i}", size)
        spans.append((address, c.builder.add(address, c.builder.mul(size, bytes_of(operand.dtype)))))
        other = c.builder.or_(other, other_array)
    among = cgutils.false_bit
    *read, (begin, end) = spans
    for first, last in read:
        meet = c.builder.and_(c.builder.icmp_unsigned("<", begin, last), c.builder.icmp_unsigned("<", first, end))
        among = c.builder.or_(among, meet)
    for wrong, kind, text in (other, "TypeError", OTHER_ARRAYS), (among, "ValueError", AMONG_OPERANDS):
        with c.builder.if_then(wrong, likely=False):
            c.pyapi.err_set_string(f"PyExc_{kind}", text)
    return NativeValue(given._getvalue(), is_error=c.builder.or_(other, among))


def bytes_of(dtype):
    return ir.Constant(INT64, dtype.bitwidth // 8)


def place(c, operand, dtype):
    array, not_array = described(c, operand)
    other_size = c.builder.icmp_signed("!=", array.itemsize, bytes_of(dtype))
    return c.builder.ptrtoint(array.data, INT64), array.nitems, c.builder.or_(not_array, other_size)


def described(c, operand):
    """Emit what describes an array as Numba sees it, and says whether it is none."""
    array = c.context.make_array(types.Array(types.uint8, MOST_AXES, "C"))(c.context, c.builder)
    error = c.pyapi.numba_array_adaptor(operand, c.builder.bitcast(array._getpointer(), c.pyapi.voidptr))
    return array, cgutils.is_not_null(c.builder, error)


class Taken:
    """Emits what takes up the values that were written down at an address, one after another."""

    def __init__(self, context, builder, address):
        self.context, self.builder = context, builder
        self.numbers = builder.inttoptr(address, INT64.as_pointer())
        self.position = 0

    def number(self):
        """Take the next number."""
        place = self.builder.gep(self.numbers, [ir.Constant(INT64, self.position)])
        self.position += 1
        return self.builder.load(place)

    def value(self, typ):
        """Take the next value of a type."""
        if isinstance(typ, BaseTuple):
            return self.context.make_tuple(self.builder, typ, [self.value(part) for part in typ])
        if isinstance(typ, types.Array):
            return flat_array(self.context, self.builder, typ, self.number(), self.number())
        return self.context.get_dummy_value() if isinstance(typ, RegisterTileType) else self.number()


def flat_array(context, builder, typ, address, size):
    array = context.make_array(typ)(context, builder)
    itemsize = bytes_of(typ.dtype)
    data = builder.inttoptr(address, array.data.type)
    populate_array(array, data=data, shape=[size], strides=[itemsize], itemsize=itemsize, meminfo=None)
    return array._getvalue()


def hand_over(arguments):
    """Call the driver that a job begins with: the twin of a call by its address."""
    (driver, *head), (zeros, *own), (*read, y), likes = arguments
    for operand, like in zip((*read, y), likes, strict=True):
        if operand is not like and not (has_form(operand, like) and allows(operand, like)):
            raise TypeError(OTHER_ARRAYS)
    if any(np.shares_memory(operand, y) for operand in read):
        raise ValueError(AMONG_OPERANDS)
    views = [operand.reshape(-1) for operand in read]
    for view in views:
        view.setflags(write=False)
    zeros.fill(0)
    driver(*head, *views, y.reshape(-1), *own)


@type_callable(hand_over)
def type_hand_over(context):
    return lambda arguments: types.void


@lower_builtin(hand_over, ArgumentsType)
def emit_hand_over(context, builder, signature, args):
    typ = signature.args[0]
    given = cgutils.create_struct_proxy(typ)(context, builder, args[0])
    job, own = (Taken(context, builder, address) for address in (given.job, given.own))
    zeros = builder.inttoptr(own.number(), INT64.as_pointer())
    with cgutils.for_range(builder, own.number()) as loop:
        builder.store(ir.Constant(INT64, 0), builder.gep(zeros, [loop.index]))
    function = context.call_conv.get_function_type(types.none, typ.arguments)
    code = builder.inttoptr(job.number(), function.as_pointer())
    operands = [
        flat_array(context, builder, operand, getattr(given, f"address{i}"), getattr(given, f"size{i}"))
        for i, operand in enumerate(typ.operands)
    ]
    values = [*map(job.value, typ.job), *operands, *map(own.value, typ.own)]
    status, _ = context.call_conv.call_function(builder, code, types.none, typ.arguments, values)
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return context.get_dummy_value()


@from_python
def enter(arguments):
    """Enter a driver: what Python calls."""
    hand_over(arguments)
