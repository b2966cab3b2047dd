"""Each kind of CPU: what is chosen for it, and the machine code that this becomes, compiled afresh and read."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from typing import Any

import numba
import numpy as np
import pytest

from assembly import Assembly, Loop
from bounds import tap_by_tap
from cases import Array, Case, small_integers
from npconv.kernels.calls import TileKernel, run_tile, tile_kernel_signature
from npconv.kernels.channelwise import channelwise, multiply_channels
from npconv.kernels.depthwise import depthwise, stream_rows
from npconv.kernels.direct import direct
from npconv.kernels.filterwise import filterwise, multiply_filters
from npconv.kernels.im2col import im2col
from npconv.kernels.registers import RegisterTile
from npconv.kernels.targets import Target, target, target_of
from npconv.kernels.tile import multiply_tile
from npconv.layouts.channelwise import PIXELS
from npconv.layouts.depthwise import fits, streamed
from npconv.plan import Conv2dPlan
from processes import AS_AVX2, AS_PLAIN_CPU, COMPILED, EVERY_TILE, JIT, compiled_kernels, run_python

AVX512 = Target(vector_bytes=64, registers=32, fma=True)
AVX2 = Target(vector_bytes=32, registers=16, fma=True)
PLAIN = Target(vector_bytes=16, registers=16, fma=False)
NEON = Target(vector_bytes=16, registers=32, fma=True)

AVX512_FEATURES = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}
X86 = "x86_64-unknown-linux-gnu"

Tile = tuple[int, int]


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("architecture", "features", "expected"),
    [
        (X86, AVX512_FEATURES, AVX512),
        *[(X86, AVX512_FEATURES - {missing}, AVX2) for missing in sorted(AVX512_FEATURES - {"avx2", "fma"})],
        (X86, {"avx2", "fma"}, AVX2),
        (X86, {"avx2"}, PLAIN),
        (X86, {"avx", "fma"}, PLAIN),
        (X86, set[str](), PLAIN),
        ("x86_64-apple-darwin21.6.0", {"avx2", "fma"}, AVX2),
        ("aarch64-unknown-linux-gnu", {"neon"}, NEON),
        ("aarch64-unknown-linux-gnu", set[str](), NEON),
        ("arm64-apple-darwin23.1.0", set[str](), NEON),
        ("riscv64-unknown-linux-gnu", {"v"}, PLAIN),
        ("powerpc64le-unknown-linux-gnu", {"vsx"}, PLAIN),
    ],
)
def test_a_target_follows_from_the_features(architecture: str, features: set[str], expected: Target) -> None:
    assert target_of(architecture, frozenset(features)) == expected


@pytest.mark.kernels
def test_a_register_holds_more_of_smaller_elements() -> None:
    assert [AVX512.lanes(size) for size in (1, 2, 4, 8)] == [64, 32, 16, 8]
    assert [AVX2.lanes(size) for size in (4, 8)] == [8, 4]
    assert [PLAIN.lanes(size) for size in (4, 8)] == [4, 2]


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("cpu", "largest", "too_large"),
    [
        (AVX512, [(4, 6), (14, 2), (8, 3)], [(7, 4), (10, 3), (16, 2)]),
        (AVX2, [(1, 6), (4, 3), (14, 1)], [(4, 4), (5, 3), (7, 2), (16, 1)]),
        (NEON, [(4, 6), (14, 2), (8, 3)], [(7, 4), (10, 3), (16, 2)]),
    ],
)
def test_a_tile_fits_into_the_registers(cpu: Target, largest: list[Tile], too_large: list[Tile]) -> None:
    tiles = list(cpu.tiles())
    assert set(largest) <= set(tiles)
    assert not any(cpu.fits(rows, vectors) for rows, vectors in too_large)
    assert all(rows * vectors + vectors + 1 <= cpu.registers for rows, vectors in tiles)
    assert len(set(tiles)) == len(tiles)
    assert set(cpu.tiles(integer=True)) < set(tiles)


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("cpu", "rows", "most"), [(AVX512, 3, 8), (AVX512, 7, 3), (AVX2, 3, 2), (AVX2, 7, 1), (PLAIN, 3, 2), (PLAIN, 7, 1)]
)
def test_a_window_fits_into_the_registers(cpu: Target, rows: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npconv.layouts.depthwise.target", lambda: cpu)
    fitting = [vectors for vectors in range(1, 12) if fits(rows, vectors, 1, 1, integer=False)]
    assert fitting == [*range(1, most + 1)]
    # A stride takes registers from the sums.
    assert sum(fits(rows, vectors, 1, 2, integer=False) for vectors in fitting) <= len(fitting)
    assert sum(fits(rows, vectors, 1, 3, integer=False) for vectors in fitting) < len(fitting) or most == 1


PRINT_TARGET = "from dataclasses import asdict; from npconv.kernels.targets import target; print(asdict(target()))"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (AS_AVX2, AVX2),
        (AS_PLAIN_CPU, PLAIN),
        (
            {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": ",".join(f"+{f}" for f in AVX512_FEATURES)},
            AVX512,
        ),
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,-fma"}, PLAIN),
        ({"NUMBA_ENABLE_AVX": "0"}, PLAIN),
    ],
    ids=["AVX2", "plain", "AVX-512", "FMA switched off", "AVX switched off"],
)
def test_the_target_is_that_of_numba(environment: dict[str, str], expected: Target) -> None:
    assert run_python(PRINT_TARGET, **environment).strip() == str(asdict(expected))


# Of each kernel a small call, its tile, and what is compiled: the driver, and the tile kernel that it calls by address.
DEPTHWISE = Case((1, 2, 6, 19), (2, 1, 3, 3), groups=2, padding=1)
SMALL: dict[str, tuple[Case, str, tuple[int, ...], tuple[Any, ...]]] = {
    "im2col": (Case((1, 3, 6, 19), (5, 3, 3, 3), padding=1), "im2col", (3, 2), (im2col, multiply_tile)),
    "direct": (Case((1, 3, 6, 19), (5, 3, 3, 3), padding=1), "direct", (3, 2), (direct, multiply_tile)),
    "filterwise": (Case((1, 3, 6, 7), (19, 3, 3, 3), padding=1), "filterwise", (3, 2), (filterwise, multiply_filters)),
    "depthwise": (DEPTHWISE, "depthwise", (1, 1), (depthwise,)),
    "channelwise": (DEPTHWISE, "depthwise", (7,), (channelwise, multiply_channels)),
}


def whole_kernels() -> dict[str, dict[str, Any]]:
    """Convolve with kernels that are compiled afresh; return what their machine code is and whether the results are right."""
    found = {}
    for kernel, (case, method, tile, functions) in SMALL.items():
        for function in functions:
            function._cache.disable()
        x, weight, bias = small_integers(case, "float32", seed=1)
        plan = Conv2dPlan(case.geometry, weight, bias, (x.dtype, x.dtype), method, 1, tile=tile)
        right = np.array_equal(plan(x), tap_by_tap(x, weight, bias, case.geometry))
        texts = [text for function in functions for text in function.inspect_asm().values()]
        found[kernel] = asdict(Assembly.of("\n".join(texts))) | {"right": bool(right)}
    return found


def numba_type(dtype: str, *, written: bool) -> Any:
    """Return the type of an array as kernels are given it."""
    return numba.types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C", readonly=not written)


def compile_multiply_tile(rows: int, vectors: int, dtype: str, *, masked: bool = False) -> Assembly:
    """Compile the tile's innermost kernel afresh."""
    element, lanes = numba_type(dtype, written=True).dtype, target().lanes(np.dtype(dtype).itemsize)
    tile = numba.typeof(RegisterTile(rows, vectors, lanes, edge=vectors if masked else 0))
    return compile_afresh(multiply_tile, tile_kernel_signature(tile, element))


