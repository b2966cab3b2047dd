"""The CPU that Numba compiles for: how wide its vector registers are, how many it has, and whether it fuses multiply and add."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from llvmlite import binding
from numba.core import config
from numba.core.codegen import get_host_cpu_features


@dataclass(frozen=True, slots=True)
class Target:
    """What a register tile has to fit: the vector registers of one CPU.

    Attributes
    ----------
    vector_bytes : int
        Width of a vector register in bytes.
    registers : int
        Number of vector registers.
    fma : bool
        Whether one instruction multiplies and adds with a single rounding.
    multiply_adds : int
        Vectors that are multiplied and added in a cycle.
    """

    vector_bytes: int
    registers: int
    fma: bool
    multiply_adds: int = 2

    def lanes(self, itemsize: int) -> int:
        """Return how many elements of `itemsize` bytes one vector register holds."""
        return self.vector_bytes // itemsize

    def fits(self, rows: int, vectors: int, *, integer: bool = False, inputs: int = 1, others: int = 0) -> bool:
        """Return whether a tile stays in registers: its sums, `inputs` rows of the image, a weight, and without FMA a product.

        `others` are registers that the kernel needs besides. One register too many and LLVM keeps sums in memory, at less
        than half the speed. Integer products need registers of their own on CPUs without a 64-bit vector multiplication.
        """
        available = self.registers // 2 if integer else self.registers
        return (rows + inputs) * vectors + (1 if self.fma else 2) + others <= available

    def tiles(self, *, integer: bool = False) -> Iterator[tuple[int, int]]:
        """Yield the (rows, vectors) that a plan may choose for the dense kernels."""
        for rows, widths in TILES.items():
            for vectors in widths:
                if self.fits(rows, vectors, integer=integer):
                    yield rows, vectors


# Rows of a tile and the vectors it may have. A short table, since every tile that is used is compiled once: rows that divide the
# usual numbers of filters, vectors that divide the usual widths, and many sums wherever there is room for them.
TILES = {
    1: (1, 2, 3, 6),
    2: (1, 3, 6),
    4: (1, 2, 3, 4, 6),
    6: (1, 2, 4),
    7: (1, 2, 3),
    8: (1, 2, 3),
    10: (2,),
    12: (1, 2),
    13: (2,),
    14: (1, 2),
}


# CPUs that do a multiply-add of 512 bits in two halves, one after the other.
HALF_WIDTH = ("znver4",)


def target_of(architecture: str, features: frozenset[str], cpu: str = "") -> Target:
    """Return the target that an architecture name, a set of CPU features and the CPU's name in LLVM describe."""
    if architecture.startswith(("aarch64", "arm64")):
        return Target(vector_bytes=16, registers=32, fma=True)
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= features:
        return Target(vector_bytes=64, registers=32, fma=True, multiply_adds=1 if cpu in HALF_WIDTH else 2)
    if {"avx2", "fma"} <= features:
        return Target(vector_bytes=32, registers=16, fma=True)
    # 128-bit vectors and two roundings are right on every CPU that LLVM knows.
    return Target(vector_bytes=16, registers=16, fma=False)


@functools.cache
def target() -> Target:
    """Return the target of this process, with the features that Numba would compile for."""
    words = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    features = frozenset(word[1:] for word in words.split(",") if word.startswith("+"))
    return target_of(binding.get_default_triple(), features, config.CPU_NAME or binding.get_host_cpu_name())
