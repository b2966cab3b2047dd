"""Whether arrays hold what they held: how Python asks it of compiled code, all arrays at once, and what that asks the C library."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import NativeValue, lower_builtin, models, register_model, type_callable, unbox

from npconv.kernels.compile import from_python
from npconv.kernels.entry import described
from npconv.kernels.lowering import INT32, INT64

Arrays: TypeAlias = Sequence[np.ndarray[Any, np.dtype[Any]]]

BYTES = ir.IntType(8).as_pointer()


@functools.cache
def comparison(number: int) -> Callable[[tuple[Arrays, Arrays]], bool]:
    """Return what tells of ``(arrays, copies)``, so many of each, whether the bytes of each array are those of its copy.

    Both are C-contiguous. An array of which there is an empty copy is as good as any.
    """
    compiled: Any = same_bytes
    entry: Callable[[tuple[Arrays, Arrays]], bool] = (
        same_bytes if config.DISABLE_JIT else compiled.compile((PairsType(number),))
    )
    return entry


def alike(pairs: tuple[Arrays, Arrays]) -> bool:
    """Return whether arrays have the bytes of their copies."""
    return all(array.tobytes() == copy.tobytes() for array, copy in zip(*pairs, strict=True) if copy.size)


class PairsType(types.Type):
    """The type of so many arrays and as many copies."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"Pairs({number})")


@register_model(PairsType)
class PairsModel(models.StructModel):
    """Of each pair where the array and where its copy begins, and the bytes of the copy."""

    def __init__(self, manager, typ):
        places = [f"{part}{i}" for i in range(typ.number) for part in ("array", "copy", "size")]
        super().__init__(manager, typ, [(name, types.intp) for name in places])


@unbox(PairsType)
def unbox_pairs(typ, passed, c):
    pairs = cgutils.create_struct_proxy(typ)(c.context, c.builder)
    arrays, copies = (c.pyapi.tuple_getitem(passed, i) for i in range(2))
    wrong = cgutils.false_bit
    for i in range(typ.number):
        array, not_array = described(c, c.pyapi.tuple_getitem(arrays, i))
        copy, not_copy = described(c, c.pyapi.tuple_getitem(copies, i))
        setattr(pairs, f"array{i}", c.builder.ptrtoint(array.data, INT64))
        setattr(pairs, f"copy{i}", c.builder.ptrtoint(copy.data, INT64))
        setattr(pairs, f"size{i}", c.builder.mul(copy.nitems, copy.itemsize))
        wrong = c.builder.or_(wrong, c.builder.or_(not_array, not_copy))
    with c.builder.if_then(wrong, likely=False):
        c.pyapi.err_set_string("PyExc_TypeError", "only arrays are compared")
    return NativeValue(pairs._getvalue(), is_error=wrong)


@type_callable(alike)
def type_alike(context):
    return lambda pairs: types.boolean


@lower_builtin(alike, PairsType)
def emit_alike(context, builder, signature, args):
    typ = signature.args[0]
    pairs = cgutils.create_struct_proxy(typ)(context, builder, args[0])
    memcmp = cgutils.get_or_insert_function(builder.module, ir.FunctionType(INT32, [BYTES, BYTES, INT64]), "memcmp")
    differ = ir.Constant(INT32, 0)
    for i in range(typ.number):
        array, copy = (builder.inttoptr(getattr(pairs, f"{part}{i}"), BYTES) for part in ("array", "copy"))
        differ = builder.or_(differ, builder.call(memcmp, [array, copy, getattr(pairs, f"size{i}")]))
    return builder.icmp_signed("==", differ, ir.Constant(INT32, 0))


@from_python
def same_bytes(pairs):
    """Return whether arrays have the bytes of their copies: what Python calls."""
    return alike(pairs)