def compile_turned(kernel: Any, pixels: int, vectors: int, dtype: str, rows: int = 1) -> Assembly:
    """Compile the innermost kernel of tiles whose lanes are filters or channels afresh."""
    element, lanes = numba_type(dtype, written=True).dtype, target().lanes(np.dtype(dtype).itemsize)
    tile = numba.typeof(RegisterTile(pixels, vectors, lanes, phases=rows))
    return compile_afresh(kernel, tile_kernel_signature(tile, element))


def compile_stream_rows(tile: RegisterTile, dtype: str) -> Assembly:
    """Compile the depthwise inner kernel afresh."""
    i, tables, tally = numba.intp, numba_type("int64", written=False), numba_type("int64", written=True)
    given, written = numba_type(dtype, written=False), numba_type(dtype, written=True)
    sizes = numba.types.UniTuple(i, 19)
    types = (numba.typeof(tile), sizes, given, i, given, i, given, tables, i, written, i, i, i, i, i, tally)
    return compile_afresh(stream_rows, types)


def compile_afresh(kernel: Any, types: tuple[Any, ...]) -> Assembly:
    """Compile for these types; what comes from the disk cache has no assembly to show."""
    kernel._cache.disable()
    kernel.compile(types)
    return Assembly.of(kernel.inspect_asm(types))


