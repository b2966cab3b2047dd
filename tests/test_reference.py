"""The reference against cases computed by hand; nothing else judges it."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

import numpy as np
import pytest

from npconv.reference import conv2d

# One plane of 3 rows and 4 columns whose digits are the address: row, column.
PLANE = [[11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34]]


class Term:
    """A symbolic number: writes down every operation that it takes part in."""

    def __init__(self, text: object) -> None:
        self.text = str(text)

    def __mul__(self, other: Self) -> "Term":
        return Term(f"{self.text}{other.text}")

    def __add__(self, other: Self) -> "Term":
        return Term(f"({self.text}+{other.text})")


def terms(letter: str, *extents: int) -> Any:
    """Return a nested list of Terms named by a letter and their indices."""
    if not extents:
        return Term(letter)
    return [terms(f"{letter}{i}", *extents[1:]) for i in range(extents[0])]


def test_one_product() -> None:
    assert conv2d([[[[3]]]], [[[[5]]]]) == [[[[15]]]]


def test_the_filter_is_not_flipped() -> None:
    # 1*11 + 10*12 + 100*21 + 1000*22 = 24231, and every step to the right adds 1 to each digit place's pixel: 1111.
    y = conv2d([[PLANE]], [[[[1, 10], [100, 1000]]]])
    assert y == [[[[24231, 25342, 26453], [35341, 36452, 37563]]]]


def test_even_kernel_of_four_columns_and_one_row() -> None:
    assert conv2d([[PLANE]], [[[[1, 0, 0, 2]]]]) == [[[[11 + 28], [21 + 48], [31 + 68]]]]


def test_stride_drops_the_columns_that_no_window_fills() -> None:
    assert conv2d([[PLANE]], [[[[1]]]], stride=(2, 3)) == [[[[11, 14], [31, 34]]]]
    assert conv2d([[PLANE]], [[[[0, 0, 1]]]], stride=2) == [[[[13], [33]]]]


def test_dilation_spreads_the_taps() -> None:
    # Taps two rows and three columns apart meet the four corners: 11 + 2*14 + 3*31 + 4*34 = 268.
    assert conv2d([[PLANE]], [[[[1, 2], [3, 4]]]], dilation=(2, 3)) == [[[[268]]]]


def test_four_different_paddings() -> None:
    y = conv2d([[[[7]]]], [[[[1]]]], padding=((1, 2), (3, 0)))
    assert y == [[[[0, 0, 0, 0], [0, 0, 0, 7], [0, 0, 0, 0], [0, 0, 0, 0]]]]


def test_padding_beyond_the_kernel_gives_windows_of_zeros() -> None:
    assert conv2d([[[[7]]]], [[[[1, 10]]]], [5], padding=(0, 3)) == [[[[5, 5, 75, 12, 5, 5]]]]


def test_same_padding_puts_the_odd_cell_at_the_end() -> None:
    # Width 4, kernel 3, stride 2: two outputs, one cell of padding in all.
    x, weight = [[[[1, 2, 3, 4]]]], [[[[1, 10, 100]]]]
    assert conv2d(x, weight, stride=(1, 2), padding="same") == [[[[321, 43]]]]
    assert conv2d(x, weight, stride=(1, 2), padding="same_lower") == [[[[210, 432]]]]
    assert conv2d(x, weight, stride=(1, 2), padding="valid") == [[[[321]]]]


def test_channels_add_up_and_each_filter_has_its_own_bias() -> None:
    x = [[[[1]], [[2]]], [[[3]], [[4]]]]
    weight = [[[[1]], [[10]]], [[[100]], [[1000]]], [[[0]], [[0]]]]
    assert conv2d(x, weight, [0, 5, 9]) == [[[[21]], [[2105]], [[9]]], [[[43]], [[4305]], [[9]]]]


def test_a_group_sees_its_own_channels_alone() -> None:
    x = [[[[1]], [[2]], [[3]], [[4]]]]
    weight = [[[[1]], [[10]]], [[[2]], [[20]]], [[[3]], [[30]]], [[[4]], [[40]]], [[[5]], [[50]]], [[[6]], [[60]]]]
    # Filters 0 to 2 read channels 0 and 1 (1 + 20 = 21), filters 3 to 5 channels 2 and 3 (3 + 40 = 43).
    assert conv2d(x, weight, groups=2) == [[[[21]], [[42]], [[63]], [[4 * 43]], [[5 * 43]], [[6 * 43]]]]


def test_a_depth_multiplier_keeps_the_outputs_of_a_channel_together() -> None:
    x = [[[[1]], [[2]]]]
    weight = [[[[10]]], [[[20]]], [[[30]]], [[[40]]]]
    assert conv2d(x, weight, groups=2) == [[[[10]], [[20]], [[60]], [[80]]]]


def test_terms_are_added_in_order_from_the_first_product() -> None:
    [[[[y]]]] = conv2d(terms("x", 1, 2, 1, 2), terms("w", 1, 2, 1, 2))
    assert y.text == "(((x0000w0000+x0001w0001)+x0100w0100)+x0101w0101)"


def test_terms_are_added_in_order_from_the_bias() -> None:
    [[[[y]]]] = conv2d(terms("x", 1, 1, 2, 2), terms("w", 1, 1, 2, 2), terms("b", 1))
    assert y.text == "((((b0+x0000w0000)+x0001w0001)+x0010w0010)+x0011w0011)"


def test_padding_is_the_zero_of_the_number_type() -> None:
    [[[[left, right]]]] = conv2d(terms("x", 1, 1, 1, 1), terms("w", 1, 1, 1, 2), padding=(0, 1))
    assert left.text == "(0w0000+x0000w0001)"
    assert right.text == "(x0000w0000+0w0001)"


def test_fractions_stay_exact() -> None:
    x = [[[[Fraction(1, 3), Fraction(1, 7)]]]]
    [[[[y]]]] = conv2d(x, [[[[Fraction(3, 5), Fraction(7, 11)]]]], [Fraction(1, 2)])
    assert y == Fraction(1, 5) + Fraction(1, 11) + Fraction(1, 2)
    [[[row]]] = conv2d(x, [[[[Fraction(1, 2)]]]], padding=(0, 1))
    assert row == [0, Fraction(1, 6), Fraction(1, 14), 0]
    assert all(isinstance(value, Fraction) for value in row)


def test_decimals_and_numpy_scalars_keep_their_own_rounding() -> None:
    assert conv2d([[[[Decimal("0.1")]]]], [[[[Decimal(3)]]]]) == [[[[Decimal("0.3")]]]]
    [[[[y]]]] = conv2d([[[[np.float32(0.1)]]]], [[[[np.float32(0.1)]]]])
    assert type(y) is np.float32
    assert y == np.float32(0.1) * np.float32(0.1)


def test_sums_of_floats_are_not_compensated() -> None:
    # In doubles 2**53 + 1 rounds back to 2**53, twice; a compensated sum would say 2**53 + 2.
    assert conv2d([[[[1.0, 1.0]]]], [[[[1.0, 1.0]]]], [2.0**53]) == [[[[2.0**53]]]]


def test_an_infinite_or_nan_weight_over_padding_is_nan() -> None:
    for weight in (math.inf, -math.inf, math.nan):
        [[[[left, middle, right]]]] = conv2d([[[[2.0]]]], [[[[weight]]]], padding=(0, 1))
        assert math.isnan(left)
        assert math.isnan(right)
        assert math.isnan(middle) == math.isnan(weight)


def test_an_infinite_image_does_not_reach_into_the_padding() -> None:
    assert conv2d([[[[math.inf]]]], [[[[2.0]]]], padding=(0, 1)) == [[[[0.0, math.inf, 0.0]]]]


def test_the_sign_of_zero_is_kept() -> None:
    [[[[y]]]] = conv2d([[[[-0.0]]]], [[[[1.0]]]])
    assert math.copysign(1.0, y) == -1.0
    [[[[y]]]] = conv2d([[[[-0.0]]]], [[[[1.0]]]], [0.0])
    assert math.copysign(1.0, y) == 1.0


def test_arrays_are_read_as_python_numbers() -> None:
    x = np.array([[PLANE]], np.int8)
    y = conv2d(x, np.full((1, 1, 3, 4), 100, np.int8), np.array([1], np.int8))
    assert y == [[[[27001]]]]  # no wrap at 8 bits: 270 * 100 + 1
    assert type(y[0][0][0][0]) is int
    tenth = np.full((1, 1, 1, 1), 0.1, np.float32)
    [[[[z]]]] = conv2d(tenth, tenth)
    assert z == float(np.float32(0.1)) ** 2


def test_an_array_of_no_images_gives_no_outputs() -> None:
    assert conv2d(np.zeros((0, 2, 3, 3)), np.zeros((4, 2, 3, 3))) == []


def test_inputs_are_not_written() -> None:
    x, weight, bias = [[[[1, 2]]]], [[[[3, 4]]]], [5]
    conv2d(x, weight, bias, padding=1)
    assert (x, weight, bias) == ([[[[1, 2]]]], [[[[3, 4]]]], [5])


def test_tuples_are_sequences_too() -> None:
    assert conv2d(((((1, 2),),),), ((((3, 4),),),), (5,)) == [[[[16]]]]


@pytest.mark.parametrize(
    ("x", "weight", "bias", "options", "message"),
    [
        ([[[[1, 2], [3]]]], [[[[1]]]], None, {}, r"reference\.conv2d: .*box.*\(1,\), \(2,\)"),
        ([[[[1]]]], [[[[1]]]], [1, 2], {}, r"reference\.conv2d: bias has shape \(2,\), but weight has 1 filters"),
        ([[[[1]]]], [[[[1]]]], 3, {}, r"reference\.conv2d: bias has shape \(\), but weight has 1 filters"),
        ([[[1]]], [[[[1]]]], None, {}, r"reference\.conv2d: "),
        ([[[[1]]]], [[[[1], [1]]]], None, {}, r"reference\.conv2d: "),
        ([[[[1]], [[1]]]], [[[[1]]]], None, {}, r"reference\.conv2d: "),
        ([], [[[[1]]]], None, {}, r"reference\.conv2d: "),
        ([[[[1]]]], [[[[1]]]], None, {"stride": 0}, r"reference\.conv2d: "),
    ],
)
def test_wrong_values_say_what_is_wrong(x: Any, weight: Any, bias: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conv2d(x, weight, bias, **options)


@pytest.mark.parametrize("options", [{"stride": 1.5}, {"padding": True}, {"dilation": "2"}, {"groups": 1.0}])
def test_options_must_be_integers(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"reference\.conv2d: "):
        conv2d([[[[1]]]], [[[[1]]]], **options)
