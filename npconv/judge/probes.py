"""Which numbers a function under test is asked to convolve: each probe makes some mistakes impossible to miss.

Integers are sized so that every sum is exact in the arithmetic under test: there, equality is demanded. What only
rounding can show needs numbers of full length, and few of them in a sum, since a bound grows with the sum.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import TypeAlias
from zlib import crc32

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.formats import FORMATS
from npconv.judge.model import Model
from npconv.memory import Array, DType

Arrays: TypeAlias = tuple[Array, Array, Array]

# Unique numbers repeat after a prime, so that a repetition never falls in step with rows, planes or groups.
PRIMES = (8_388_593, 1_021, 251, 127, 31, 7, 1)
LIVE = 6  # products of an output that are not zero, where an array is sparse


@dataclass(frozen=True, slots=True)
class Material:
    """What a probe makes its arrays from.

    Parameters
    ----------
    geometry : Geometry
        Their shapes.
    dtype : dtype
        Their type.
    number, total : int
        Integers up to which the arithmetic under test keeps an operand, and a sum, exact.
    rng : numpy.random.Generator
        The only source of chance.
    """

    geometry: Geometry
    dtype: DType
    number: int
    total: int
    rng: np.random.Generator

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Shapes of x, weight and bias."""
        return self.geometry.x_shape, self.geometry.weight_shape, (self.geometry.O,)

    def integers(self, shape: tuple[int, ...], largest: int) -> Array:
        """Return integers from 1 to `largest` of both signs; of one sign where the type has no other."""
        signs = (1, 1) if self.dtype.kind == "u" else (-1, 1)
        values: Array = self.rng.integers(1, max(1, largest), shape, endpoint=True) * self.rng.choice(signs, shape)
        return values

    def numbers(self, shape: tuple[int, ...]) -> Array:
        """Return floats of full length between 1/2 and 2, of both signs."""
        values: Array = self.rng.uniform(0.5, 2.0, shape) * self.rng.choice((-1.0, 1.0), shape)
        return values

    def names(self, shape: tuple[int, ...], largest: int) -> Array:
        """Return 1, 2, 3 and so on as far as integers go, then 1 again."""
        prime = next(prime for prime in PRIMES if prime <= max(1, largest))
        numbers: Array = np.arange(np.prod(shape, dtype=int)).reshape(shape) % prime + 1
        return numbers