def dense_tiles(dtype: str) -> list[Tile]:
    """Return every tile that a plan can choose, or three of the largest."""
    tiles = list(target().tiles(integer=dtype == "int64"))
    return tiles if EVERY_TILE else sorted(tiles, key=lambda tile: tile[0] * tile[1] + tile[1])[-3:]


def depthwise_tiles(dtype: str) -> list[RegisterTile]:
    """Return every tile that a layout can choose, or the largest for 3x3 and 7x7."""
    lanes = target().lanes(np.dtype(dtype).itemsize)
    tiles: dict[tuple[int, ...], RegisterTile] = {}
    for KH, vectors, C, stride in product(range(1, 16), range(1, 17), (1, 2, 4, 8), (1, 2, 3)):
        W = (vectors * lanes - 1) * stride + 3
        case = Case((1, C, KH, W), (C, 1, KH, 3), groups=C, stride=(stride, stride), padding=1)
        tiles |= {attributes(tile): tile for tile in chosen(case, dtype)}
    if EVERY_TILE:
        return [tiles[key] for key in sorted(tiles)]
    plain = [tile for tile in tiles.values() if tile.step == 1]
    return [
        max((tile for tile in plain if tile.rows == rows), key=lambda tile: tile.vectors * tile.planes)
        for rows in (3, 7)
    ]


def attributes(tile: RegisterTile) -> tuple[int, ...]:
    """Return the numbers of a tile."""
    return tuple(getattr(tile, name) for name in RegisterTile.__slots__)


def chosen(case: Case, dtype: str) -> Iterator[RegisterTile]:
    """Yield the tile of the depthwise layout of a case, if there is one."""
    try:
        yield streamed(case.geometry, np.dtype(dtype)).tile
    except ValueError:
        return


def inner_kernels() -> dict[str, dict[str, Any]]:
    """Compile the innermost kernels in their tiles; return what the machine code is, by name."""
    found = {}
    for dtype in ("float32", "float64") if EVERY_TILE else ("float32",):
        for rows, vectors in dense_tiles(dtype):
            # Sets of lanes need registers of their own; a plan has no masked tile elsewhere.
            for masked in (False, True)[: 1 + (target().vector_bytes == 64)]:
                assembly = compile_multiply_tile(rows, vectors, dtype, masked=masked)
                found[f"multiply_tile {rows} rows x {vectors} vectors, {masked=}, {dtype}"] = asdict(assembly)
            for of_image in (1, 2)[: 2 - rows % 2]:
                assembly = compile_turned(multiply_filters, rows, vectors, dtype, of_image)
                found[f"multiply_filters {rows} pixels in {of_image} rows x {vectors} vectors, {dtype}"] = asdict(
                    assembly
                )
        for pixels in PIXELS if EVERY_TILE else PIXELS[-1:]:
            for rows in (1, 2)[: target().fits(pixels, 1) * (2 - pixels % 2)]:
                assembly = compile_turned(multiply_channels, pixels, 1, dtype, rows)
                found[f"multiply_channels {pixels} pixels in {rows} rows, {dtype}"] = asdict(assembly)
        for tile in depthwise_tiles(dtype):
            numbers = ", ".join(f"{name} {getattr(tile, name)}" for name in RegisterTile.__slots__)
            found[f"stream_rows {numbers}, {dtype}"] = asdict(compile_stream_rows(tile, dtype))
    return found


def in_a_process_of_its_own(call: str, **environment: str) -> Any:
    """Return what a function of this module returns where kernels are compiled."""
    return json.loads(
        run_python(f"import json, test_targets as t; print(json.dumps(t.{call}))", **COMPILED | environment)
    )


