"""Memory for arrays: whether there is room, and where an array begins."""

import ctypes
import functools
import math
import os
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DType = np.dtype[Any]
Shape = tuple[int, ...]

# Bytes of a cache line, and of the widest vector: a vector that lies in two lines is read as two.
LINE_BYTES = 64
# Bytes of an array that is read or written for longer than it takes to find out where it begins.
WORTH_ALIGNING = 32 * 1024


def check_room(operation: str, what: str, shape: Shape, dtype: DType) -> None:
    """Raise an error if this machine cannot hold an array; a system that overcommits memory would kill us later.

    Parameters
    ----------
    operation : str
        Public name of the operation, for error texts.
    what : str
        What the array is, for error texts.
    shape : tuple of int
        Its shape, of Python integers without a limit.
    dtype : dtype
        Its type.

    Raises
    ------
    MemoryError
        If the array would exceed what NumPy can address or what this machine has.

    Examples
    --------
    >>> check_room("conv2d", "the result", (1, 2, 3, 3), np.dtype("float32"))
    """
    size = math.prod(shape) * dtype.itemsize
    # NumPy multiplies the extents of an empty array too, leaving out the zeros.
    extents = size or math.prod(extent for extent in shape if extent) * dtype.itemsize
    if extents > sys.maxsize:
        limit = f"its extents span {extents}, and NumPy addresses {sys.maxsize} at most"
        raise _no_room(operation, what, shape, dtype, limit)
    if size > _physical_memory():
        raise _no_room(operation, what, shape, dtype, f"this machine has {_physical_memory()} bytes of memory")


def allocated(operation: str, what: str, shape: Shape, dtype: DType) -> Array:
    """Return an uninitialised array, or say why there is no room for it."""
    # There is room for little, and nothing to find out.
    if not 0 < math.prod(shape) * dtype.itemsize < WORTH_ALIGNING:
        check_room(operation, what, shape, dtype)
    try:
        return empty(shape, dtype)
    except MemoryError:
        raise _no_room(operation, what, shape, dtype, "the system has no such block to give") from None


def empty(shape: Shape, dtype: DType) -> Array:
    """Return an uninitialised array; from `WORTH_ALIGNING` bytes on it begins on a cache line, below where NumPy puts it, as objects do."""
    small = math.prod(shape) * dtype.itemsize < WORTH_ALIGNING
    return np.empty(shape, dtype) if small or dtype.hasobject else aligned(shape, dtype)


def aligned(shape: Shape, dtype: DType) -> Array:
    """Return an uninitialised array that begins on a cache line and shares none with other memory."""
    room = np.empty(math.prod(shape) * dtype.itemsize + 2 * LINE_BYTES, np.uint8)
    return np.ndarray(shape, dtype, room, -address_of(room) % LINE_BYTES)


def address_of(array: Array) -> int:
    """Return where the elements of an array begin, sooner than ``array.ctypes.data`` does if it is contiguous and may be written to."""
    buffer: Any = array
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    except (TypeError, ValueError):
        return array.ctypes.data


def _no_room(operation: str, what: str, shape: Shape, dtype: DType, limit: str) -> MemoryError:
    """Return the error for an array that does not fit."""
    return MemoryError(
        f"{operation}: {what} of shape {shape} takes {math.prod(shape) * dtype.itemsize} bytes, but {limit}."
        " Did you mean less padding, a larger stride, or parts of the batch at a time?"
        f"\n        ({shape} {dtype})"
    )


@functools.cache
def _physical_memory() -> int:
    """Return the bytes of memory of this machine, or what can be addressed if the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize
