"""Which arrays are taken, and the text of every refusal."""

import array
import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npconv import memory
from npconv.arrays import FLOATS, INTEGERS, as_array, as_bias, as_out, in_order, result_dtypes
from npconv.memory import Array, check_room

F16, F32, F64, I64 = (np.dtype(name) for name in ("float16", "float32", "float64", "int64"))
TAKEN = FLOATS + INTEGERS
MEMORY = 2**34  # what the machine of these tests pretends to have


@pytest.fixture(autouse=True)
def physical_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine have 16 GiB, so that texts about its memory are the same everywhere."""
    memory._physical_memory.cache_clear()
    answers = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": MEMORY // 4096}
    monkeypatch.setattr(os, "sysconf", answers.__getitem__, raising=False)
    yield
    memory._physical_memory.cache_clear()


def text_of(error: type[Exception], call: Callable[[], object]) -> str:
    """Return the text of an error of exactly this type."""
    with pytest.raises(error) as refusal:
        call()
    assert type(refusal.value) is error
    return str(refusal.value)


class Exporter:
    """An object that gives its array away through DLPack alone."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


class Recording(Exporter):
    """A tensor that records gradients; its ``__array__`` must never be asked."""

    shape, dtype, device = (1, 2), "float32", "cpu"

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        raise AssertionError("fetched in silence")


class Elsewhere(Exporter):
    """A tensor that says that it is in the memory of another device."""

    def __dlpack__(self, **_: Any) -> Any:
        capsule = self.values.__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        # A pointer to the data, then the type of their device: 1 is the CPU, 2 is CUDA.
        ctypes.c_int32.from_address(pointer(capsule, b"dltensor") + 8).value = 2
        return capsule


class Negated(Exporter):
    """A tensor whose negation is pending."""

    def resolve_neg(self) -> Exporter:
        """Return the tensor negated."""
        return Exporter(-self.values)


class Interface:
    """An object with NumPy's array interface."""

    def __init__(self, values: Array) -> None:
        self.values, self.__array_interface__ = values, values.__array_interface__


