"""Which arrays are taken and which are refused: operands, result types, bias and `out`, each refusal with its fix.

Only `in_order` copies an array (and `as_bias`, where it casts). So a call that turns out to be wrong has cost no memory,
and `as_out` sees where the caller's data really lie. Until `in_order`, an operand has any strides and either byte order.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from npconv.memory import Array, DType, Shape, allocated
from npconv.reuse import new_result

FLOATS = tuple(np.dtype(name) for name in ("float16", "float32", "float64"))
INTEGERS = tuple(np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"))

_ACCEPTED = frozenset(FLOATS + INTEGERS)
# Leaves of nested lists that hide no mask.
_PLAIN = {bool, int, float, complex, str, bytes}
# Why a kind of dtype is refused, and the likely fix.
_REFUSED = {
    "b": ("truth values do not add up", "np.asarray({name}, np.int8)"),
    "u": ("integers are summed in int64, which ends at 2**63 - 1", "np.asarray({name}, np.int64)"),
    "f": ("float64 is the widest type that is summed", "np.asarray({name}, np.float64)"),
    "c": ("only real numbers are summed", "two calls, on {name}.real and on {name}.imag"),
    "O": ("Python objects have no compiled sums", "np.asarray({name}, np.float64), or npconv.reference.conv2d"),
    "M": ("dates have no products", "np.asarray({name}, np.int64)"),
    "m": ("durations have no products", "np.asarray({name}, np.int64)"),
    **dict.fromkeys("SUT", ("text has no products", "np.asarray({name}, np.float64)")),
    "V": ("a record is not a number", "one of its fields, such as {name}['red']"),
}
_FOREIGN = ("it is not one of NumPy's own types", "np.asarray({name}, np.float32)")


def as_array(operation: str, name: str, value: object) -> Array:
    """Return an operand as an ndarray of a type that can be convolved, without copying one that exists.

    Parameters
    ----------
    operation : str
        Public name of the operation, for error texts.
    name : str
        Public name of the operand, for error texts.
    value : array_like
        Whatever ``np.asarray`` takes; an object with ``__dlpack__`` is taken through ``np.from_dlpack`` alone, so what
        lives on another device or records gradients is never fetched in silence.

    Returns
    -------
    ndarray
        Of float16, float32, float64, a signed integer or an unsigned one up to 32 bits. It may be read-only, have any
        strides and either byte order. Subclasses of ndarray lose their class.

    Raises
    ------
    TypeError
        If the numbers are of another type, or if a mask would be lost.
    ValueError
        If nested sequences are ragged.

    Examples
    --------
    >>> as_array("conv2d", "x", [[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    if type(value) is np.ndarray and value.dtype in _ACCEPTED:
        return value
    array = None if _holds_mask(value) else _unpacked(operation, name, value)
    # An object may also give its masked array away in __array__.
    if array is None or isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{operation}: {name} is or holds a masked array, whose mask would be lost. Did you mean {name}.filled(0)?"
            f"\n        ({name} {type(value).__name__})"
        )
    array = np.asarray(array)
    if array.dtype in _ACCEPTED or (not array.dtype.isnative and _native(array.dtype) in _ACCEPTED):
        return array
    # Types that other packages register with NumPy, bfloat16 for one, borrow the letters of its own kinds.
    reason, fix = _FOREIGN if array.dtype.isbuiltin == 2 else _REFUSED.get(array.dtype.kind, _FOREIGN)
    raise TypeError(
        f"{operation}: {name} has dtype {array.dtype}, but {reason}. Did you mean {fix.format(name=name)}?"
        f"\n        ({name} {array.shape})"
    )


def result_dtypes(operation: str, x_dtype: DType, weight_dtype: DType) -> tuple[DType, DType]:
    """Return the result's type and the type that its sums are kept in.

    Parameters
    ----------
    operation : str
        Public name of the operation, for error texts.
    x_dtype, weight_dtype : dtype
        Types that `as_array` lets pass.

    Returns
    -------
    result, accumulator : dtype
        For floats the common type of both operands, and the same again, except that float16 is summed in float32.
        For integers int64 twice. Always in this machine's byte order.

    Raises
    ------
    TypeError
        If one operand is of integers and the other of floats.

    Examples
    --------
    >>> result_dtypes("conv2d", np.dtype("float16"), np.dtype("float16"))
    (dtype('float16'), dtype('float32'))
    """
    dtypes = _result_dtypes(x_dtype, weight_dtype)
    if dtypes is not None:
        return dtypes
    name, other = ("weight", x_dtype) if x_dtype.kind == "f" else ("x", weight_dtype)
    raise TypeError(
        f"{operation}: x is {x_dtype}, but weight is {weight_dtype}; integers and floats do not mix."
        f" Did you mean {name}.astype(np.{_native(other).name})?"
        f"\n        (x {x_dtype}, weight {weight_dtype})"
    )


@functools.cache
def _result_dtypes(x_dtype: DType, weight_dtype: DType) -> tuple[DType, DType] | None:
    """Return result and accumulator, or None for a mixture; cached, as ``np.result_type`` takes a microsecond."""
    result = np.result_type(x_dtype, weight_dtype)
    if x_dtype.kind == "f" and weight_dtype.kind == "f":
        return result, np.result_type(result, np.float32)
    if x_dtype.kind == "f" or weight_dtype.kind == "f":
        return None
    return np.dtype(np.int64), np.dtype(np.int64)


def as_bias(operation: str, bias: object, O: int, dtype: DType) -> Array | None:
    """Return the bias in the result's type, or None where there is none.

    Parameters
    ----------
    operation : str
        Public name of the operation, for error texts.
    bias : array_like, shape (O,), or None
        One number per filter.
    O : int
        Filters.
    dtype : dtype
        The result's type. A float16 result rounds its bias to float16, also where sums are kept in float32.

    Returns
    -------
    ndarray, shape (O,), or None
        The caller's own array if it has the type already.

    Raises
    ------
    TypeError
        If `as_array` refuses it, or if the cast would turn floats into integers.
    ValueError
        If its shape is not ``(O,)``.

    Examples
    --------
    >>> as_bias("conv2d", [1, 2], 2, np.dtype("float32"))
    array([1., 2.], dtype=float32)
    """
    if bias is None:
        return None
    array = as_array(operation, "bias", bias)
    if array.shape != (O,):
        fix = f"bias.reshape({O})" if array.size == O else f"a bias of shape ({O},)"
        raise ValueError(
            f"{operation}: bias has shape {array.shape}, but weight has {O} filters. Did you mean {fix}?"
            f"\n        (bias {array.shape})"
        )
    if array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(
            f"{operation}: bias is {array.dtype}, but the result is {dtype}, which would cut off its fractions."
            f" Did you mean bias.astype(np.{dtype.name})?"
            f"\n        (bias {array.shape})"
        )
    return array.astype(dtype)


def as_out(operation: str, out: object, shape: Shape, dtype: DType, inputs: Iterable[Array | None]) -> Array:
    """Return the array that takes the result: a new one, or the caller's `out` if it can.

    Parameters
    ----------
    operation : str
        Public name of the operation, for error texts.
    out : ndarray or None
        Where the caller wants the result.
    shape : tuple of int
        The result's shape.
    dtype : dtype
        The result's type.
    inputs : iterable of (ndarray or None)
        Operands as `as_array` returned them: `out` must not share memory with any.

    Returns
    -------
    ndarray
        `out` itself, or an uninitialised array; C-contiguous, aligned, writable, in this machine's byte order.

    Raises
    ------
    MemoryError
        If a new array would exceed what NumPy can address or what this machine has.
    TypeError
        If `out` is not an ndarray (or memmap) of the result's type.
    ValueError
        If `out` has another shape or layout, is read-only or overlaps an input.

    Examples
    --------
    >>> as_out("conv2d", None, (1, 2, 3, 3), np.dtype("float32"), ()).shape
    (1, 2, 3, 3)
    """
    if out is None:
        return new_result(operation, "the result", shape, _native(dtype))
    # What is nearly always given is seen at once: a small layer takes less time than its checks.
    if (
        type(out) is np.ndarray
        and out.dtype == dtype
        and out.shape == shape
        and out.flags.carray
        and _shared(out, inputs) is None
    ):
        return out
    dtype = _native(dtype)
    # A subclass may carry a mask or a unit that would be wrong afterwards; its plain view is the caller's to make.
    if type(out) is not np.ndarray and type(out) is not np.memmap:
        fix = "out.view(np.ndarray)" if isinstance(out, np.ndarray) else f"out=np.empty({shape}, np.{dtype.name})"
        raise TypeError(
            f"{operation}: out must be a plain numpy.ndarray, but it is a {type(out).__name__}. Did you mean {fix}?"
            f"\n        (out {type(out).__module__}.{type(out).__qualname__})"
        )
    array: Array = out
    kind: type[TypeError | ValueError] = ValueError
    if array.shape != shape:
        fault = f"has shape {array.shape}, but the result has shape {shape}"
    elif array.dtype != dtype:
        order = " in the other byte order" if _native(array.dtype) == dtype else ""
        kind, fault = TypeError, f"has dtype {array.dtype}{order}, but the result is {dtype}"
    elif not array.flags.c_contiguous:
        strides = tuple(dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        fault = f"has strides {array.strides}, but C-contiguous are {strides}"
    elif not array.flags.aligned:
        fault = f"lies at address {array.ctypes.data}, which {dtype.alignment} does not divide"
    elif not array.flags.writeable:
        fault = "is read-only, but the result is written to it"
    elif (operand := _shared(array, inputs)) is not None:
        fault = f"of shape {shape} overlaps an input of shape {operand.shape}"
    else:
        return array
    raise kind(
        f"{operation}: out {fault}. Did you mean out=np.empty({shape}, np.{dtype.name})?"
        f"\n        (out {array.shape} {array.dtype})"
    )


def _shared(out: Array, inputs: Iterable[Array | None]) -> Array | None:
    """Return an operand that shares memory with `out`, or None."""
    for operand in inputs:
        # Exact, not by bounds alone: `out` may lie in the gaps of an input. Bounds that part answer at once.
        if operand is not None and np.shares_memory(out, operand):
            return operand
    return None


def in_order(array: Array, dtype: DType, operation: str = "npconv") -> Array:
    """Return an array whose elements lie as kernels take them: in C order, aligned, in native bytes.

    Parameters
    ----------
    array : ndarray
        Any strides, either byte order; it is never written.
    dtype : dtype
        Type of the elements that the kernel reads.
    operation : str, default "npconv"
        Public name of the operation, for error texts.

    Returns
    -------
    ndarray
        The array itself where that is possible, else a copy.

    Raises
    ------
    MemoryError
        If the copy would exceed what NumPy can address or what this machine has.

    Examples
    --------
    >>> in_order(np.array([[1, 2], [3, 4]]).T, np.dtype("float64")).ravel()
    array([1., 3., 2., 4.])
    """
    flags = array.flags
    # What is nearly always given is seen at once.
    if flags.carray and array.dtype is dtype and dtype.isnative:
        return array
    if array.dtype == dtype and dtype.isnative and flags.c_contiguous and flags.aligned:
        return array
    copy = allocated(operation, "a contiguous copy of an input", array.shape, _native(dtype))
    np.copyto(copy, array)
    return copy


def _holds_mask(value: object, depth: int = 64) -> bool:
    """Return whether a value is a masked array, or nested sequences around one, whose mask NumPy would not read."""
    if isinstance(value, Sequence) and not isinstance(value, memoryview):
        # The set spares a call per number: rows are all alike. A list may hold itself; NumPy takes 64 levels.
        return depth > 0 and not set(map(type, value)) <= _PLAIN and any(_holds_mask(part, depth - 1) for part in value)
    return isinstance(value, np.ma.MaskedArray)


def _unpacked(operation: str, name: str, value: Any) -> Array:
    """Return an operand as NumPy reads it, of any type and class."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray) or not hasattr(value, "__dlpack__"):
        try:
            return np.asanyarray(value)
        except (TypeError, ValueError, RuntimeError) as reason:
            error = ValueError if isinstance(reason, ValueError) else TypeError
            raise error(
                f"{operation}: {name} is a {kind} that does not make an array: {str(reason).rstrip('.')}."
                f" Did you mean np.asarray({name}), of numbers in rows of one length?"
                f"\n        ({name} {type(value).__module__}.{type(value).__qualname__})"
            ) from reason
    try:
        # PyTorch would export a lazily negated tensor with the wrong sign.
        return np.from_dlpack(value.resolve_neg() if hasattr(value, "resolve_neg") else value)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as reason:
        facts = ", ".join(f"{fact} {getattr(value, fact, 'unknown')}" for fact in ("dtype", "device"))
        raise TypeError(
            f"{operation}: {name} is a {kind} that NumPy cannot read in place: {str(reason).rstrip('.')}."
            f" Did you mean {name}.detach().cpu().float(), or its like?"
            f"\n        ({name} {tuple(getattr(value, 'shape', ()))}, {facts})"
        ) from reason


def _native(dtype: DType) -> DType:
    """Return the same type in this machine's byte order."""
    return dtype if dtype.isnative else dtype.newbyteorder("=")
