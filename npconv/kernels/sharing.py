"""What threads need to share work without a lock: counters from which they claim it, and a look at a number that another writes.

Each operation is here as plain Python, its twin, and as the LLVM that it becomes.
"""

import ctypes
import os
import platform
import threading
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature

from npconv.kernels.lowering import INT32, INT64, element_pointer, intrinsic, lowers

# Machines whose instruction for a pause LLVM gives us by name.
INTEL = ("x86_64", "amd64", "i386", "i686")

_claiming = threading.Lock()


def claim(counters: np.ndarray[Any, np.dtype[Any]], i: int) -> int:
    """Add one to `counters[i]` and return what it was: how threads share out units of work, each taken once.

    Whoever sees the new number sees all that was written before it.
    """
    with _claiming:
        counters[i] += 1
        return int(counters[i]) - 1


def peek(address: int) -> int:
    """Return the 64-bit integer at an address as it is now, whoever wrote it, and with it all that was written before it."""
    return ctypes.c_int64.from_address(int(address)).value


def pause() -> None:
    """Do nothing for some cycles, between one look and the next."""
    time.sleep(0)


def give_way() -> None:
    """Let other threads of this CPU run, if there are any: what is waited for may be one of them."""
    time.sleep(0)


@lowers(claim, lambda counters, i: types.intp(counters, types.intp))
def emit_claim(context, builder, signature, args):
    pointer = element_pointer(context, builder, signature.args[0], *args)
    return builder.atomic_rmw("add", pointer, ir.Constant(INT64, 1), "acq_rel")


@lowers(peek, lambda address: types.intp(types.intp))
def emit_peek(context, builder, signature, args):
    return builder.load_atomic(builder.inttoptr(args[0], INT64.as_pointer()), "acquire", 8)


@lowers(pause, lambda: signature(types.void))
def emit_pause(context, builder, signature, args):
    if platform.machine().lower() in INTEL:
        intrinsic(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
    return context.get_dummy_value()


@lowers(give_way, lambda: signature(types.void))
def emit_give_way(context, builder, signature, args):
    if hasattr(os, "sched_yield"):
        function = ir.FunctionType(INT32, [])
        builder.call(cgutils.get_or_insert_function(builder.module, function, "sched_yield"), [])
    return context.get_dummy_value()