class Giver:
    """An object with ``__array__``."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return self.values


def exported_tensors() -> dict[str, tuple[Any, list[float]]]:
    """Return tensors that PyTorch exports, and their numbers."""
    import torch

    return {
        "floats": (torch.tensor([1.5, 2.0]), [1.5, 2]),
        "half": (torch.tensor([1.5, 2.0], dtype=torch.float16), [1.5, 2]),
        "every other": (torch.arange(5)[::2], [0, 2, 4]),
        "one number": (torch.ones(1).expand(3), [1, 1, 1]),
        "negated": (torch.tensor([1 + 2j]).conj().imag, [-2]),
        "a list": ([torch.tensor(1.5), torch.tensor(2.0)], [1.5, 2]),
    }


def refused_tensors() -> dict[str, tuple[Any, str]]:
    """Return tensors that PyTorch does not export as they are, and words of the refusal."""
    import torch

    return {
        "gradients": (torch.ones(2, requires_grad=True), "gradient"),
        "bfloat16": (torch.ones(2, dtype=torch.bfloat16), "dtype torch.bfloat16"),
        "no memory": (torch.ones(2, device="meta"), "device meta"),
        "sparse": (torch.ones(2, 2).to_sparse(), "layout"),
        "complex, conjugated": (torch.tensor([1 + 2j]).conj(), "conjugate"),
        "gradients in a list": ([torch.ones(2, requires_grad=True)], "grad"),
    }


EXPORTED = exported_tensors() if find_spec("torch") else {}
TENSORS = refused_tensors() if find_spec("torch") else {}


# operands


@pytest.mark.parametrize("dtype", [*TAKEN, *map(np.dtype, "bhilqBHIfd")])
def test_an_array_of_a_known_type_is_taken_as_it_is(dtype: np.dtype[Any]) -> None:
    values = np.zeros((2, 3), dtype)
    for view in (values, values.T, values[:, ::-2], np.broadcast_to(values, (4, 2, 3))):
        assert as_array("conv2d", "x", view) is view


@pytest.mark.parametrize("dtype", [dtype for dtype in TAKEN if dtype.itemsize > 1], ids=str)
def test_the_other_byte_order_is_taken_without_a_copy(dtype: np.dtype[Any]) -> None:
    values = np.arange(6).astype(dtype.newbyteorder())
    taken = as_array("conv2d", "x", values)
    assert np.shares_memory(taken, values)
    assert taken.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("writable", [True, False])
def test_objects_that_lend_their_memory_are_not_copied(writable: bool, tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    values.flags.writeable = writable
    mapped = np.memmap(tmp_path / "values", np.float32, "w+", shape=values.shape)
    mapped[...] = values
    matrix = values[0, 0].view(np.matrix)
    for lender in (values.data, Interface(values), Giver(values), Exporter(values)):
        taken = as_array("conv2d", "x", lender)
        assert type(taken) is np.ndarray
        assert np.shares_memory(taken, values)
        np.testing.assert_array_equal(taken, values, strict=True)
    for subclass in (mapped, matrix):
        taken = as_array("conv2d", "x", subclass)
        assert type(taken) is np.ndarray
        assert np.shares_memory(taken, subclass)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([[1, 2], [3, 4]], I64),
        (((1.5, 2), deque([3, 4])), F64),
        ([range(2), [np.int64(2), np.int64(3)]], I64),
        (array.array("f", [1, 2]), F32),
        ([np.arange(2, dtype=np.int8)], np.dtype("int8")),
        (range(3), I64),
        ([], F64),
        (np.float16(1), F16),
        (3, I64),
    ],
    ids=repr,
)
def test_what_numpy_makes_an_array_of_is_taken(value: object, dtype: np.dtype[Any]) -> None:
    taken = as_array("conv2d", "x", value)
    assert taken.dtype == dtype
    assert taken.tolist() == np.asarray(value).tolist()


MASKED = np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])


@pytest.mark.parametrize(
    "value",
    [
        MASKED,
        np.ma.masked_array([1.0]),
        [1.0, np.ma.masked],
        [[[1.0, 2.0, 3.0]], [MASKED]],
        ([1.0, 2.0, 3.0], deque([[0.0, 0.0, 0.0], MASKED])),
        Giver(MASKED),
    ],
    ids=["masked", "nothing masked", "the constant", "in a list", "deep inside", "from __array__"],
)
def test_a_mask_is_never_lost(value: object) -> None:
    assert text_of(TypeError, lambda: as_array("conv2d", "x", value)) == (
        "conv2d: x is or holds a masked array, whose mask would be lost. Did you mean x.filled(0)?"
        f"\n        (x {type(value).__name__})"
    )


AS_INT64, AS_FLOAT64 = "np.asarray(x, np.int64)", "np.asarray(x, np.float64)"
WIDEST = "integers are summed in int64, which ends at 2**63 - 1"
REFUSED: dict[str, tuple[Any, str, str]] = {
    "bool": ("?", "truth values do not add up", "np.asarray(x, np.int8)"),
    "uint64": ("u8", WIDEST, AS_INT64),
    "uint64, swapped": (np.dtype("u8").newbyteorder(), WIDEST, AS_INT64),
    "long double": ("g", "float64 is the widest type that is summed", AS_FLOAT64),
    "complex": ("c8", "only real numbers are summed", "two calls, on x.real and on x.imag"),
    "objects": ("O", "Python objects have no compiled sums", f"{AS_FLOAT64}, or npconv.reference.conv2d"),
    "dates": ("M8[s]", "dates have no products", AS_INT64),
    "durations": ("m8[ms]", "durations have no products", AS_INT64),
    "bytes": ("S3", "text has no products", AS_FLOAT64),
    "text": ("U3", "text has no products", AS_FLOAT64),
    "text of any length": (np.dtypes.StringDType(), "text has no products", AS_FLOAT64),
    "records": ([("red", "f4"), ("w", ">i2")], "a record is not a number", "one of its fields, such as x['red']"),
}


@pytest.mark.parametrize(("kind", "reason", "fix"), REFUSED.values(), ids=REFUSED)
def test_other_types_are_refused(kind: Any, reason: str, fix: str) -> None:
    dtype = np.dtype(kind)
    expected = f"conv2d: x has dtype {dtype}, but {reason}. Did you mean {fix}?\n        (x (1, 2))"
    values = np.empty((1, 2), dtype)
    for value in (values, values[::-1], [values[0]]):
        assert text_of(TypeError, partial(as_array, "conv2d", "x", value)) == expected


@pytest.mark.parametrize("kind", ["?", "u8", "g", "O", "M8[s]", "m8[ms]", "S3", "U3"])
def test_the_fix_of_a_refusal_works(kind: str) -> None:
    values = np.array([[1, 2]]).astype("i8" if "8[" in kind else "f8").astype(kind)
    refusal = text_of(TypeError, lambda: as_array("conv2d", "x", values))
    fixes = {f"np.asarray(x, np.{dtype})": dtype for dtype in ("int8", "int64", "float64")}
    (dtype,) = (dtype for fix, dtype in fixes.items() if fix in refusal)
    assert as_array("conv2d", "x", np.asarray(values, dtype)).tolist() == ([[1, 1]] if kind == "?" else [[1, 2]])


def test_a_list_of_numbers_that_no_type_holds_is_refused() -> None:
    assert "x has dtype uint64" in text_of(TypeError, lambda: as_array("conv2d", "x", [2**63]))
    assert "x has dtype object" in text_of(TypeError, lambda: as_array("conv2d", "x", [2**64]))
    assert "x has dtype object" in text_of(TypeError, lambda: as_array("conv2d", "x", None))


FOREIGN_TYPES = ("bfloat16", "float8_e4m3fn", "int4") if find_spec("ml_dtypes") else ()


@pytest.mark.parametrize("name", FOREIGN_TYPES)
def test_types_of_other_packages_are_refused(name: str) -> None:
    import ml_dtypes

    values = np.ones((1, 2), getattr(ml_dtypes, name))
    assert text_of(TypeError, lambda: as_array("conv2d", "weight", values)) == (
        f"conv2d: weight has dtype {name}, but it is not one of NumPy's own types."
        " Did you mean np.asarray(weight, np.float32)?\n        (weight (1, 2))"
    )


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (Recording(np.ones((1, 2))), "(1, 2), dtype float32, device cpu"),
        (Elsewhere(np.ones((1, 2))), "(), dtype unknown, device unknown"),
    ],
    ids=["gradients", "another device"],
)
def test_tensors_are_never_fetched_in_silence(value: object, facts: str) -> None:
    with pytest.raises(TypeError) as refusal:
        as_array("conv2d", "x", value)
    # The reason is in the words of the exporter, or of NumPy.
    reason = str(refusal.value.__cause__).rstrip(".")
    assert str(refusal.value) == (
        f"conv2d: x is a {type(value).__name__} that NumPy cannot read in place: {reason}."
        f" Did you mean x.detach().cpu().float(), or its like?\n        (x {facts})"
    )


@pytest.mark.parametrize(("value", "word"), TENSORS.values(), ids=TENSORS)
def test_pytorch_tensors_are_never_fetched_in_silence(value: object, word: str) -> None:
    refusal = text_of(TypeError, lambda: as_array("conv2d", "x", value))
    assert refusal.startswith("conv2d: x is a ")
    assert word in refusal


@pytest.mark.parametrize(("value", "numbers"), EXPORTED.values(), ids=EXPORTED)
def test_pytorch_tensors_are_taken(value: object, numbers: list[float]) -> None:
    assert as_array("conv2d", "x", value).tolist() == numbers


def test_a_pending_negation_is_done() -> None:
    assert as_array("conv2d", "x", Negated(np.array([1.0, -2.0]))).tolist() == [-1, 2]


def test_nested_sequences_must_be_a_box() -> None:
    refusal = text_of(ValueError, lambda: as_array("conv2d", "x", [[1, 2], [3]]))
    assert refusal.startswith("conv2d: x is a list that does not make an array: setting an array element")
    assert refusal.endswith(
        ". Did you mean np.asarray(x), of numbers in rows of one length?\n        (x builtins.list)"
    )
    endless: list[Any] = []
    endless.append(endless)
    refusal = text_of(ValueError, lambda: as_array("conv2d", "x", endless))
    assert "maximum number of dimension" in refusal


# result types


def test_the_result_has_the_common_type_and_float16_is_summed_in_float32() -> None:
    for x in FLOATS:
        for weight in FLOATS:
            common = max(x, weight, key=lambda dtype: dtype.itemsize)
            expected = (common, F32 if common == F16 else common)
            assert result_dtypes("conv2d", x, weight) == expected
            assert result_dtypes("conv2d", x.newbyteorder(), weight.newbyteorder()) == expected
            assert all(dtype.isnative for dtype in result_dtypes("conv2d", x.newbyteorder(), weight))


def test_integers_are_summed_in_int64() -> None:
    for x in INTEGERS:
        for weight in INTEGERS:
            assert result_dtypes("conv2d", x, weight) == (I64, I64)
            assert result_dtypes("conv2d", x.newbyteorder(), weight) == (I64, I64)


def test_integers_and_floats_do_not_mix() -> None:
    u8 = np.dtype("uint8")
    for _ in range(2):  # the second answer comes from the cache
        assert text_of(TypeError, lambda: result_dtypes("conv2d", u8, F32)) == (
            "conv2d: x is uint8, but weight is float32; integers and floats do not mix."
            " Did you mean x.astype(np.float32)?\n        (x uint8, weight float32)"
        )
    swapped = F64.newbyteorder()
    assert text_of(TypeError, lambda: result_dtypes("conv2d", swapped, I64)) == (
        f"conv2d: x is {swapped}, but weight is int64; integers and floats do not mix."
        f" Did you mean weight.astype(np.float64)?\n        (x {swapped}, weight int64)"
    )


# bias


def test_no_bias_is_none() -> None:
    assert as_bias("conv2d", None, 3, F32) is None


def test_a_bias_of_the_results_type_is_not_copied() -> None:
    values = np.arange(3, dtype=np.float32)
    assert as_bias("conv2d", values, 3, F32) is values


@pytest.mark.parametrize(
    ("bias", "dtype"),
    [
        ([1, 2], F32),
        (np.array([1, 2], np.int64), F16),
        (np.array([1, 2], F64), F32),
        (np.array([1, 2], F64.newbyteorder()), F64),
        (np.array([1, 2], np.uint32), I64),
        (np.array([1, 2], np.int8), I64),
    ],
    ids=["list", "int64", "float64", "swapped", "uint32", "int8"],
)
def test_a_bias_is_cast_to_the_results_type(bias: Any, dtype: np.dtype[Any]) -> None:
    np.testing.assert_array_equal(as_bias("conv2d", bias, 2, dtype), np.array([1, 2], dtype), strict=True)


def test_a_bias_for_float16_is_rounded_to_it() -> None:
    np.testing.assert_array_equal(as_bias("conv2d", [2049.0], 1, F16), np.array([2048], F16), strict=True)


@pytest.mark.parametrize(
    ("bias", "text"),
    [
        (np.zeros(3), "(3,), but weight has 4 filters. Did you mean a bias of shape (4,)?\n        (bias (3,))"),
        (1.0, "(), but weight has 4 filters. Did you mean a bias of shape (4,)?\n        (bias ())"),
        (
            np.zeros((1, 4, 1, 1)),
            "(1, 4, 1, 1), but weight has 4 filters. Did you mean bias.reshape(4)?\n        (bias (1, 4, 1, 1))",
        ),
    ],
    ids=["three", "a number", "four axes"],
)
def test_a_bias_has_one_number_per_filter(bias: object, text: str) -> None:
    assert text_of(ValueError, lambda: as_bias("conv2d", bias, 4, F32)) == f"conv2d: bias has shape {text}"


def test_a_bias_of_floats_does_not_go_into_integers() -> None:
    assert text_of(TypeError, lambda: as_bias("conv2d", [0.5, 1.5], 2, I64)) == (
        "conv2d: bias is float64, but the result is int64, which would cut off its fractions."
        " Did you mean bias.astype(np.int64)?\n        (bias (2,))"
    )
    assert text_of(TypeError, lambda: as_bias("conv2d", [True], 1, F32)).startswith("conv2d: bias has dtype bool")


# results

SHAPE = (2, 3, 4, 5)
FIX = "Did you mean out=np.empty((2, 3, 4, 5), np.float32)?"


def test_a_result_is_allocated_where_none_is_given() -> None:
    for dtype in (F32, F32.newbyteorder()):
        y = as_out("conv2d", None, SHAPE, dtype, ())
        assert (type(y), y.shape, y.dtype, y.flags.carray) == (np.ndarray, SHAPE, F32, True)


@pytest.mark.parametrize("shape", [SHAPE, (0, 3, 4, 5), (1, 1, 1, 1)], ids=str)
def test_an_out_that_fits_is_returned_itself(shape: tuple[int, ...], tmp_path: Path) -> None:
    inputs = (np.zeros(shape, F32), None, np.zeros(3, F32))
    for out in (
        np.empty(shape, F32),
        np.empty(shape, F32).T.T,
        np.memmap(tmp_path / "out", F32, "w+", shape=(1, *shape))[0] if all(shape) else np.empty(shape, F32),
    ):
        assert as_out("conv2d", out, shape, F32, inputs) is out
        assert as_out("conv2d", out, shape, F32.newbyteorder(), inputs) is out


def test_an_out_may_lie_between_the_rows_of_an_input() -> None:
    rows = np.zeros((4, 8), F32)
    assert as_out("conv2d", rows[1], (8,), F32, (rows[::2],)).base is rows
    assert as_out("conv2d", rows[:0], (0, 8), F32, (rows,)).size == 0


def strided(strides: tuple[int, ...]) -> Array:
    """Return an out of the right shape and type with these strides."""
    return np.lib.stride_tricks.as_strided(np.zeros(500, F32), SHAPE, strides)


def unaligned() -> Array:
    """Return an out that begins one byte after an address that its type would begin at."""
    return np.zeros(4 * 120 + 1, np.uint8)[1:].view(F32).reshape(SHAPE)


def read_only() -> Array:
    """Return an out that is not to be written."""
    out = np.zeros(SHAPE, F32)
    out.flags.writeable = False
    return out


SWAPPED = F32.newbyteorder()
UNALIGNED = unaligned()
STRIDES = "but C-contiguous are (240, 80, 20, 4)"
BAD_OUT: dict[str, tuple[type[Exception], Array, str]] = {
    "shape": (ValueError, np.zeros((2, 3, 4, 6), F32), "has shape (2, 3, 4, 6), but the result has shape (2, 3, 4, 5)"),
    "fewer axes": (ValueError, np.zeros(120, F32), "has shape (120,), but the result has shape (2, 3, 4, 5)"),
    "dtype": (TypeError, np.zeros(SHAPE, F64), "has dtype float64, but the result is float32"),
    "byte order": (
        TypeError,
        np.zeros(SHAPE, SWAPPED),
        f"has dtype {SWAPPED} in the other byte order, but the result is float32",
    ),
    "Fortran": (ValueError, np.zeros(SHAPE, F32, "F"), f"has strides (4, 8, 24, 96), {STRIDES}"),
    "gaps": (ValueError, strided((960, 320, 40, 8)), f"has strides (960, 320, 40, 8), {STRIDES}"),
    "broadcast": (ValueError, strided((0, 80, 20, 4)), f"has strides (0, 80, 20, 4), {STRIDES}"),
    "read-only": (ValueError, read_only(), "is read-only, but the result is written to it"),
    "unaligned": (ValueError, UNALIGNED, f"lies at address {UNALIGNED.ctypes.data}, which 4 does not divide"),
}


@pytest.mark.parametrize(("error", "out", "fault"), BAD_OUT.values(), ids=BAD_OUT)
def test_an_out_that_does_not_fit_is_refused(error: type[Exception], out: Array, fault: str) -> None:
    expected = f"conv2d: out {fault}. {FIX}\n        (out {out.shape} {out.dtype})"
    assert text_of(error, lambda: as_out("conv2d", out, SHAPE, F32, ())) == expected


def test_an_out_of_another_class_is_refused() -> None:
    assert text_of(TypeError, lambda: as_out("conv2d", [[0.0]], SHAPE, F32, ())) == (
        f"conv2d: out must be a plain numpy.ndarray, but it is a list. {FIX}\n        (out builtins.list)"
    )
    assert text_of(TypeError, lambda: as_out("conv2d", np.ma.zeros(SHAPE, F32), SHAPE, F32, ())) == (
        "conv2d: out must be a plain numpy.ndarray, but it is a MaskedArray. Did you mean out.view(np.ndarray)?"
        f"\n        (out {np.ma.MaskedArray.__module__}.MaskedArray)"
    )


def test_an_out_that_overlaps_an_input_is_refused() -> None:
    memory = np.zeros(240, F32)
    out = memory[60:180].reshape(SHAPE)
    for first, step, shape in ((0, 1, (61,)), (179, 1, (61,)), (0, 2, (2, 3, 4, 5)), (60, 1, SHAPE), (120, 1, (1,))):
        x = memory[first::step][: np.prod(shape)].reshape(shape)
        for inputs in ((x,), (None, np.zeros(2), x), (x[::-1], memory[:10])):
            assert text_of(ValueError, partial(as_out, "conv2d", out, SHAPE, F32, inputs)) == (
                f"conv2d: out of shape (2, 3, 4, 5) overlaps an input of shape {shape}. {FIX}"
                "\n        (out (2, 3, 4, 5) float32)"
            )
    assert as_out("conv2d", out, SHAPE, F32, (memory[:60], memory[180:])) is out
    swapped = memory.view(F32.newbyteorder())
    assert "overlaps" in text_of(ValueError, lambda: as_out("conv2d", out, SHAPE, F32, (swapped,)))


ADDRESSES = f"and NumPy addresses {2**63 - 1} at most"


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (
            (1, 1, 2**17, 2**15 + 1),
            f"takes {2**34 + 2**19} bytes, but this machine has {2**34} bytes of memory",
        ),
        ((1, 2, 2**30, 2**30), f"takes {2**63} bytes, but its extents span {2**63}, {ADDRESSES}"),
        ((1, 1, 2**63, 2**63), f"takes {2**128} bytes, but its extents span {2**128}, {ADDRESSES}"),
        ((0, 1, 2**40, 2**40), f"takes 0 bytes, but its extents span {2**82}, {ADDRESSES}"),
    ],
    ids=["memory", "addresses", "extents", "empty"],
)
def test_a_result_too_large_names_its_shape_and_bytes(shape: tuple[int, ...], text: str) -> None:
    expected = (
        f"conv2d: the result of shape {shape} {text}."
        " Did you mean less padding, a larger stride, or parts of the batch at a time?"
        f"\n        ({shape} float32)"
    )
    assert text_of(MemoryError, lambda: as_out("conv2d", None, shape, F32, ())) == expected
    assert text_of(MemoryError, lambda: check_room("conv2d", "the result", shape, F32)) == expected


def test_a_result_that_the_system_refuses_names_its_shape_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(shape: object, dtype: object) -> Array:
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    assert text_of(MemoryError, lambda: as_out("im2col", None, (2, 9, 25), F64, ())) == (
        "im2col: the result of shape (2, 9, 25) takes 3600 bytes, but the system has no such block to give."
        " Did you mean less padding, a larger stride, or parts of the batch at a time?"
        "\n        ((2, 9, 25) float64)"
    )


@pytest.mark.parametrize("error", [ValueError, OSError, AttributeError])
def test_where_the_system_does_not_tell_its_memory_only_addresses_limit(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(name: str) -> int:
        raise error(name)

    monkeypatch.setattr(os, "sysconf", silent, raising=False)
    assert memory._physical_memory() == sys.maxsize


# what kernels read


def test_what_is_in_order_is_not_copied() -> None:
    for values in (np.arange(6, dtype=F32), np.arange(6, dtype=F32).reshape(1, 2, 3), np.zeros((0, 3), F32)):
        assert in_order(values, F32) is values


@pytest.mark.parametrize("dtype", [F32, F64, F64.newbyteorder()], ids=str)
@pytest.mark.parametrize("source", [F16, F32, SWAPPED, F64.newbyteorder(), np.dtype("int8"), np.dtype(">i2")], ids=str)
def test_in_order_takes_any_strides_and_either_byte_order(source: np.dtype[Any], dtype: np.dtype[Any]) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(source)
    unaligned = np.zeros(values.nbytes + 1, np.uint8)[1:].view(source).reshape(values.shape)
    unaligned[...] = values
    for operand in (
        values,
        values.transpose(2, 0, 1),
        values[::-1, :, ::-2],
        np.broadcast_to(values[0], (3, 3, 4)),
        values[:, :1],
        unaligned,
    ):
        before = operand.tobytes(), operand.flags.writeable
        taken = in_order(operand, dtype)
        assert taken.tolist() == operand.astype(dtype).tolist()
        assert (taken.dtype, taken.flags.c_contiguous, taken.flags.aligned) == (dtype.newbyteorder("="), True, True)
        assert (operand.tobytes(), operand.flags.writeable) == before


def test_in_order_refuses_to_unroll_what_memory_does_not_hold() -> None:
    x = np.broadcast_to(np.float32(1), (1, 1, 2**17, 2**16))
    assert text_of(MemoryError, lambda: in_order(x, F32, "conv2d")) == (
        f"conv2d: a contiguous copy of an input of shape (1, 1, 131072, 65536) takes {2**35} bytes, but this machine"
        f" has {2**34} bytes of memory. Did you mean less padding, a larger stride, or parts of the batch at a time?"
        "\n        ((1, 1, 131072, 65536) float32)"
    )


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.float16),
        np.zeros((2, 3)).T,
        np.zeros(5)[3:],
        np.zeros(9)[::2],
        np.zeros(0),
        np.zeros(4, ">i2"),
    ],
    ids=["contiguous", "turned", "part", "scattered", "empty", "foreign"],
)
@pytest.mark.parametrize("writeable", [True, False])
def test_an_array_begins_where_numpy_says(array: Array, writeable: bool) -> None:
    view = array.view()
    view.flags.writeable = writeable
    assert memory.address_of(view) == array.ctypes.data