def exact_integers(material: Material) -> Arrays:
    """Make integers of both signs, as large as sums that stay exact allow."""
    largest = min(material.number, isqrt(material.total // (material.geometry.K + 1)))
    x, weight, bias = (material.integers(shape, largest) for shape in material.shapes)
    return x, weight, bias


def addresses(material: Material) -> Arrays:
    """Give each pixel a number, and let each filter pass a single tap: the output is the map of what was read."""
    g, largest = material.geometry, min(material.number, material.total // 2)
    weight = np.zeros((g.O, g.K), np.int64)
    # The last filter passes the last tap, and the others the ones before it, or those that chance begins with.
    first = material.rng.choice((0, int(material.rng.integers(g.K))))
    weight[np.arange(g.O), (first + np.arange(g.O) - g.O) % g.K] = 1
    x_shape, weight_shape, bias_shape = material.shapes
    return material.names(x_shape, largest), weight.reshape(weight_shape), material.integers(bias_shape, largest)


def dirac(material: Material) -> Arrays:
    """Light one pixel off the centre, in one channel of each group, and number the taps: the output is the filter, turned round."""
    g, largest = material.geometry, min(material.number, material.total // 2)
    x = np.zeros(g.x_shape, np.int64)
    for n in range(g.N):
        for group in range(g.groups):
            h, w = (_off_centre(material.rng, size) for size in (g.H, g.W))
            x[n, group * g.group_channels + material.rng.integers(g.group_channels), h, w] = 1
    return x, material.names(g.weight_shape, largest), material.integers((g.O,), largest)


def ones(material: Material) -> Arrays:
    """Make everything 1: each output counts the taps of its window that meet the image."""
    x, weight, bias = (np.ones(shape, np.int64) for shape in material.shapes)
    return x, weight, bias


def dense(material: Material) -> Arrays:
    """Make floats of full length everywhere."""
    x, weight, bias = (material.numbers(shape) for shape in material.shapes)
    return x, weight, bias


def sparse(material: Material) -> Arrays:
    """Make floats of full length, about six of them under each window: the bound is as narrow as a rounding error."""
    x, weight, bias = dense(material)
    alive = material.rng.random(x.shape) < LIVE / material.geometry.K
    return x * alive, weight, bias


def cancelling(material: Material) -> Arrays:
    """Let products cancel in pairs of filters' taps, all but a remainder of a millionth."""
    x, weight, bias = dense(material)
    flat = weight.reshape(len(weight), -1)
    half = flat.shape[1] // 2
    flat[:, half : 2 * half] = -flat[:, :half] * (1 + 1e-6 * material.rng.standard_normal((len(flat), half)))
    # One number for the whole image, so that the products cancel and not just the filter.
    return np.full_like(x, 1.7) + 1e-6 * x, weight, 1e-6 * bias


def huge(material: Material) -> Arrays:
    """Make floats whose sums come close to the largest that there is, and never beyond."""
    x, weight, bias = dense(material)
    # A product is below 4, so a sum is below 4*K + 2; half of the range is left for what rounds or transforms.
    scale = float(np.sqrt(np.finfo(material.dtype).max / (8.0 * (material.geometry.K + 1))))
    return x * scale, weight * scale, bias * scale**2


def dye(material: Material) -> Arrays:
    """Put one NaN or infinity among the pixels: it has to colour exactly the outputs whose windows it lies in."""
    x, weight, bias = dense(material)
    if x.size:
        x.reshape(-1)[material.rng.integers(x.size)] = material.rng.choice((np.nan, np.inf, -np.inf))
    return x, weight, bias


def subnormals(material: Material) -> Arrays:
    """Make products below the smallest normal number: of subnormal pixels, or of pixels and weights that are normal."""
    smallest = np.finfo(material.dtype).smallest_subnormal.astype(np.float64)
    x, weight, bias = (
        material.integers(shape, largest) for shape, largest in zip(material.shapes, (9, 3, 9), strict=True)
    )
    small, share = (float(smallest), 1.0) if material.rng.random() < 0.5 else _two_factors(material.dtype)
    return x * small, weight * share, bias * float(smallest)


def signed_zeros(material: Material) -> Arrays:
    """Make most pixels and weights zeros of either sign, and the others small integers."""
    x, weight, bias = (
        material.integers(shape, 3) * np.where(material.rng.random(shape) < 0.25, 1.0, 0.0) for shape in material.shapes
    )
    return x, weight, bias


def exact_up_to(model: Model, dtype: DType) -> tuple[int, int]:
    """Return the integers up to which operands, and sums, are exact in the arithmetic under test.

    >>> exact_up_to(Model("float32", inputs="bfloat16"), np.dtype("float32"))
    (256, 16777216)
    """
    if model.is_integer:
        return np.iinfo(dtype).max, np.iinfo(model.accumulator).max
    number, total = (
        min(FORMATS[name].bits for name in names)
        for names in ((dtype.name, model.inputs or dtype.name), (model.accumulator, model.result, dtype.name))
    )
    return 2**number, 2**total


def _off_centre(rng: np.random.Generator, size: int) -> int:
    """Return an index that is not its own mirror image, if the axis has one."""
    i = int(rng.integers(size))
    return (i + 1) % size if 2 * i == size - 1 else i


def _two_factors(dtype: DType) -> tuple[float, float]:
    """Return two normal powers of two whose product is the smallest subnormal number."""
    exponent = int(np.log2(np.finfo(dtype).smallest_subnormal.astype(np.float64)))
    return 2.0 ** (exponent - exponent // 2), 2.0 ** (exponent // 2)


@dataclass(frozen=True, slots=True)
class Probe:
    """Arrays of one kind.

    Parameters
    ----------
    name : str
        Its name, as reports and case files give it.
    shows : str
        Which mistakes it can show, and why.
    make : callable
        Makes x, weight and bias in numbers that the type holds; its docstring says what they are.
    floats_only : bool
        Whether there is no such thing among integers.
    """

    name: str
    shows: str
    make: Callable[[Material], Arrays]
    floats_only: bool = False

    @property
    def sentence(self) -> str:
        """What the arrays are."""
        return (self.make.__doc__ or "").strip()

    def arrays(self, geometry: Geometry, dtype: DType, model: Model, seed: int) -> Arrays:
        """Return x, weight and bias: the same ones whenever they are asked for."""
        rng = np.random.default_rng((seed, crc32(f"{self.name} {geometry}".encode())))
        number, total = exact_up_to(model, dtype)
        x, weight, bias = (array.astype(dtype) for array in self.make(Material(geometry, dtype, number, total, rng)))
        return x, weight, bias


PROBES = {
    probe.name: probe
    for probe in (
        Probe("exact integers", "any product that is missing, doubled or taken from elsewhere", exact_integers),
        Probe("addresses", "which pixel each output read: strides, dilations, paddings, groups, layouts", addresses),
        Probe("off-centre Dirac", "which weight each tap got: flips, transposes, layouts of the filters", dirac),
        Probe("ones", "how many taps met the image: borders, padding, sums that begin wrongly", ones),
        Probe("dense", "rounding of operands and sums, as on real data", dense, floats_only=True),
        Probe(
            "sparse",
            "rounding where few products hide it, and a single product among thousands",
            sparse,
            floats_only=True,
        ),
        Probe("cancelling", "sums that are kept too short", cancelling, floats_only=True),
        Probe("huge", "ranges that are too small inside", huge, floats_only=True),
        Probe("dye", "pixels that are read and then multiplied by nothing, or not read at all", dye, floats_only=True),
        Probe("subnormals", "small numbers that are flushed to zero", subnormals, floats_only=True),
        Probe("signed zeros", "tricks with signs and zeros", signed_zeros),
    )
}


def probes_for(dtype: DType) -> list[Probe]:
    """Return the probes that a type has.

    >>> [probe.name for probe in probes_for(np.dtype("int8"))]
    ['exact integers', 'addresses', 'off-centre Dirac', 'ones', 'signed zeros']
    """
    return [probe for probe in PROBES.values() if dtype.kind == "f" or not probe.floats_only]
