"""Each register operation, compiled and as its twin: the same bits, the value it promises, and nothing else touched."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numba
import numpy as np
import pytest

from cases import Array, bits

# Importing `compile` gives every operation its compiled form, as it does for the kernels.
from npconv.kernels import compile as _  # noqa: F401
from npconv.kernels import lowering, registers
from npconv.kernels.registers import (
    RegisterTile,
    accumulators,
    element,
    every_second,
    fma,
    gather_lanes,
    get,
    lanes_below,
    line,
    load,
    load_lanes,
    load_turned,
    move_up,
    multiply,
    prefetch,
    put,
    row_registers,
    splat,
    store,
    store_lanes,
    store_turned,
    weight_registers,
    zero,
)
from npconv.kernels.targets import Target, target

pytestmark = pytest.mark.kernels

FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int64")
# What is only moved moves as unsigned integers of its size.
ELEMENTS = (*NUMBERS, "uint8", "uint16", "uint32", "uint64")

each_element = pytest.mark.parametrize("dtype", ELEMENTS)
each_number = pytest.mark.parametrize("dtype", NUMBERS)
each_float = pytest.mark.parametrize("dtype", FLOATS)

# Elements around what an operation may touch.
MARGIN = 3


def full_tile(dtype: str, rows: int = 1, vectors: int = 1, planes: int = 1, step: int = 1) -> RegisterTile:
    """Return a tile with as many lanes as a register of this CPU has for a type."""
    return RegisterTile(rows, vectors, target().lanes(np.dtype(dtype).itemsize), planes, step)


def any_bits(dtype: str, count: int, seed: int = 0) -> Array:
    """Return elements of every kind of bit pattern: NaN payloads, infinities and subnormals among the floats."""
    return np.random.default_rng(seed).integers(0, 256, count * np.dtype(dtype).itemsize, np.uint8).view(dtype)


def first(n: int) -> int:
    """Return the set of the first n lanes as a signed integer: all 64 are -1, as they are in a register."""
    return (lanes_below(n) + 2**63) % 2**64 - 2**63


@cache
def compiled(body: Callable[..., Any]) -> Any:
    """Return a body as kernels are compiled, but without their disk cache, which knows nothing of tests."""
    return numba.njit(nogil=True, error_model="numpy")(body)


def run_both(body: Callable[..., Any], tile: RegisterTile, *arguments: Any) -> Array:
    """Run a body on copies, by the twins and compiled, demand equal bits, and return its last array."""
    outcomes = []
    with np.errstate(all="ignore"):
        for form in (body, compiled(body)):
            copies = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
            form(tile, *copies)
            outcomes.append([copy for copy in copies if isinstance(copy, np.ndarray)])
    twin, machine = outcomes
    assert [array.tobytes() for array in twin[:-1]] == [array.tobytes() for array in machine[:-1]]
    assert bits(twin[-1]) == bits(machine[-1])
    last: Array = machine[-1]
    return last


def copy_vector(tile: RegisterTile, source: Array, i: int, target: Array, t: int) -> None:
    store(target, t, load(tile, source, i))


def copy_some_read(tile: RegisterTile, source: Array, i: int, lanes: int, target: Array, t: int) -> None:
    store(target, t, load_lanes(tile, source, i, lanes))


def copy_some_written(tile: RegisterTile, source: Array, i: int, target: Array, t: int, lanes: int) -> None:
    store_lanes(target, t, load(tile, source, i), lanes)


def copy_gathered(tile: RegisterTile, source: Array, i: int, stride: int, lanes: int, target: Array) -> None:
    store(target, 0, gather_lanes(tile, source, i, stride, lanes))


def fetch(tile: RegisterTile, array: Array, i: int) -> None:
    prefetch(array, i)


def fill(tile: RegisterTile, source: Array, i: int, target: Array, t: int) -> None:
    store(target, t, splat(tile, source, i))


def wipe(tile: RegisterTile, target: Array, t: int) -> None:
    store(target, t, zero(tile, target))


def multiply_vectors(tile: RegisterTile, a: Array, b: Array, target: Array) -> None:
    for i in range(0, target.size, tile.lanes):
        store(target, i, multiply(load(tile, a, i), load(tile, b, i)))


def fuse_vectors(tile: RegisterTile, a: Array, b: Array, c: Array, target: Array) -> None:
    for i in range(0, target.size, tile.lanes):
        store(target, i, fma(load(tile, a, i), load(tile, b, i), load(tile, c, i)))


def shift_registers(tile: RegisterTile, source: Array, target: Array) -> None:
    acc = accumulators(tile, source)
    row = row_registers(tile, source)
    count = tile.rows * tile.planes * tile.vectors
    for j in range(count):
        put(acc, j, load(tile, source, j * tile.lanes))
    for j in range(tile.planes * tile.vectors):
        put(row, j, get(acc, j))
    for j in range(count - 1):
        put(acc, j, get(acc, j + 1))
    put(acc, count - 1, get(row, 0))
    for j in range(count):
        store(target, j * tile.lanes, get(acc, j))
    for j in range(tile.planes * tile.vectors):
        store(target, (count + j) * tile.lanes, get(row, j))


def rotate_rows(tile: RegisterTile, source: Array, target: Array) -> None:
    acc = accumulators(tile, source)
    weights = weight_registers(tile, source)
    count = tile.rows * tile.planes * tile.vectors
    for j in range(count):
        put(acc, j, load(tile, source, j * tile.lanes))
    for m in range(tile.rows):
        put(weights, m, load(tile, source, m * tile.lanes))
    move_up(tile, acc)
    for j in range(count):
        store(target, j * tile.lanes, get(acc, j))
    for m in range(tile.rows):
        store(target, (count + m) * tile.lanes, get(weights, m))


def read_numbers(tile: RegisterTile, numbers: Array) -> None:
    one = line(numbers)
    two = every_second(numbers)
    numbers[0] = tile.rows
    numbers[1] = tile.vectors
    numbers[2] = tile.lanes
    numbers[3] = tile.planes
    numbers[4] = tile.step
    numbers[5] = tile.edge
    numbers[6] = tile.phases
    numbers[7] = one.rows
    numbers[8] = one.vectors
    numbers[9] = one.lanes
    numbers[10] = one.planes
    numbers[11] = one.step
    numbers[12] = one.edge
    numbers[13] = two.lanes
    numbers[14] = two.step


def turn_back(tile: RegisterTile, source: Array, i: int, pitch: int, rows: int, columns: int, target: Array) -> None:
    acc = accumulators(tile, source)
    load_turned(tile, acc, source, i, pitch, rows, columns)
    for j in range(tile.rows):
        store(target, j * tile.lanes, get(acc, j))


def turn(tile: RegisterTile, source: Array, i: int, pitch: int, target: Array) -> None:
    acc = accumulators(tile, source)
    for j in range(tile.rows * tile.vectors):
        put(acc, j, load(tile, source, j * tile.lanes))
    store_turned(tile, acc, target, i, pitch)


def sets_below(tile: RegisterTile, sets: Array) -> None:
    for n in range(sets.size):
        sets[n] = lanes_below(n)


def pick(array: Array, i: int) -> Any:
    return element(array, i)


def below(n: int) -> int:
    return lanes_below(n)


def test_a_tile_carries_its_numbers_and_a_line_is_one_register() -> None:
    numbers = run_both(read_numbers, RegisterTile(3, 2, 8, 4, 2, 1, 5), np.zeros(15, np.int64))
    lanes = target().lanes(8)
    assert numbers.tolist() == [3, 2, 8, 4, 2, 1, 5, 1, 1, lanes, 1, 1, 0, lanes, 2]


def test_tiles_of_other_numbers_have_other_types() -> None:
    different = ((3, 2, 8, 4, 2), (2, 2, 8, 4, 2), (3, 2, 8, 4), (3, 2, 8), (3, 2, 8, 1, 1, 1), (3, 2, 8, 1, 1, 0, 2))
    tiles = [RegisterTile(*numbers) for numbers in different]
    assert len({numba.typeof(tile) for tile in tiles}) == len(different)
    assert numba.typeof(tiles[0]) == lowering.RegisterTileType(3, 2, 8, 4, 2, 0, 1)


def test_a_tile_says_what_it_is() -> None:
    assert repr(RegisterTile(3, 2, 8)) == "3 rows x 2 vectors x 8 lanes"
    assert repr(RegisterTile(3, 2, 8, planes=4)) == "4 planes x 3 rows x 2 vectors x 8 lanes"


@each_element
def test_load_and_store_move_the_bits_of_every_lane_and_of_no_other(dtype: str) -> None:
    tile = full_tile(dtype)
    lanes = tile.lanes
    source, before = any_bits(dtype, lanes + 2), any_bits(dtype, lanes + 2 * MARGIN, seed=1)
    after = run_both(copy_vector, tile, source, 1, before, MARGIN)
    expected = before.copy()
    expected[MARGIN : MARGIN + lanes] = source[1 : 1 + lanes]
    assert after.tobytes() == expected.tobytes()


@each_number
def test_load_with_a_step_of_two_reads_every_second_element(dtype: str) -> None:
    tile = full_tile(dtype, step=2)
    lanes = tile.lanes
    # The last element that is read is the last there is.
    source, before = any_bits(dtype, 2 * lanes), np.zeros(lanes, dtype)
    after = run_both(copy_vector, tile, source, 1, before, 0)
    assert after.tobytes() == source[1::2].tobytes()


@each_element
def test_load_lanes_reads_any_first_lanes_and_leaves_zeros(dtype: str) -> None:
    tile = full_tile(dtype)
    source, before = any_bits(dtype, tile.lanes + 1), any_bits(dtype, tile.lanes + 2 * MARGIN, seed=1)
    for n in range(tile.lanes + 1):
        after = run_both(copy_some_read, tile, source, 1, first(n), before, MARGIN)
        expected = before.copy()
        expected[MARGIN : MARGIN + tile.lanes] = 0
        expected[MARGIN : MARGIN + n] = source[1 : 1 + n]
        assert after.tobytes() == expected.tobytes(), n


@each_number
def test_load_lanes_with_a_step_of_two_reads_any_set_of_every_second_element(dtype: str) -> None:
    tile = full_tile(dtype, step=2)
    source, before = any_bits(dtype, 2 * tile.lanes), any_bits(dtype, tile.lanes, seed=1)
    for members in [*(np.random.default_rng(2).random((20, tile.lanes)) < 0.5), np.ones(tile.lanes, bool)]:
        lanes = sum(1 << 2 * lane for lane in range(tile.lanes) if members[lane])
        # Of every set but the last, elements that are wanted begin and end the array.
        at = 1 - 2 * int(members.argmax())
        loaded = run_both(copy_some_read, tile, source[1:], at - 1, lanes, before, 0)
        reached = np.where(members, np.roll(source, -at)[::2], np.zeros_like(before))
        assert loaded.tobytes() == reached.tobytes()


@each_element
def test_store_lanes_writes_any_first_lanes_and_no_other(dtype: str) -> None:
    tile = full_tile(dtype)
    source, before = any_bits(dtype, tile.lanes), any_bits(dtype, tile.lanes + 2 * MARGIN, seed=1)
    for n in range(tile.lanes + 1):
        after = run_both(copy_some_written, tile, source, 0, before, MARGIN, first(n))
        expected = before.copy()
        expected[MARGIN : MARGIN + n] = source[:n]
        assert after.tobytes() == expected.tobytes(), n


@each_number
def test_masked_operations_take_any_set_of_lanes(dtype: str) -> None:
    tile = full_tile(dtype)
    source, before = any_bits(dtype, 3 * tile.lanes), any_bits(dtype, tile.lanes, seed=1)
    for members in np.random.default_rng(2).random((20, tile.lanes)) < 0.5:
        lanes = sum(1 << lane for lane in range(tile.lanes) if members[lane])
        loaded = run_both(copy_some_read, tile, source, 0, lanes, before, 0)
        stored = run_both(copy_some_written, tile, source, 0, before, 0, lanes)
        assert loaded.tobytes() == np.where(members, source[: tile.lanes], np.zeros_like(before)).tobytes()
        assert stored.tobytes() == np.where(members, source[: tile.lanes], before).tobytes()
        for stride, start in ((0, 1), (1, 2), (2, 0), (3, 0), (-1, tile.lanes - 1)):
            gathered = run_both(copy_gathered, tile, source, start, stride, lanes, before)
            reached = source[start + stride * np.arange(tile.lanes)]
            assert gathered.tobytes() == np.where(members, reached, np.zeros_like(before)).tobytes(), stride


@each_number
def test_masked_lanes_may_lie_outside_the_array(dtype: str) -> None:
    tile = full_tile(dtype)
    last = tile.lanes - 1
    source, before = any_bits(dtype, 1), any_bits(dtype, 1, seed=1)
    vector = any_bits(dtype, tile.lanes, seed=2)
    for at, lanes in ((0, 1), (-last, 1 << last)):
        loaded = run_both(copy_some_read, tile, source, at, lanes, vector, 0)
        assert loaded[0 if lanes == 1 else last].tobytes() == source[0].tobytes()
        stored = run_both(copy_some_written, tile, vector, 0, before, at, lanes)
        assert stored.tobytes() == vector[0 if lanes == 1 else last].tobytes()
        gathered = run_both(copy_gathered, tile, source, 5 * at, 5, lanes, vector)
        assert gathered[0 if lanes == 1 else last].tobytes() == source[0].tobytes()
        for nowhere in (-1000, 1000):
            assert run_both(copy_some_written, tile, vector, 0, before, nowhere, 0).tobytes() == before.tobytes()


@each_number
def test_prefetching_changes_nothing_inside_an_array_or_out(dtype: str) -> None:
    array = any_bits(dtype, 5)
    for i in (0, 4, -1, -(10**15), 10**15):
        assert run_both(fetch, full_tile(dtype), array, i).tobytes() == array.tobytes()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("vector_bytes", [16, 64])
def test_cpus_with_few_registers_prefetch_nothing(vector_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lowering, "target", lambda: Target(vector_bytes=vector_bytes, registers=vector_bytes // 2, fma=True)
    )
    form = numba.njit(fetch)
    form(full_tile("float32"), any_bits("float32", 5), 0)
    assert {"@llvm.prefetch" in text for text in form.inspect_llvm().values()} == {vector_bytes == 64}


@each_element
def test_splat_and_zero_fill_every_lane(dtype: str) -> None:
    tile = full_tile(dtype)
    source, before = any_bits(dtype, 5), any_bits(dtype, tile.lanes + 2 * MARGIN, seed=1)
    expected = before.copy()
    expected[MARGIN : MARGIN + tile.lanes] = source[4]
    assert run_both(fill, tile, source, 4, before, MARGIN).tobytes() == expected.tobytes()
    expected[MARGIN : MARGIN + tile.lanes] = 0
    assert run_both(wipe, tile, before, MARGIN).tobytes() == expected.tobytes()


@each_element
def test_an_element_is_read_by_its_index(dtype: str) -> None:
    array = any_bits(dtype, 5)
    for i in (0, 4):
        assert np.array(compiled(pick)(array, i), dtype).tobytes() == pick(array, i).tobytes() == array[i].tobytes()


@each_number
def test_registers_keep_what_is_put_into_them(dtype: str) -> None:
    tile = full_tile(dtype, rows=3, vectors=2, planes=2)
    source = any_bits(dtype, 12 * tile.lanes).reshape(12, -1)
    after = run_both(shift_registers, tile, source.reshape(-1), np.zeros(16 * tile.lanes, dtype))
    assert after.tobytes() == np.concatenate((np.roll(source, -1, axis=0), source[:4])).tobytes()


@each_number
def test_rows_move_up_and_the_newest_stays(dtype: str) -> None:
    tile = full_tile(dtype, rows=3, vectors=2, planes=2)
    source = any_bits(dtype, 12 * tile.lanes).reshape(12, -1)
    after = run_both(rotate_rows, tile, source.reshape(-1), np.zeros(15 * tile.lanes, dtype))
    assert after.tobytes() == np.concatenate((source[4:], source[8:], source[:3])).tobytes()


@each_number
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (3, 2), (5, 1), (19, 1)])
def test_a_tile_is_stored_with_its_lanes_as_rows(dtype: str, rows: int, vectors: int) -> None:
    tile = full_tile(dtype, rows, vectors)
    columns, pitch = vectors * tile.lanes, rows + 2
    source, before = any_bits(dtype, rows * columns), any_bits(dtype, columns * pitch + 2 * MARGIN, seed=1)
    after = run_both(turn, tile, source, MARGIN, pitch, before)
    expected = before.copy()
    expected[MARGIN : MARGIN + columns * pitch].reshape(columns, pitch)[:, :rows] = source.reshape(rows, columns).T
    assert after.tobytes() == expected.tobytes()


@each_number
@pytest.mark.parametrize("pixels", [1, 3, 19])
def test_a_tile_is_loaded_with_rows_as_its_lanes(dtype: str, pixels: int) -> None:
    tile = full_tile(dtype, pixels)
    pitch = pixels + 2
    source = any_bits(dtype, (tile.lanes - 1) * pitch + pixels)
    for rows, columns in (
        (tile.lanes, pixels),
        (tile.lanes + 3, pixels + 1),
        (1, pixels),
        (tile.lanes - 1, pixels - 1),
        (0, 0),
    ):
        after = run_both(turn_back, tile, source, 0, pitch, rows, columns, any_bits(dtype, pixels * tile.lanes, seed=1))
        expected = np.zeros((pixels, tile.lanes), dtype)
        for lane in range(min(rows, tile.lanes)):
            expected[:columns, lane] = source[lane * pitch :][: min(columns, pixels)]
        assert after.tobytes() == expected.tobytes(), (rows, columns)


def test_sets_of_lanes_are_bits_up_to_sixty_four() -> None:
    sets = run_both(sets_below, RegisterTile(1, 1, 1), np.zeros(64, np.int64))
    assert sets.view(np.uint64).tolist() == [2**n - 1 for n in range(64)]
    every = compiled(below)(64)
    assert every % 2**64 == lanes_below(64) == 2**64 - 1


def tricky(dtype: str) -> Array:
    """Return the floats at which rounding, signs and overflow go wrong, ordinary ones between them."""
    facts = np.finfo(dtype)
    magnitudes: list[Any] = [
        0.0,
        facts.smallest_subnormal,
        facts.tiny,
        facts.eps,
        1.0,
        1 + facts.eps,
        3.0,
        facts.max,
        np.inf,
    ]
    return np.array([*magnitudes, *(-m for m in magnitudes), np.nan], dtype)


def in_triples(values: Array, lanes: int) -> list[Array]:
    """Return every triple of values as three arrays of whole vectors."""
    triples = np.array(list(product(values, repeat=3)), values.dtype)
    spare = -len(triples) % lanes
    return list(np.ascontiguousarray(np.concatenate((triples, triples[:spare])).T))


def rounded(value: Fraction, dtype: str) -> Any:
    """Return the float nearest to a fraction, ties to even, for values in the range of normal numbers."""
    mantissa_bits = np.finfo(dtype).nmant
    exponent = 0
    while value >= 2:
        value, exponent = value / 2, exponent + 1
    while 0 < value < 1:
        value, exponent = value * 2, exponent - 1
    return np.ldexp(np.dtype(dtype).type(round(value * 2**mantissa_bits)), exponent - mantissa_bits)


@each_float
def test_arithmetic_agrees_on_every_triple_of_tricky_floats(dtype: str) -> None:
    tile = full_tile(dtype)
    a, b, c = in_triples(tricky(dtype), tile.lanes)
    with np.errstate(all="ignore"):
        assert bits(run_both(multiply_vectors, tile, a, b, np.empty_like(a))) == bits(a * b)
    fused = run_both(fuse_vectors, tile, a, b, c, np.empty_like(a))
    # Where the product needs no rounding, one rounding and two are the same.
    exact = (np.abs(a) == 1) | (np.abs(b) == 1) | ~np.isfinite(a) | ~np.isfinite(b) | (a == 0) | (b == 0)
    assert exact.sum() > a.size // 3
    with np.errstate(all="ignore"):
        assert bits(fused[exact]) == bits(a[exact] * b[exact] + c[exact])


@each_float
def test_arithmetic_agrees_on_random_floats(dtype: str) -> None:
    tile = full_tile(dtype)
    a, b, c = np.random.default_rng(3).standard_normal((3, 20 * tile.lanes)).astype(dtype)
    c *= np.dtype(dtype).type(2.0) ** np.random.default_rng(4).integers(-30, 30, c.size)
    assert bits(run_both(multiply_vectors, tile, a, b, np.empty_like(a))) == bits(a * b)
    fused = run_both(fuse_vectors, tile, a, b, c, np.empty_like(a))
    for i in range(a.size):
        exact = Fraction(float(a[i])) * Fraction(float(b[i])) + Fraction(float(c[i]))
        once = rounded(abs(exact), dtype)
        assert fused[i] == ((once if exact > 0 else -once) if target().fma else a[i] * b[i] + c[i])


@each_float
def test_multiply_and_add_round_once_where_the_cpu_fuses_and_twice_where_not(dtype: str) -> None:
    tile = full_tile(dtype)
    # 1 + eps and 1 - eps/2 ... times 2**-24 for float32: the sum lies so close to a tie that rounding to a wider type first,
    # and then again, ends on the other side of it.
    p = np.finfo(dtype).nmant
    above, below, small = 1 + Fraction(1, 2**p), 1 - Fraction(1, 2**p), Fraction(1, 2 ** (p + 1))
    a, b, c = (np.full(tile.lanes, float(value), dtype) for value in (above, below * small, above))
    once = rounded(above * below * small + above, dtype)
    twice = np.multiply(a[0], b[0]) + c[0]
    assert once == above
    assert twice != once
    fused = run_both(fuse_vectors, tile, a, b, c, np.empty_like(a))
    assert fused.tolist() == [once if target().fma else twice] * tile.lanes


@each_float
def test_without_fma_two_instructions_round_twice(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lowering, registers):
        monkeypatch.setattr(module, "target", lambda: Target(vector_bytes=16, registers=16, fma=False))
    tile = full_tile(dtype)
    a, b, c = np.random.default_rng(5).standard_normal((3, tile.lanes)).astype(dtype)
    for function in (fuse_vectors, numba.njit(fuse_vectors)):
        target_array = np.empty_like(a)
        function(tile, a, b, c, target_array)
        assert bits(target_array) == bits(a * b + c)


def test_integers_wrap() -> None:
    tile = full_tile("int64")
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    a, b, c = in_triples(np.array([0, 1, -1, 2, 3, low, high, 2**32 + 1, -(2**31)], np.int64), tile.lanes)
    exact = a.astype(object) * b.astype(object)

    def wrapped(values: Array) -> list[int]:
        return [(value + 2**63) % 2**64 - 2**63 for value in values]

    assert run_both(multiply_vectors, tile, a, b, np.empty_like(a)).tolist() == wrapped(exact)
    assert run_both(fuse_vectors, tile, a, b, c, np.empty_like(a)).tolist() == wrapped(exact + c)


def test_twins_refuse_an_active_lane_outside_the_array() -> None:
    array, tile, two = np.ones(8, np.float32), RegisterTile(1, 1, 4), RegisterTile(1, 1, 4, step=2)
    four = np.ones(4, np.float32)
    lanes = 0b0110
    beyond: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        *[(splat, (tile, array, i)) for i in (-1, 8)],
        *[(element, (array, i)) for i in (-1, 8)],
        *[(load, (tile, array, i)) for i in (-1, 5)],
        *[(load, (two, array, i)) for i in (-1, 2)],
        *[(load_lanes, (tile, array, i, lanes)) for i in (-2, 6)],
        *[(load_lanes, (two, array, i, 0b010100)) for i in (-3, 4)],
        # An element that no lane holds is read with its neighbour.
        (load_lanes, (two, array, 1, -1)),
        *[(gather_lanes, (tile, array, i, 3, lanes)) for i in (-4, 2)],
        *[(store, (array, i, four)) for i in (-1, 5)],
        *[(store_lanes, (array, i, four, lanes)) for i in (-2, 6)],
        *[(load_turned, (RegisterTile(1, 1, 4), [four], array, i, 2, 4, 1)) for i in (-1, 2)],
        *[(store_turned, (RegisterTile(1, 1, 4), [four], array, i, 2)) for i in (-1, 2)],
    ]
    for operation, arguments in beyond:
        with pytest.raises(IndexError, match=r"a lane reaches for element -?\d of 8"):
            operation(*arguments)


def test_twins_take_an_inactive_lane_outside_the_array() -> None:
    array, tile, two = np.arange(8.0), RegisterTile(1, 1, 4), RegisterTile(1, 1, 4, step=2)
    lanes = 0b0110
    assert load(tile, array, 4).tolist() == [4, 5, 6, 7]
    assert load(two, array, 1).tolist() == [1, 3, 5, 7]
    assert load_lanes(tile, array, -1, lanes).tolist() == [0, 0, 1, 0]
    assert load_lanes(tile, array, 5, lanes).tolist() == [0, 6, 7, 0]
    assert load_lanes(two, array, -2, 0b010100).tolist() == [0, 0, 2, 0]
    assert gather_lanes(tile, array, -3, 3, lanes).tolist() == [0, 0, 3, 0]
    assert gather_lanes(tile, array, 1, 3, lanes).tolist() == [0, 4, 7, 0]
    store_lanes(array, -1, np.full(4, 9.0), lanes)
    store_lanes(array, 5, np.full(4, 9.0), lanes)
    assert array.tolist() == [9, 9, 2, 3, 4, 5, 9, 9]


def test_every_operation_of_the_module_is_tested_here() -> None:
    public = {name for name, value in vars(registers).items() if callable(value) and not name.startswith("_")}
    defined = {name for name in public if getattr(vars(registers)[name], "__module__", "") == registers.__name__}
    assert defined <= set(globals())
