"""Vector registers and the register tile, as plain Python.

A kernel takes a `RegisterTile` as its first argument and walks ``range(tile.rows)``, ``range(tile.vectors)``. Compiled, the tile is
empty: its *type* carries the numbers, so these loops unroll and the accumulators live in the CPU's vector registers.

Each operation here is the *twin* of one in `npconv.kernels.lowering` or `npconv.kernels.turning`: it is what runs when the JIT is
off, it says what the compiled form does, and it gives the same bits. A vector is a small NumPy array, never changed in place;
registers are a list of vectors.
"""

import ctypes
import ctypes.util
from typing import Any, TypeAlias

import numpy as np

from npconv.kernels.targets import target

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Registers: TypeAlias = list[Array]

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
_libm.fma.restype, _libm.fma.argtypes = ctypes.c_double, [ctypes.c_double] * 3
_libm.fmaf.restype, _libm.fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3


class RegisterTile:
    """A block of accumulators: `rows` rows of `vectors` vectors of `lanes` neighbouring outputs, for `planes` planes at once.

    A row is a filter for the dense kernels, a pixel for the filterwise one, whose pixels lie in as many rows of the image as there are
    `phases`. A row is one of the image for the depthwise kernel, which takes in `phases` of these at a time, 1 or 2. `load` reads lanes
    that lie `step` elements apart, 1 or 2; of filterwise tiles it is the pixels that do, up to 4 apart. 0 stands for any other number of
    either. The first and the last `edge` vectors of a row may reach over the ends of the image; the others do not.
    """

    __slots__ = ("edge", "lanes", "phases", "planes", "rows", "step", "vectors")

    def __init__(
        self, rows: int, vectors: int, lanes: int, planes: int = 1, step: int = 1, edge: int = 0, phases: int = 1
    ) -> None:
        self.rows = rows
        self.vectors = vectors
        self.lanes = lanes
        self.planes = planes
        self.step = step
        self.edge = edge
        self.phases = phases

    def __repr__(self) -> str:
        planes = f"{self.planes} planes x " if self.planes > 1 else ""
        return f"{planes}{self.rows} rows x {self.vectors} vectors x {self.lanes} lanes"


def line(like: Array) -> RegisterTile:
    """Return the tile of one register for elements of the type of `like`: all that copying needs to know."""
    return RegisterTile(1, 1, target().lanes(like.dtype.itemsize))


def every_second(like: Array) -> RegisterTile:
    """Return the tile of one register that `load` fills with every second element."""
    return RegisterTile(1, 1, target().lanes(like.dtype.itemsize), step=2)


def accumulators(tile: RegisterTile, like: Array) -> Registers:
    """Return ``rows * planes * vectors`` registers for elements of the type of `like`, not yet set."""
    return [zero(tile, like)] * (tile.rows * tile.planes * tile.vectors)


def row_registers(tile: RegisterTile, like: Array) -> Registers:
    """Return ``planes * vectors`` registers for elements of the type of `like`, not yet set."""
    return [zero(tile, like)] * (tile.planes * tile.vectors)


def weight_registers(tile: RegisterTile, like: Array) -> Registers:
    """Return `rows` registers for elements of the type of `like`, not yet set."""
    return [zero(tile, like)] * tile.rows


def move_up(tile: RegisterTile, registers: Registers) -> None:
    """Move every row of accumulators but the oldest one row up; the newest row stays as it was, too.

    An operation, not a loop in a kernel: of such a loop LLVM makes a copy in memory, and the sums would live there.
    """
    each = tile.planes * tile.vectors
    registers[:-each] = registers[each:]


def get(registers: Registers, i: int) -> Array:
    """Return the vector in register `i`."""
    return registers[i]


def put(registers: Registers, i: int, vector: Array) -> None:
    """Set register `i`."""
    registers[i] = vector


def zero(tile: RegisterTile, like: Array) -> Array:
    """Return a vector of zeros."""
    return np.zeros(tile.lanes, like.dtype)


def element(array: Array, i: int) -> Any:
    """Return `array[i]`, i not being negative: compiled, an index in brackets is first held against zero."""
    _check(array, i)
    return array[i]


