"""Number formats that convolutions are computed in, and rounding to them."""

from dataclasses import dataclass

import numpy as np

from npconv.memory import Array


@dataclass(frozen=True, slots=True)
class Format:
    """A binary floating-point format with subnormal numbers, as IEEE 754 has them.

    Parameters
    ----------
    bits : int
        Bits of the significand, the leading one included.
    lowest : int
        Exponent of the smallest normal number, ``2**lowest``.
    highest : int
        Exponent of the largest numbers, which lie below ``2**(highest + 1)``.

    Examples
    --------
    >>> FORMATS["float16"].largest, FORMATS["bfloat16"].unit
    (65504.0, 0.00390625)
    """

    bits: int
    lowest: int
    highest: int

    @property
    def unit(self) -> float:
        """Unit roundoff u: rounding to nearest errs by at most this share of the number."""
        return 2.0**-self.bits

    @property
    def largest(self) -> float:
        """Largest finite number."""
        return (2.0 - 2.0 ** (1 - self.bits)) * 2.0**self.highest

    @property
    def normal(self) -> float:
        """Smallest positive number with a whole significand."""
        return 2.0**self.lowest

    @property
    def smallest(self) -> float:
        """Smallest positive number, which every other is a multiple of."""
        return 2.0 ** (self.lowest - self.bits + 1)


FORMATS = {
    "float64": Format(53, -1022, 1023),
    "float32": Format(24, -126, 127),
    "tf32": Format(11, -126, 127),
    "bfloat16": Format(8, -126, 127),
    "float16": Format(11, -14, 15),
}


def rounded(values: Array, name: str) -> Array:
    """Return numbers rounded to the nearest of a format, ties to even, as float64; what is too large becomes infinite.

    >>> rounded(np.array([1 + 2.0**-11, 70000.0, 2.0**-25]), "float16")
    array([ 1., inf,  0.])
    """
    wide = np.asarray(values, np.float64)
    if name == "float64":
        return wide
    if name in ("float32", "float16"):
        with np.errstate(over="ignore", under="ignore"):
            return wide.astype(name).astype(np.float64)
    form = FORMATS[name]
    exponent = np.maximum(np.frexp(wide)[1], form.lowest + 1) - form.bits
    near = np.ldexp(np.rint(np.ldexp(wide, -exponent)), exponent)
    return np.where(np.abs(near) > form.largest, np.copysign(np.inf, wide), near)
