"""The form of an array: its shape, strides, type of elements and what may be done with it; how compiled code reads it.

NumPy's C interface describes an array in a structure whose fields stay where they are. To read them there takes a moment; to ask for them
in Python takes longer than a small layer, and longer still after a kernel that filled the caches.
"""

import ctypes
import functools
import math
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numpy.lib.stride_tricks import as_strided

from npconv.kernels.lowering import INT32, INT64

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

BYTES = ir.IntType(8).as_pointer()
# Where an object has its type, and an array its memory, number of axes, extents, strides, type of elements and flags: PyArrayObject_fields.
TYPE, DATA, AXES, EXTENTS, STRIDES, ELEMENTS, FLAGS = 8, 16, 24, 32, 40, 56, 64
# What an array has to be if one of its form is: aligned, writable.
ALIGNED, WRITABLE = 0x100, 0x400
EXTENT_BYTES = 8


def form(shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array whose elements are not there, for others to be compared with."""
    return as_strided(np.empty(1, dtype), shape, strides)


def c_form(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the same for a C-contiguous array."""
    return form(shape, tuple(dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))), dtype)


def has_form(array: Any, like: Any) -> bool:
    """Return whether two arrays have the same shape, type of elements and, on axes of more than one, strides."""
    return (
        type(array) is type(like) is np.ndarray
        and array.dtype is like.dtype
        and array.shape == like.shape
        and all(
            one == other
            for extent, one, other in zip(array.shape, array.strides, like.strides, strict=True)
            if extent != 1
        )
    )


def allows(array: Array, like: Array) -> bool:
    """Return whether an array is aligned, and may be written to, if another is."""
    return (array.flags.aligned or not like.flags.aligned) and (array.flags.writeable or not like.flags.writeable)


@functools.cache
def fields_are_known() -> bool:
    """Return whether an array's description lies where this module looks for it, as it does in CPython with its lock."""
    array = np.zeros((2, 3), np.int16)[:, 1:]
    read_only = array.view()
    read_only.flags.writeable = False

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
        and number(at + FLAGS, ctypes.c_int) & (ALIGNED | WRITABLE) == ALIGNED | WRITABLE
        and not number(id(read_only) + FLAGS, ctypes.c_int) & WRITABLE
    )


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

    def form(self, array, like):
        """Go on where an array has the form of another; see `has_form`."""
        for offset, kind in (TYPE, INT64), (AXES, INT32), (ELEMENTS, INT64):
            self.demand(self.same(self.field(array, offset, kind), self.field(like, offset, kind)))
        alike = cgutils.alloca_once_value(self.builder, cgutils.true_bit)
        extents, strides = (
            [self.field(item, offset, INT64.as_pointer()) for item in (array, like)] for offset in (EXTENTS, STRIDES)
        )
        with cgutils.for_range(self.builder, self.builder.zext(self.field(like, AXES, INT32), INT64)) as axis:
            (extent, expected), of_strides = (
                [self.builder.load(self.builder.gep(place, [axis.index])) for place in places]
                for places in (extents, strides)
            )
            steps = self.builder.or_(self.same(extent, ir.Constant(INT64, 1)), self.same(*of_strides))
            fits = self.builder.and_(self.same(extent, expected), steps)
            self.builder.store(self.builder.and_(self.builder.load(alike), fits), alike)
        self.demand(self.builder.load(alike))

    def allows(self, array, like):
        """Go on where an array is aligned, and may be written to, if another is."""
        flags, demanded = (self.field(item, FLAGS, INT32) for item in (array, like))
        demanded = self.builder.and_(demanded, ir.Constant(INT32, ALIGNED | WRITABLE))
        self.demand(self.same(self.builder.and_(flags, demanded), demanded))

    def bytes(self, array, like, size):
        """Go on where as many bytes are those of another array."""
        places = [self.field(item, DATA, BYTES) for item in (array, like)]
        self.demand(self.same(self.builder.call(self.memcmp, [*places, size]), ir.Constant(INT32, 0)))

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