def prefetch(array: Array, i: int) -> None:
    """Have the cache line of `array[i]` fetched while other work goes on, where CPUs have many registers.

    Nothing happens where there is no such element.
    """


def splat(tile: RegisterTile, array: Array, i: int) -> Array:
    """Return a vector with `array[i]` in every lane."""
    _check(array, i)
    return np.full(tile.lanes, array[i], array.dtype)


def load(tile: RegisterTile, array: Array, i: int) -> Array:
    """Return the vector whose lane l is `array[i + l * step]`."""
    return gather_lanes(tile, array, i, tile.step, lanes_below(tile.lanes))


def load_lanes(tile: RegisterTile, array: Array, i: int, elements: int) -> Array:
    """Return what `load` does, zeros in the lanes that are not in a set: only those in it are read.

    Bit `l * step` of the set is lane l: it says which elements are read from i on.
    """
    for wanted in _members(elements, tile.lanes * tile.step):
        _check(array, i + wanted)
    lanes = sum(1 << lane for lane in range(tile.lanes) if elements >> lane * tile.step & 1)
    return gather_lanes(tile, array, i, tile.step, lanes)


def gather_lanes(tile: RegisterTile, array: Array, i: int, stride: int, lanes: int) -> Array:
    """Return the vector whose lane l is `array[i + l * stride]`, zeros in the lanes that are not in the set: only those are read."""
    vector = zero(tile, array)
    for lane in _members(lanes, tile.lanes):
        _check(array, i + lane * stride)
        vector[lane] = array[i + lane * stride]
    return vector


def store(array: Array, i: int, vector: Array) -> None:
    """Write the vector to `array[i : i + lanes]`."""
    store_lanes(array, i, vector, lanes_below(len(vector)))


def store_lanes(array: Array, i: int, vector: Array, lanes: int) -> None:
    """Write the lanes in the set `lanes` where `store` would; the others are neither read nor written."""
    for lane in _members(lanes, len(vector)):
        _check(array, i + lane)
        array[i + lane] = vector[lane]


def load_turned(
    tile: RegisterTile, registers: Registers, array: Array, i: int, pitch: int, rows: int, columns: int
) -> None:
    """Set register m to the vector whose lane l is `array[i + l * pitch + m]`: what were rows of the array become lanes.

    Only `rows` rows, one for each lane, and the first `columns` elements of each are read; the others are zeros.
    """
    for m in range(tile.rows):
        lanes = lanes_below(min(rows, tile.lanes)) if m < columns else 0
        registers[m] = gather_lanes(tile, array, i + m, pitch, lanes)


def store_turned(tile: RegisterTile, registers: Registers, array: Array, i: int, pitch: int) -> None:
    """Write lane l of vector v in row m to `array[i + (v * lanes + l) * pitch + m]`: what were lanes become rows.

    An operation, not loops in a kernel: they are too many instructions for LLVM to unroll, and the sums would live in memory.
    """
    for j in range(tile.rows * tile.vectors):
        m, v = divmod(j, tile.vectors)
        for lane in range(tile.lanes):
            _check(array, i + (v * tile.lanes + lane) * pitch + m)
            array[i + (v * tile.lanes + lane) * pitch + m] = registers[j][lane]


def lanes_below(n: int) -> int:
    """Return the set of the lanes 0 to n - 1, as bits; n is at most 64."""
    return (1 << n) - 1


def multiply(a: Array, b: Array) -> Array:
    """Return `a * b`, lane by lane."""
    return np.multiply(a, b)


def fma(a: Array, b: Array, c: Array) -> Array:
    """Return `a * b + c`, lane by lane: rounded once where the CPU has FMA, twice where not, wrapping for integers."""
    if a.dtype.kind == "f" and target().fma:
        fused = _libm.fmaf if a.dtype.itemsize == 4 else _libm.fma
        return np.array([fused(*lane) for lane in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)], a.dtype)
    return a * b + c


def _members(lanes: int, count: int) -> list[int]:
    return [lane for lane in range(count) if lanes >> lane & 1]


def _check(array: Array, i: int) -> None:
    if not 0 <= i < array.size:
        raise IndexError(f"a lane reaches for element {i} of {array.size}")