def check_whole_kernels(cpu: Target, **environment: str) -> None:
    """Demand right results, the CPU's own registers and no wider ones, its own multiply-add, and nothing spilled."""
    found = in_a_process_of_its_own("whole_kernels()", **environment)
    assert {method for method, facts in found.items() if not facts["right"]} == set()
    assert {method: facts["widest"] for method, facts in found.items()} == dict.fromkeys(SMALL, cpu.vector_bytes)
    for facts in found.values():
        assert any(loop["fused" if cpu.fma else "products"] for loop in facts["loops"])
        assert cpu.fma or not any(loop["fused"] for loop in facts["loops"])
    assert {method: facts["spills"] for method, facts in found.items()} == dict.fromkeys(SMALL, 0)


@compiled_kernels
def test_this_cpu_uses_its_own_registers() -> None:
    check_whole_kernels(target())


@pytest.mark.parametrize(("cpu", "environment"), [(AVX2, AS_AVX2), (PLAIN, AS_PLAIN_CPU)], ids=["AVX2", "plain"])
def test_other_cpus_use_theirs_and_no_wider(cpu: Target, environment: dict[str, str]) -> None:
    check_whole_kernels(cpu, **environment)


@compiled_kernels
def test_no_vector_register_is_spilled() -> None:
    found = in_a_process_of_its_own("inner_kernels()")
    multiply_add = "fused" if target().fma else "products"
    assert [name for name, facts in found.items() if not any(loop[multiply_add] for loop in facts["loops"])] == []
    assert {name: facts["spills"] for name, facts in found.items() if facts["spills"]} == {}


run: Any = run_tile


def call_tile(
    code: int, w: Array, x: Array, offsets: Array, first: int, last: int, bias: Array, b0: int, y: Array, pitch: int, tally: Array
) -> None:  # fmt: skip
    """Call a tile kernel from Python."""
    run(code, w, 0, x, 0, offsets, first, last, offsets, 0, 0, bias, b0, y, 0, pitch, w, 0, 0, tally)


def multiply_adds(dtype: str) -> dict[str, Any]:
    """Read the multiply-adds off the largest tile's code, run it, and return both sides of the account."""
    rows, vectors = max(target().tiles(), key=lambda tile: tile[0] * tile[1])
    assembly = compile_multiply_tile(rows, vectors, dtype)
    tile = RegisterTile(rows, vectors, target().lanes(np.dtype(dtype).itemsize))
    K, width = 13, vectors * tile.lanes
    x, w, y = np.ones(K * width, dtype), np.ones(K * rows, dtype), np.zeros(rows * width, dtype)
    offsets, bias = np.repeat(np.arange(K) * width, 2), np.ones(rows, dtype)
    call: Any = numba.njit(call_tile)
    _, _, code = TileKernel(multiply_tile, tile, np.dtype(dtype)).for_driver
    tallies = []
    for first, b0 in ((0, -1), (0, 0), (4, -1)):
        tally = np.zeros(8, np.int64)
        call(code, w, x, offsets, first, K, bias, b0, y, width, tally)
        tallies.append(tally[:2].tolist())
    return asdict(assembly) | {"rows": rows, "vectors": vectors, "lanes": tile.lanes, "K": K, "tallies": tallies}


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=[pytest.mark.kernels] * JIT), "float64"])
def test_the_machine_code_multiplies_and_adds_as_often_as_the_tally_says(dtype: str) -> None:
    found = in_a_process_of_its_own(f"multiply_adds({dtype!r})")
    (loop,) = (Loop(**loop) for loop in found["loops"])
    lanes, K = found["lanes"], found["K"]
    # The loop over the taps is not unrolled: a trip is one tap of every sum.
    each_trip = loop.fused if target().fma else loop.products
    assert each_trip == found["rows"] * found["vectors"]
    # Where no bias begins the sums, the first products do, before the loop; LLVM may take a whole tap off the loop besides.
    assert found["products"] in (each_trip, 2 * each_trip)
    fresh, biased, resumed = found["tallies"]
    assert fresh == [each_trip * lanes * K, each_trip * lanes * (K - 1)]
    assert biased == [each_trip * lanes * K] * 2
    assert resumed == [each_trip * lanes * (K - 4)] * 2
