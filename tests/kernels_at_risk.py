"""Sums as kernels may compute them, in any order, fused or not, in any format: exact fractions, rounded step by step."""

from fractions import Fraction

import numpy as np

from npconv.judge.formats import Format


def nearest(value: Fraction, form: Format) -> Fraction:
    """Return the nearest number of a format, ties to even; there is no largest."""
    if value == 0:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    # 2**exponent is the number's own power of two, or twice that.
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, form.lowest) - form.bits + 1)
    return round(value / step) * step


def flushed(value: Fraction, form: Format) -> Fraction:
    """Return a number, or zero where it is subnormal."""
    return value if abs(value) >= Fraction(2) ** form.lowest else Fraction(0)


class Kernel:
    """Adds products up, pair by pair; each step and each pair is drawn."""

    def __init__(self, form: Format, seed: int, *, flushes: bool = False) -> None:
        self.form, self.random, self.flushes = form, np.random.default_rng(seed), flushes

    def rounded(self, value: Fraction) -> Fraction:
        """Return what a step leaves of its exact result."""
        near = nearest(value, self.form)
        return flushed(near, self.form) if self.flushes and self.random.random() < 0.7 else near

    def sum(self, pairs: list[tuple[Fraction, Fraction]], bias: Fraction | None) -> Fraction:
        """Return a sum of products and a bias, along a tree of additions."""
        if self.flushes:
            pairs = [(flushed(x, self.form), flushed(w, self.form)) for x, w in pairs]
        pairs = [pairs[i] for i in self.random.permutation(len(pairs))]
        fused = self.random.random()
        in_order = self.random.random() < 0.5
        sums = [] if bias is None else [self.rounded(bias)]
        for x, w in pairs:
            if sums and self.random.random() < fused:
                where = -1 if in_order else int(self.random.integers(len(sums)))
                sums[where] = self.rounded(sums[where] + x * w)
            else:
                sums.append(self.rounded(x * w))
        while len(sums) > 1:
            i = 0 if in_order else int(self.random.integers(len(sums) - 1))
            sums[i : i + 2] = [self.rounded(sums[i] + sums[i + 1])]
        return sums[0]
