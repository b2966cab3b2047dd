"""Numbers as they are printed: how they are read, and what would be printed so."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npconv.figures import ROUNDINGS, UNITS, Figure, read_figure


@pytest.mark.parametrize(
    ("number", "value", "digit"),
    [
        ("569M", 569_000_000, 1_000_000),
        ("569 MMACs", 569_000_000, 1_000_000),
        ("4.2 GFLOPs", 4_200_000_000, 100_000_000),
        ("25,028,904 params", 25_028_904, 1),
        ("25_028_904", 25_028_904, 1),
        ("1.1 million parameters", 1_100_000, 100_000),
        ("4.1B", 4_100_000_000, 100_000_000),
        ("12 thousand", 12_000, 1000),
        ("3 Mi", 3 * 2**20, 2**20),
        ("205.2 Mi", Fraction(2052 * 2**20, 10), Fraction(2**20, 10)),
        ("569e6", 569_000_000, 1_000_000),
        ("4.2e9", 4_200_000_000, 100_000_000),
        (".5 G", 500_000_000, 100_000_000),
        ("94.86 %", Fraction(9486, 10_000), Fraction(1, 10_000)),
        ("3 percent", Fraction(3, 100), Fraction(1, 100)),
        (1.25, Fraction(5, 4), Fraction(1, 100)),
        (568_740_352, 568_740_352, 1),
        (569_000_000, 569_000_000, 1_000_000),
        (569e6, 569_000_000, 1_000_000),
        (300_000_000, 300_000_000, 10_000_000),
        (np.int64(4200), 4200, 100),
        (100, 100, 10),
        (7, 7, 1),
        (0, 0, 1),
    ],
)
def test_numbers_are_read_as_printed(number: object, value: int | Fraction, digit: int | Fraction) -> None:
    figure = read_figure(number)
    assert (figure.value, figure.digit) == (value, digit)


@pytest.mark.parametrize(
    ("number", "noun"),
    [
        ("4.2M params", "params"),
        ("4 MACs", "macs"),
        ("569 MMult-Adds", "mult-adds"),
        ("25,028,904 Parameters", "parameters"),
        ("4.2M", ""),
    ],
)
def test_what_is_written_behind_a_number_is_kept(number: str, noun: str) -> None:
    figure = read_figure(number)
    assert figure.noun == noun
    # It is no part of the number.
    assert figure == Figure(figure.mantissa, figure.decimals, figure.unit)


@pytest.mark.parametrize("number", ["", "many", "569 Q", "4.2.1 M", "-3 M", -3, float("nan"), float("inf"), "1 G G"])
def test_what_is_no_number_is_refused(number: object) -> None:
    with pytest.raises(
        ValueError, match=r"^explain_number: number is .*, which cannot be read\. Did you mean digits with"
    ):
        read_figure(number, "explain_number")


@pytest.mark.parametrize("number", [None, True, [569], 5 + 1j])
def test_what_is_of_another_type_is_refused(number: object) -> None:
    with pytest.raises(TypeError, match=r"^read_figure: number is .*, but must be an integer, a float or text"):
        read_figure(number)


@given(st.integers(0, 10**15), st.integers(0, 3), st.sampled_from(sorted(UNITS)))
def test_what_is_written_is_read_again(mantissa: int, decimals: int, unit: str) -> None:
    figure = Figure(mantissa, decimals, unit)
    again = read_figure(str(figure))
    assert again.value == figure.value
    assert again.digit == figure.digit or (unit == "" and decimals == 0)


@given(st.integers(0, 10**15), st.integers(-6, 3), st.sampled_from(sorted(UNITS)))
def test_a_number_prints_as_what_it_is_rounded_to(number: int, decimals: int, unit: str) -> None:
    printed = Figure(0, decimals, unit).like(number)
    assert printed.rounding_of(number) in ("exactly", "rounded")
    above, below = (Figure(printed.mantissa + step, decimals, unit) for step in (1, -1))
    ways = [figure.rounding_of(number) for figure in (above, printed, below)]
    # Half a digit rounds either way.
    half = abs(number - printed.value) * 2 == printed.digit
    assert [way in ROUNDINGS for way in ways].count(True) == (1 if printed.value == number else 2)
    assert ways.count("rounded") == (2 if half else 0 if printed.value == number else 1)
    assert ways[0] in (None, "rounded up", "rounded")
    assert ways[2] in (None, "cut off", "rounded")
