"""Whether a call is given what a call before was given: how Python asks it of compiled code, for all arguments at once.

After a kernel that filled the caches every step of Python is late. Compiled code reads the form of an array where NumPy has it, and leaves
the bytes to the C library.
"""

import functools
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import NativeValue, lower_builtin, models, register_model, type_callable, unbox

from npconv.kernels.compile import from_python
from npconv.kernels.forms import DATA, Comparison, fields_are_known, has_form
from npconv.kernels.lowering import INT64

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# Arrays or None as they are given and as they were kept, of each how many bytes are compared; options as given and as kept.
Call: TypeAlias = tuple[Sequence[Any], Sequence[Any], Array, Sequence[Any], Sequence[Any]]


@functools.cache
def comparison(arrays: int, options: int) -> Callable[[Call], bool]:
    """Return what tells of a call of so many arrays and options whether it is the one that was kept.

    An option is what it was if it is the same object; so is None in place of an array. An array is what it was if it has the form of the
    one that was kept, and as many of its first bytes as are compared.
    """
    compiled: Any = same_call
    if not fields_are_known():
        return alike
    entry: Callable[[Call], bool] = same_call if config.DISABLE_JIT else compiled.compile((CallType(arrays, options),))
    return entry


def alike(call: Call) -> bool:
    """Return whether a call is the one that was kept."""
    given, kept, sizes, options, kept_options = call
    if len(given) != len(kept) or len(options) != len(kept_options) or not all(map(is_, options, kept_options)):
        return False
    for array, before, size in zip(given, kept, sizes, strict=True):
        if array is before:
            continue
        if not has_form(array, before) or (size and array.tobytes() != before.tobytes()):
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
            compared.form(array, before)
            compared.bytes(array, before, size)
    return NativeValue(compared.outcome())


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
