"""The closed forms against counts made one by one, their laws, and the arithmetic of records."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npconv.counts import OpCount, conv2d_counts, conv2d_parameters, count_conv2d
from npconv.geometry import Geometry, conv2d_geometry, covered_outputs, output_size, valid_taps

Axis = tuple[int, int, int, int, int, int]

fewer = settings(max_examples=settings().max_examples // 3)

# The layer that the counting rules tabulate: 64 -> 128 channels, 3x3, padding 1, 4 groups, on 14x14.
LAYER = conv2d_geometry((1, 64, 14, 14), (128, 16, 3, 3), padding=1, groups=4)


def real_taps(axis: Axis) -> list[int]:
    """Return for each window of an axis, laid out cell by cell, how many of its taps meet a real cell."""
    n, k, s, d, p0, p1 = axis
    cells = [False] * p0 + [True] * n + [False] * p1
    reach = d * (k - 1) + 1
    return [sum(cells[first : first + reach : d]) for first in range(0, len(cells) - reach + 1, s)]


@st.composite
def axes(draw: st.DrawFn, most: int = 8) -> Axis:
    """Draw an axis with an output: its size first, then all that makes a padded input of that size."""
    o, k, s, d = (draw(st.integers(1, most)) for _ in "oksd")
    padded = (o - 1) * s + d * (k - 1) + 1 + draw(st.integers(0, s - 1))
    p0 = min(draw(st.integers(0, 3 * most)), padded - 1)
    p1 = min(draw(st.integers(0, 3 * most)), padded - 1 - p0)
    return padded - p0 - p1, k, s, d, p0, p1


@dataclass(frozen=True)
class Layer:
    """A convolution before anything is known about it: batch, groups, channels and filters of a group, two axes."""

    N: int
    groups: int
    C: int
    F: int
    rows: Axis
    columns: Axis

    def geometry(self, **changes: int) -> Geometry:
        """Return the geometry, with another batch, number of filters or groups."""
        N, O, g = (
            changes.get(name, n) for name, n in (("N", self.N), ("O", self.groups * self.F), ("groups", self.groups))
        )
        (H, KH, sh, dh, *rows), (W, KW, sw, dw, *columns) = self.rows, self.columns
        return conv2d_geometry(
            (N, self.groups * self.C, H, W),
            (O, self.groups * self.C // g, KH, KW),
            stride=(sh, sw),
            padding=(rows, columns),
            dilation=(dh, dw),
            groups=g,
        )


layers = st.builds(Layer, st.integers(0, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), axes(4), axes(4))


def judged(counts: OpCount) -> tuple[int, int, int, int]:
    """Return the four numbers that the closed forms give."""
    return counts.mul, counts.add, counts.padding_mul, counts.padding_add


def one_by_one(geometry: Geometry, bias: bool) -> OpCount:
    """Count a convolution by walking over every output and every tap, as the definition adds them up."""
    counts = OpCount()
    rows, columns = map(real_taps, geometry.axes)
    for _, _, h, w in product(range(geometry.N), range(geometry.O), rows, columns):
        real = geometry.group_channels * h * w
        padding = geometry.K - real
        # The first product is where a sum without bias starts; a real one, if there is any.
        add = real if bias else max(0, real - 1)
        counts += OpCount(real, add, padding, geometry.K - (not bias) - add)
    return counts


# one axis


@pytest.mark.parametrize(
    ("axis", "taps"),
    [
        ((3, 3, 1, 1, 1, 1), [2, 3, 2]),
        ((5, 3, 1, 1, 0, 0), [3, 3, 3]),
        ((5, 3, 2, 1, 1, 1), [2, 3, 2]),
        ((6, 3, 2, 1, 1, 1), [2, 3, 3]),
        ((5, 3, 1, 2, 2, 2), [2, 2, 3, 2, 2]),
        ((4, 2, 3, 1, 0, 0), [2]),
        ((8, 2, 3, 1, 1, 0), [1, 2, 2]),
        ((2, 3, 1, 1, 3, 3), [0, 1, 2, 2, 1, 0]),
        ((2, 5, 1, 1, 2, 2), [2, 2]),
        ((1, 2, 1, 2, 1, 1), [0]),
        ((1, 3, 1, 2, 2, 2), [1]),
        ((1, 1, 1, 1, 2, 3), [0, 0, 1, 0, 0, 0]),
        ((1, 1, 7, 1, 2, 3), [0]),
        ((2, 3, 1, 4, 4, 5), [1, 1, 0]),
        ((1, 1, 1, 1, 0, 0), [1]),
    ],
)
def test_real_taps_counted_by_hand(axis: Axis, taps: list[int]) -> None:
    assert real_taps(axis) == taps
    assert output_size(*axis) == len(taps)
    assert valid_taps(*axis) == sum(taps)
    assert covered_outputs(*axis) == len(taps) - taps.count(0)


@given(axes())
def test_the_sums_along_an_axis_are_what_a_walk_counts(axis: Axis) -> None:
    taps = real_taps(axis)
    assert output_size(*axis) == len(taps)
    assert valid_taps(*axis) == sum(taps)
    assert covered_outputs(*axis) == len(taps) - taps.count(0)


@given(axes())
def test_an_axis_reads_the_same_from_either_end_where_no_cell_is_left_over(axis: Axis) -> None:
    n, k, s, d, p0, p1 = axis
    p1 -= min(p1, (n + p0 + p1 - d * (k - 1) - 1) % s)
    if (n + p0 + p1 - d * (k - 1) - 1) % s == 0:
        assert valid_taps(n, k, s, d, p0, p1) == valid_taps(n, k, s, d, p1, p0)
        assert covered_outputs(n, k, s, d, p0, p1) == covered_outputs(n, k, s, d, p1, p0)


def test_a_stride_may_step_over_the_image() -> None:
    assert valid_taps(2, 1, 10, 1, 5, 5) == 0
    assert covered_outputs(2, 1, 10, 1, 5, 5) == 0


@pytest.mark.parametrize("huge", [2**31, 2**55, 2**63, 2**100])
def test_the_sums_do_not_walk(huge: int) -> None:
    assert valid_taps(huge, 3, 1, 1, 1, 1) == 3 * huge - 2
    assert covered_outputs(huge, 3, 1, 1, 1, 1) == huge
    assert valid_taps(5, 3, 1, 1, huge, huge) == 15
    assert covered_outputs(5, 3, 1, 1, huge, huge) == 7
    assert valid_taps(5, 3, 1, huge, huge, huge) == 5
    assert covered_outputs(5, 3, huge, 1, huge, huge) == 1
    assert valid_taps(2 * huge, huge, 1, 1, 0, 0) == (huge + 1) * huge
    assert covered_outputs(2 * huge, huge, 1, 1, 0, 0) == huge + 1
    # Of five windows the even ones meet two of the three cells, the odd ones the middle one.
    assert valid_taps(3, huge, 1, 2, huge, huge) == 8


# a layer


def test_a_layer_counted_by_hand() -> None:
    # 2 images of 4x3, 2 groups of 3 channels and 1 filter of 2x3. Padding (1, 0), (1, 1): 4 rows of windows with
    # 1, 2, 2, 2 real rows, 3 columns with 2, 3, 2 real columns; 2 * 2 * 12 windows of 18 taps.
    counts = count_conv2d((2, 6, 4, 3), (2, 3, 2, 3), padding=((1, 0), (1, 1)), groups=2)
    assert judged(counts) == (4 * 3 * 7 * 7, 588 - 48, 864 - 588, (864 - 48) - (588 - 48))
    biased = count_conv2d((2, 6, 4, 3), (2, 3, 2, 3), bias=True, padding=((1, 0), (1, 1)), groups=2)
    assert judged(biased) == (588, 588, 276, 276)
    assert (counts.idle_mul, counts.idle_add, counts.transform_mul, counts.transform_add, counts.moved) == (0,) * 5


def test_a_window_of_padding_alone_adds_nothing_that_is_useful() -> None:
    # One pixel under a 1x1 filter, one zero above it: the upper window has no real tap.
    shapes: tuple[Any, Any] = (1, 1, 1, 1), (1, 1, 1, 1)
    assert judged(count_conv2d(*shapes, padding=((1, 0), (0, 0)))) == (1, 0, 1, 0)
    assert judged(count_conv2d(*shapes, bias=True, padding=((1, 0), (0, 0)))) == (1, 1, 1, 1)
    # A dilated filter that straddles the only pixel.
    assert judged(count_conv2d((1, 1, 1, 1), (1, 1, 2, 1), padding=(1, 0), dilation=2)) == (0, 0, 2, 1)


@fewer
@given(layers, st.booleans())
def test_the_closed_forms_are_what_a_walk_counts(layer: Layer, bias: bool) -> None:
    geometry = layer.geometry()
    assert conv2d_counts(geometry, bias) == one_by_one(geometry, bias)


def test_the_definitions_of_one_layer() -> None:
    biased, plain = conv2d_counts(LAYER, bias=True), conv2d_counts(LAYER, bias=False)
    assert (biased.mul, biased.add) == (3_276_800, 3_276_800)
    assert (biased.dense_mul, biased.dense_add) == (3_612_672, 3_612_672)
    assert plain.mul == biased.mul
    assert plain.dense_mul == biased.dense_mul
    assert plain.dense_add == 3_587_584
    assert plain.add == 3_276_800 - 128 * 14 * 14
    assert round(100 * biased.padding_mul / biased.dense_mul, 1) == 9.3
    # What other tools print: twice the dense products, and those with one more per output.
    assert 2 * biased.dense_mul == 7_225_344
    assert biased.dense_mul + LAYER.P == 3_637_760
    assert 2 * biased.mul == 6_553_600


def test_counting_a_call_takes_its_options() -> None:
    options: dict[str, Any] = {"stride": (2, 1), "padding": "same", "dilation": (1, 3), "groups": 2}
    geometry = conv2d_geometry((2, 4, 9, 11), (6, 2, 3, 2), **options)
    for bias in (False, True):
        counts = count_conv2d((2, 4, 9, 11), (6, 2, 3, 2), bias=bias, **options)
        assert counts == one_by_one(geometry, bias)
    assert count_conv2d((2, 4, 9, 11), [6, 2, 3, 2], **options) == conv2d_counts(geometry, bias=False)
    usual = conv2d_geometry((2, 4, 9, 11), (6, 4, 3, 2), stride=1, padding=0, dilation=1, groups=1)
    assert count_conv2d((2, 4, 9, 11), (6, 4, 3, 2)) == one_by_one(usual, bias=False)


@pytest.mark.parametrize("bias", [None, 1, 0, "True", [1.0]])
def test_a_bias_is_there_or_not(bias: Any) -> None:
    with pytest.raises(TypeError, match=r"^count_conv2d: bias is .*, but must be True or False"):
        count_conv2d((1, 1, 3, 3), (1, 1, 3, 3), bias=bias)


def test_errors_bear_the_name_of_the_function() -> None:
    with pytest.raises(ValueError, match=r"^count_conv2d: stride is 0"):
        count_conv2d((1, 1, 3, 3), (1, 1, 3, 3), stride=0)


def test_parameters_are_weights_and_one_bias_per_filter() -> None:
    assert conv2d_parameters(LAYER, bias=False) == 128 * 16 * 9
    assert conv2d_parameters(LAYER, bias=True) == 128 * 16 * 9 + 128


def test_an_empty_batch_computes_nothing() -> None:
    assert count_conv2d((0, 3, 9, 9), (8, 3, 3, 3), bias=True, padding=1) == OpCount()


# laws


@fewer
@given(layers, st.booleans())
def test_dense_and_useful_counts_have_their_definitions(layer: Layer, bias: bool) -> None:
    g = layer.geometry()
    counts, (V_h, V_w), (A_h, A_w) = (
        conv2d_counts(g, bias),
        [valid_taps(*axis) for axis in g.axes],
        [covered_outputs(*axis) for axis in g.axes],
    )
    assert counts.dense_mul == g.P * g.K
    assert counts.dense_add == g.P * (g.K if bias else g.K - 1)
    assert counts.mul == g.N * g.O * (g.C // g.groups) * V_h * V_w
    assert counts.add == counts.mul - (0 if bias else g.N * g.O * A_h * A_w)
    assert min(judged(counts)) >= 0


@fewer
@given(layers, st.booleans())
def test_one_group_is_the_ordinary_convolution(layer: Layer, bias: bool) -> None:
    g = layer.geometry(groups=1)
    assert g.K == g.C * g.KH * g.KW
    x_shape, weight_shape = g.x_shape, (g.O, g.C, g.KH, g.KW)
    ordinary = count_conv2d(x_shape, weight_shape, bias=bias, stride=g.stride, padding=g.padding, dilation=g.dilation)
    assert conv2d_counts(g, bias) == ordinary


@fewer
@given(layers, st.booleans())
def test_a_grouped_call_is_the_sum_of_its_ordinary_calls(layer: Layer, bias: bool) -> None:
    part = Layer(layer.N, 1, layer.C, layer.F, layer.rows, layer.columns).geometry()
    parts = [conv2d_counts(part, bias) for _ in range(layer.groups)]
    assert sum(parts, OpCount()) == conv2d_counts(layer.geometry(), bias)


@fewer
@given(layers, st.booleans(), st.integers(0, 5), st.integers(1, 5))
def test_counts_add_over_a_split_of_images_and_of_filters(layer: Layer, bias: bool, N: int, blocks: int) -> None:
    whole = conv2d_counts(layer.geometry(N=layer.N + N), bias)
    assert whole == conv2d_counts(layer.geometry(), bias) + conv2d_counts(layer.geometry(N=N), bias)
    O, more = layer.groups * layer.F, layer.groups * blocks
    whole = conv2d_counts(layer.geometry(O=O + more), bias)
    assert whole == conv2d_counts(layer.geometry(), bias) + conv2d_counts(layer.geometry(O=more), bias)


@fewer
@given(layers, st.booleans())
def test_useful_is_dense_exactly_where_no_tap_meets_padding(layer: Layer, bias: bool) -> None:
    geometry = layer.geometry()
    counts = conv2d_counts(geometry, bias)
    full = all(taps == axis[1] for axis in geometry.axes for taps in real_taps(axis))
    assert (counts.mul == counts.dense_mul) == (full or geometry.N == 0)
    if full:
        assert counts.padding_mul == counts.padding_add == 0


@fewer
@given(layers.filter(lambda layer: layer.N > 0))
def test_products_scale_by_one_over_g_and_little_else_does(layer: Layer) -> None:
    grouped, ordinary, g = layer.geometry(), layer.geometry(groups=1), layer.groups
    for bias in (False, True):
        few, many = conv2d_counts(grouped, bias), conv2d_counts(ordinary, bias)
        assert (g * few.mul, g * few.padding_mul) == (many.mul, many.padding_mul)
    # Additions without bias, and parameters with one, fall short of g by what every output has once.
    plain, whole = conv2d_counts(grouped, bias=False), conv2d_counts(ordinary, bias=False)
    assert whole.dense_add - g * plain.dense_add == (g - 1) * grouped.P
    assert g * conv2d_parameters(grouped, bias=False) == conv2d_parameters(ordinary, bias=False)
    assert g * conv2d_parameters(grouped, bias=True) - conv2d_parameters(ordinary, bias=True) == (g - 1) * grouped.O


def test_what_four_groups_save() -> None:
    ordinary = conv2d_geometry((1, 64, 14, 14), (128, 64, 3, 3), padding=1)
    grouped, whole = conv2d_counts(LAYER, bias=False), conv2d_counts(ordinary, bias=False)
    assert Fraction(whole.dense_mul, grouped.dense_mul) == 4
    assert round(whole.dense_add / grouped.dense_add, 2) == 4.02
    assert round(conv2d_parameters(ordinary, bias=True) / conv2d_parameters(LAYER, bias=True), 2) == 3.98


# records

FIELDS = ("mul", "add", "padding_mul", "padding_add", "idle_mul", "idle_add", "transform_mul", "transform_add", "moved")
EACH_ITS_BIT = OpCount(*(1 << i for i in range(9)))


def numbers(counts: OpCount) -> Iterator[int]:
    """Yield the fields of a record in their order."""
    return (getattr(counts, name) for name in FIELDS)


def test_the_fields_of_a_record() -> None:
    assert list(numbers(OpCount())) == [0] * 9
    assert list(numbers(EACH_ITS_BIT)) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    for i, name in enumerate(FIELDS):
        assert OpCount(**{name: 3}) == OpCount(*(3 if i == j else 0 for j in range(9)))


def test_what_derives_from_a_record() -> None:
    assert EACH_ITS_BIT.dense_mul == 1 + 4
    assert EACH_ITS_BIT.dense_add == 2 + 8
    assert EACH_ITS_BIT.executed_mul == 1 + 4 + 16 + 64
    assert EACH_ITS_BIT.executed_add == 2 + 8 + 32 + 128
    assert EACH_ITS_BIT.utilisation == 1 / 85
    assert OpCount(mul=3, padding_mul=1).utilisation == 0.75
    assert OpCount(mul=3 * 10**400, idle_mul=10**400).utilisation == 0.75
    assert OpCount(add=5, moved=5).utilisation == 1.0
    assert OpCount(padding_mul=1).utilisation == 0.0


def test_a_record_is_a_constant() -> None:
    assert len({EACH_ITS_BIT, OpCount(*numbers(EACH_ITS_BIT)), OpCount()}) == 2
    for name in ("mul", "something new"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(EACH_ITS_BIT, name, 3)
    assert not hasattr(EACH_ITS_BIT, "__dict__")


records = st.builds(OpCount, *[st.integers(0, 2**70)] * 9)


@given(records, records, st.integers(0, 2**70))
def test_records_add_up_and_scale_field_by_field(a: OpCount, b: OpCount, n: int) -> None:
    assert list(numbers(a + b)) == [i + j for i, j in zip(numbers(a), numbers(b), strict=True)]
    assert list(numbers(n * a)) == [n * i for i in numbers(a)]
    assert n * a == a * n
    assert n * (a + b) == n * a + n * b
    assert sum([a, b, a]) == 2 * a + b
    assert sum([a], b) == a + b


def test_only_what_makes_sense_adds_and_scales() -> None:
    a: Any = EACH_ITS_BIT
    assert (0 + a, a * 1, 0 * a) == (a, a, OpCount())
    for other in (1, -1, 0.0, False, None, "a"):
        with pytest.raises(TypeError, match="operand"):
            a + other
        with pytest.raises(TypeError, match=r"operand|concatenate"):
            other + a
    with pytest.raises(TypeError, match="operand"):
        a + 0
    for times in (1.0, True, "2", a, None):
        with pytest.raises(TypeError, match=r"^OpCount: times is .*, but must be an integer"):
            a * times
        with pytest.raises(TypeError, match=r"^OpCount: times is .*, but must be an integer"):
            times * a
    with pytest.raises(ValueError, match=r"^OpCount: times is -1, but must be at least 0"):
        a * -1


def test_integers_of_other_libraries_scale_from_either_side() -> None:
    class Greedy:
        """An integer that would make an array of objects of whatever it is multiplied by, if that let it."""

        def __index__(self) -> int:
            return 3

        def __mul__(self, other: Any) -> Any:
            return NotImplemented if other.__array_ufunc__ is None else [other]

    assert Greedy() * EACH_ITS_BIT == EACH_ITS_BIT * Greedy() == 3 * EACH_ITS_BIT


def test_a_record_is_written_as_the_call_that_makes_it() -> None:
    assert repr(OpCount()) == "OpCount()"
    assert repr(OpCount(mul=1, idle_add=2, moved=3)) == "OpCount(mul=1, idle_add=2, moved=3)"
    assert repr(EACH_ITS_BIT) == (
        "OpCount(mul=1, add=2, padding_mul=4, padding_add=8, idle_mul=16, idle_add=32, transform_mul=64,"
        " transform_add=128, moved=256)"
    )


def test_a_record_prints_what_its_numbers_mean() -> None:
    assert str(conv2d_counts(LAYER, bias=True)) == (
        "products   3,612,672 executed = 3,276,800 useful + 335,872 on padding\n"
        "additions  3,612,672 executed = 3,276,800 useful + 335,872 on padding\n"
        "dense      3,612,672 products, 3,612,672 additions (useful and padding; many tools call these products MACs)\n"
        "utilised   90.7% of the executed products"
    )
    assert str(1000 * EACH_ITS_BIT) == (
        "products   85,000 executed = 1,000 useful + 4,000 on padding + 16,000 idle + 64,000 in transforms\n"
        "additions  170,000 executed = 2,000 useful + 8,000 on padding + 32,000 idle + 128,000 in transforms\n"
        "dense      5,000 products, 10,000 additions (useful and padding; many tools call these products MACs)\n"
        "utilised   1.2% of the executed products\n"
        "moved      256,000 elements"
    )
    assert str(OpCount(moved=1)).endswith("utilised   100.0% of the executed products\nmoved      1 elements")
