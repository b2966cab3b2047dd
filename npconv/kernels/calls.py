"""Calling a tile kernel by its address, so that what drives it is compiled once, whatever the tile.

A driver packs rows, walks bands and stores edges; the innermost loop is all that depends on the register tile. So a driver is given
tile kernels as ``(rows, vectors, code)`` and hands work to them with `run_tile`.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numba.core import cgutils, config, types
from numba.core.types.misc import CPointer
from numba.extending import lower_builtin, type_callable
from numba.np.numpy_support import from_dtype

from npconv.kernels.lowering import RegisterTileType
from npconv.kernels.registers import RegisterTile


class TileKernel:
    """A function of a register tile, made for one tile and one type of elements; compiled when its code is first asked for.

    Parameters
    ----------
    function : callable
        Called as ``function(tile, w, w0, x, x0, offsets, first, last, real, r0, ahead, bias, b0, y, y0, pitch, later, soon, soon_step,
        tally)``.
    tile : RegisterTile
        The tile.
    dtype : numpy.dtype
        Type of w, x, bias, y and later.
    """

    def __init__(self, function: Callable[..., None], tile: RegisterTile, dtype: np.dtype[Any]) -> None:
        self.function = function
        self.tile = tile
        self.dtype = dtype

    @cached_property
    def for_driver(self) -> tuple[int, int, Any]:
        """Rows, vectors, and what `run_tile` calls: the address of the machine code, with the JIT off the tile kernel itself."""
        return self.tile.rows, self.tile.vectors, self if config.DISABLE_JIT else self._address()

    def _address(self) -> int:
        signature = tile_kernel_signature(RegisterTileType.of(self.tile), from_dtype(self.dtype))
        compiled: Any = self.function
        compiled.compile(signature)
        code = compiled.overloads[signature]
        address: int = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
        return address


def tile_kernel_signature(tile: types.Type, element: types.Type) -> tuple[types.Type, ...]:
    """Return the types of a tile kernel's arguments: arrays as bare pointers, since a call passes seven numbers for each array."""
    i, elements, integers = types.intp, CPointer(element), CPointer(types.intp)
    return (
        tile,
        elements,
        i,
        elements,
        i,
        integers,
        i,
        i,
        integers,
        i,
        i,
        elements,
        i,
        elements,
        i,
        i,
        elements,
        i,
        i,
        integers,
    )


def run_tile(code, *arguments):
    """Call a tile kernel: the twin of an indirect call."""
    code.function(code.tile, *arguments)


@type_callable(run_tile)
def type_run_tile(context):
    def typed(
        code, w, w0, x, x0, offsets, first, last, real, r0, ahead, bias, b0, y, y0, pitch, later, soon, soon_step, tally
    ):
        i = types.intp
        return types.void(i, w, i, x, i, offsets, i, i, real, i, i, bias, i, y, i, i, later, i, i, tally)

    return typed


@lower_builtin(run_tile, types.Integer, *[types.Any] * 19)
def emit_run_tile(context, builder, signature, args):
    # Which tile it is no longer matters: every tile is passed as nothing.
    expected = tile_kernel_signature(RegisterTileType(1, 1, 1, 1, 1, 0, 1), signature.args[1].dtype)
    passed = [context.get_dummy_value()]
    for typ, value in zip(signature.args[1:], args[1:], strict=True):
        passed.append(context.make_array(typ)(context, builder, value).data if isinstance(typ, types.Array) else value)
    code = builder.inttoptr(args[0], context.call_conv.get_function_type(types.none, expected).as_pointer())
    status, _ = context.call_conv.call_function(builder, code, types.none, expected, passed)
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return context.get_dummy_value()
