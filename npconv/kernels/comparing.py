"""Whether a call is given what a call before was given: how Python asks it of compiled code, for all arguments at once.

After a kernel that filled the caches every step of Python is late. Compiled code reads an array's description where NumPy's C interface
has it, in a structure whose fields stay where they are, and leaves the bytes to the C library.
"""

import ctypes
import functools
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import NativeValue, lower_builtin, models, register_model, type_callable, unbox

from npconv.kernels.compile import from_python
from npconv.kernels.lowering import INT32, INT64

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# Arrays or None as they are given and as they were kept, of each how many bytes are compared; options as given and as kept.
Call: TypeAlias = tuple[Sequence[Array | None], Sequence[Array | None], Array, Sequence[Any], Sequence[Any]]

BYTES = ir.IntType(8).as_pointer()
# Where an object has its type, and an array its memory, number of axes, extents, strides and type of elements: PyArrayObject_fields.
TYPE, DATA, AXES, EXTENTS, STRIDES, ELEMENTS = 8, 16, 24, 32, 40, 56
EXTENT_BYTES = 8


@functools.cache
def comparison(arrays: int, options: int) -> Callable[[Call], bool]:
    """Return what tells of a call of so many arrays and options whether it is the one that was kept.

    An option is what it was if it is the same object; so is None in place of an array. An array is what it was if it has the form of the
    one that was kept, and as many of its first bytes as are compared.
    """
    compiled: Any = same_call
    if config.DISABLE_JIT or not fields_are_known():
        return alike
    entry: Callable[[Call], bool] = compiled.compile((CallType(arrays, options),))
    return entry


def fields_are_known() -> bool:
    """Return whether an array's description lies where this module looks for it, as it does in CPython with its lock."""
    array = np.zeros((2, 3), np.int16)[:, 1:]

    def number(place: int, kind: Any = ctypes.c_ssize_t) -> int:
        value: int = kind.from_address(place).value
        return value

    at = id(array)
    extents, strides = (number(at + field) for field in (EXTENTS, STRIDES))
    return (
        number(at + TYPE) == id(np.ndarray)
        and number(at + DATA) == array.ctypes.data
        and number(at + AXES, ctypes.c_int) == array.ndim
        and number(at + ELEMENTS) == id(array.dtype)
        and [number(extents + EXTENT_BYTES * axis) for axis in range(2)] == [*array.shape]
        and [number(strides + EXTENT_BYTES * axis) for axis in range(2)] == [*array.strides]
    )


def alike(call: Call) -> bool:
    """Return whether a call is the one that was kept."""
    given, kept, sizes, options, kept_options = call
    if len(given) != len(kept) or len(options) != len(kept_options) or not all(map(is_, options, kept_options)):
        return False
    for array, before, size in zip(given, kept, sizes, strict=True):
        if array is before:
            continue
        if array is None or before is None or type(array) is not type(before):
            return False
        if (array.shape, array.strides) != (before.shape, before.strides) or array.dtype is not before.dtype:
            return False
        if size and array.tobytes() != before.tobytes():
            return False
    return True


class CallType(types.Type):
    """The type of a call of so many arrays and options, beside what was kept of one."""

    def __init__(self, arrays: int, options: int) -> None:
        self.arrays, self.options = arrays, options
        super().__init__(f"Call({arrays}, {options})")


@register_model(CallType)
class CallModel(models.PrimitiveModel):
    """Whether the two are alike: that is found out as the call is taken up."""

    def __init__(self, manager, typ):
        super().__init__(manager, typ, ir.IntType(1))


@unbox(CallType)
def unbox_call(typ, passed, c):
    compared = Comparison(c)
    given, kept, sizes, options, kept_options = (c.pyapi.tuple_getitem(passed, i) for i in range(5))
    for items, number in (given, typ.arrays), (kept, typ.arrays), (options, typ.options), (kept_options, typ.options):
        compared.demand(c.builder.icmp_signed("==", c.pyapi.tuple_size(items), ir.Constant(INT64, number)))
    for i in range(typ.options):
        compared.demand(compared.same(*(c.pyapi.tuple_getitem(items, i) for items in (options, kept_options))))
    numbers = compared.field(sizes, DATA, INT64.as_pointer())
    for i in range(typ.arrays):
        array, before = (c.pyapi.tuple_getitem(items, i) for items in (given, kept))
        with c.builder.if_then(c.builder.not_(compared.same(array, before))):
            size = c.builder.load(c.builder.gep(numbers, [ir.Constant(INT64, i)]))
            compared.form_and_bytes(array, before, size)
    return NativeValue(compared.outcome())


class Comparison:
    """Emits what compares two things after another, and ends at the first difference."""

    def __init__(self, c):
        self.builder = c.builder
        self.differ = c.builder.append_basic_block("differ")
        self.memcmp = cgutils.get_or_insert_function(
            c.builder.module, ir.FunctionType(INT32, [BYTES, BYTES, INT64]), "memcmp"
        )

    def demand(self, condition):
        """Go on where a condition holds."""
        further = self.builder.append_basic_block("alike")
        self.builder.cbranch(condition, further, self.differ)
        self.builder.position_at_end(further)

    def same(self, one, other):
        """Emit whether two pointers or numbers are equal."""
        if isinstance(one.type, ir.PointerType):
            one, other = (self.builder.ptrtoint(pointer, INT64) for pointer in (one, other))
        return self.builder.icmp_signed("==", one, other)

    def field(self, item, offset, kind):
        """Load a field of an object."""
        place = self.builder.gep(self.builder.bitcast(item, BYTES), [ir.Constant(INT64, offset)])
        return self.builder.load(self.builder.bitcast(place, kind.as_pointer()))

    def form_and_bytes(self, array, kept, size):
        """Go on where an array has the form of another, and as many of its bytes."""
        for offset, kind in (TYPE, INT64), (AXES, INT32), (ELEMENTS, INT64):
            self.demand(self.same(self.field(array, offset, kind), self.field(kept, offset, kind)))
        axes = self.builder.zext(self.field(kept, AXES, INT32), INT64)
        described = self.builder.mul(axes, ir.Constant(INT64, EXTENT_BYTES))
        for offset, number in (EXTENTS, described), (STRIDES, described), (DATA, size):
            places = [self.field(item, offset, BYTES) for item in (array, kept)]
            self.demand(self.same(self.builder.call(self.memcmp, [*places, number]), ir.Constant(INT32, 0)))

    def outcome(self):
        """Return whether nothing differed."""
        end, last = self.builder.append_basic_block("end"), self.builder.block
        self.builder.branch(end)
        with self.builder.goto_block(self.differ):
            self.builder.branch(end)
        self.builder.position_at_end(end)
        result = self.builder.phi(ir.IntType(1))
        result.add_incoming(cgutils.true_bit, last)
        result.add_incoming(cgutils.false_bit, self.differ)
        return result


def found_alike(call):
    """Return whether a call is the one that was kept: the twin of what was found out as it was taken up."""
    return alike(call)


@type_callable(found_alike)
def type_found_alike(context):
    return lambda call: types.boolean


@lower_builtin(found_alike, CallType)
def emit_found_alike(context, builder, signature, args):
    return args[0]


@from_python
def same_call(call):
    """Return whether a call is the one that was kept: what Python calls."""
    return found_alike(call)
