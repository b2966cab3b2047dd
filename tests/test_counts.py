"""What the loops executed, what the plan predicted and what the closed forms say are the same integers."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npconv as nc
from cases import CASES, METHODS, Case, small_integers
from npconv import reference
from npconv.counts import OpCount
from strategies import cases, large_cases, one_in, seeds

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)

# The layer that the counting rules tabulate: 64 -> 128 channels, 3x3, padding 1, 4 groups, on 14x14.
LAYER = Case((1, 64, 14, 14), (128, 16, 3, 3), padding=1, groups=4)


def judged(counts: OpCount) -> tuple[int, int, int, int]:
    """Return the four fields that the closed forms judge."""
    return counts.mul, counts.add, counts.padding_mul, counts.padding_add


def closed_form(case: Case, biased: bool) -> OpCount:
    """Return the closed form of one call."""
    return nc.count_conv2d(case.x_shape, case.weight_shape, bias=biased, **case.options)


def check_counts(case: Case, biased: bool, dtype: str = "float32", seed: int = 0) -> None:
    """Hold every method's tally to the closed form, and every prediction to the tally."""
    x, weight, bias = small_integers(case, dtype, seed)
    closed, geometry = closed_form(case, biased), case.geometry
    dense_mul, dense_add = geometry.P * geometry.K, geometry.P * (geometry.K - 1 + biased)
    for method in case.methods(dtype):
        b = bias if biased else None
        y, counts = nc.conv2d(x, weight, b, method=method, return_counts=True, **case.options)
        assert y.shape == geometry.y_shape
        assert judged(counts) == judged(closed), method
        assert (counts.dense_mul, counts.dense_add) == (dense_mul, dense_add), method
        kept = (counts.executed_mul - counts.idle_mul, counts.executed_add - counts.idle_add)
        assert kept == (dense_mul, dense_add), method
        assert min(counts.idle_mul, counts.idle_add, counts.moved) >= 0, method
        assert (counts.transform_mul, counts.transform_add) == (0, 0), method
        if method == "naive":
            assert (counts.idle_mul, counts.idle_add) == (0, 0)

        plan = nc.plan_conv2d(case.x_shape, weight, b, method=method, **case.options)
        assert plan.counts == counts, method
        y, again = plan(x, return_counts=True)
        assert again == counts, method


@dataclass
class Tally:
    """What numbers have counted: operations on the image, and those where padding takes part."""

    mul: int = 0
    add: int = 0
    padding_mul: int = 0
    padding_add: int = 0


class Number:
    """A number without a value that counts its operations; made from 0, as padding is, it knows that it is padding."""

    tally: ClassVar[Tally] = Tally()

    def __init__(self, real: int) -> None:
        self.real = bool(real)

    def __mul__(self, other: Self) -> "Number":
        if self.real and other.real:
            Number.tally.mul += 1
        else:
            Number.tally.padding_mul += 1
        return Number(self.real and other.real)

    def __add__(self, other: Self) -> "Number":
        if self.real and other.real:
            Number.tally.add += 1
        else:
            Number.tally.padding_add += 1
        return Number(self.real or other.real)

    @classmethod
    def counted(cls, case: Case, biased: bool) -> Tally:
        """Run the definition over these numbers and return what they counted."""
        cls.tally = Tally()
        x, weight = np.full(case.x_shape, cls(1), object), np.full(case.weight_shape, cls(1), object)
        reference.conv2d(x, weight, [cls(1)] * len(weight) if biased else None, **case.options)
        return cls.tally


@one_in(2)
@given(cases((1_000, 5_000)), st.booleans())
def test_the_closed_form_counts_what_the_definition_executes(case: Case, biased: bool) -> None:
    tally = Number.counted(case, biased)
    assert judged(closed_form(case, biased)) == (tally.mul, tally.add, tally.padding_mul, tally.padding_add)


@each_case
@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
def test_every_method_counts_every_case(case: Case, biased: bool, dtype: str) -> None:
    check_counts(case, biased, dtype)


@given(cases(), st.booleans(), seeds)
def test_every_method_counts_every_geometry(case: Case, biased: bool, seed: int) -> None:
    check_counts(case, biased, seed=seed)


@one_in(5)
@given(large_cases(), st.booleans())
def test_every_method_counts_many_tiles(case: Case, biased: bool) -> None:
    check_counts(case, biased)


def test_the_layer_that_the_rules_tabulate() -> None:
    biased, plain = closed_form(LAYER, True), closed_form(LAYER, False)
    assert (biased.mul, biased.add) == (3_276_800, 3_276_800)
    assert (biased.dense_mul, biased.dense_add) == (3_612_672, 3_612_672)
    assert plain.dense_add == 3_587_584
    check_counts(LAYER, True)
    check_counts(LAYER, False)


def test_counts_are_python_integers() -> None:
    case = CASES["two groups"]
    x, weight, bias = small_integers(case, "float32", 0)
    for method in case.methods():
        _, counts = nc.conv2d(x, weight, bias, method=method, return_counts=True, **case.options)
        assert {type(getattr(counts, field.name)) for field in fields(OpCount)} == {int}


# The laws, on the closed forms (which the tests above hold to the loops).


def total(parts: Iterable[OpCount]) -> tuple[int, int, int, int]:
    """Return the judged fields of a sum."""
    return judged(sum(parts, OpCount()))


@one_in(5)
@given(cases(), st.booleans())
def test_a_grouped_call_counts_as_its_groups_do_alone(case: Case, biased: bool) -> None:
    g = case.geometry
    part = replace(
        case,
        x_shape=(g.N, g.group_channels, g.H, g.W),
        weight_shape=(g.group_filters, *case.weight_shape[1:]),
        groups=1,
    )
    assert judged(closed_form(case, biased)) == total([closed_form(part, biased)] * g.groups)


@one_in(5)
@given(cases(), st.booleans(), st.data())
def test_counts_add_over_a_split_of_the_batch_and_of_the_filters(case: Case, biased: bool, data: st.DataObject) -> None:
    g = case.geometry
    n = data.draw(st.integers(0, g.N))
    parts = [replace(case, x_shape=(size, *case.x_shape[1:])) for size in (n, g.N - n)]
    assert judged(closed_form(case, biased)) == total(closed_form(part, biased) for part in parts)
    if g.groups == 1 and g.O > 1:
        o = data.draw(st.integers(1, g.O - 1))
        parts = [replace(case, weight_shape=(size, *case.weight_shape[1:])) for size in (o, g.O - o)]
        assert judged(closed_form(case, biased)) == total(closed_form(part, biased) for part in parts)


@one_in(5)
@given(cases(), st.booleans())
def test_useful_is_dense_exactly_when_no_tap_meets_padding(case: Case, biased: bool) -> None:
    g = case.geometry
    counts = closed_form(case, biased)
    last_row = (g.OH - 1) * g.stride[0] + (g.KH - 1) * g.dilation[0]
    last_column = (g.OW - 1) * g.stride[1] + (g.KW - 1) * g.dilation[1]
    (top, _), (left, _) = g.padding
    meets = g.N > 0 and (top > 0 or left > 0 or last_row - top >= g.H or last_column - left >= g.W)
    assert (counts.mul < counts.dense_mul) == meets
    assert (counts.padding_mul > 0) == meets


@one_in(5)
@given(cases())
def test_products_fall_to_one_in_g_and_additions_without_bias_do_not(case: Case) -> None:
    g = case.geometry
    whole = replace(case, weight_shape=(g.O, g.C, g.KH, g.KW), groups=1)
    grouped, ordinary = closed_form(case, False), closed_form(whole, False)
    assert (grouped.mul * g.groups, grouped.dense_mul * g.groups) == (ordinary.mul, ordinary.dense_mul)
    # Each output saves its first addition, however many products it sums.
    assert grouped.dense_add * g.groups + (g.groups - 1) * g.P == ordinary.dense_add
    assert closed_form(case, True).dense_add * g.groups == closed_form(whole, True).dense_add


# The family and the record.


def test_the_family_counts_as_the_convolutions_that_it_names() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2, 6, 9, 8), np.float32)
    depthwise, pointwise = rng.standard_normal((12, 1, 3, 3), np.float32), rng.standard_normal((5, 12), np.float32)
    bias = rng.standard_normal(5, np.float32)
    middle, first = nc.depthwise_conv2d(x, depthwise, stride=2, padding=1, return_counts=True)
    assert judged(first) == judged(nc.count_conv2d(x.shape, depthwise.shape, stride=2, padding=1, groups=6))
    y, second = nc.pointwise_conv2d(middle, pointwise, bias, return_counts=True)
    assert judged(second) == judged(nc.count_conv2d(middle.shape, (5, 12, 1, 1), bias=True))
    both, counts = nc.separable_conv2d(x, depthwise, pointwise, bias, stride=2, padding=1, return_counts=True)
    np.testing.assert_array_equal(both, y)
    assert judged(counts) == total([first, second])


def test_counting_keeps_one_record_per_call() -> None:
    case = CASES["two groups"]
    x, weight, bias = small_integers(case, "float32", 0)
    expected = []
    with nc.counting() as outer:
        for method in case.methods():
            _, counts = nc.conv2d(x, weight, bias, method=method, return_counts=True, **case.options)
            expected.append(counts)
        with nc.counting() as inner:
            y = nc.conv2d(x, weight, bias, method="direct", **case.options)
    nc.conv2d(x, weight, **case.options)
    assert [record.counts for record in outer.records] == [*expected, expected[case.methods().index("direct")]]
    assert len(outer) == len(case.methods()) + 1
    assert list(outer) == outer.records
    assert outer.total == sum(expected, OpCount()) + inner.total
    [record] = inner
    assert (record.operation, record.method) == ("conv2d", "direct")
    assert (record.x_shape, record.weight_shape, record.y_shape) == (x.shape, weight.shape, y.shape)
    assert all(record.method in METHODS and record.method != "auto" for record in outer)


def test_a_prepared_plan_is_recorded_like_any_call() -> None:
    case = CASES["depthwise"]
    x, weight, bias = small_integers(case, "float32", 0)
    plan = nc.plan_conv2d(case.x_shape, weight, bias, **case.options)
    with nc.counting() as records:
        plan(x)
        plan(x)
    assert [record.counts for record in records] == [plan.counts, plan.counts]


@one_in(5)
@given(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_shuffle_moves_every_element_and_computes_nothing(
    N: int, groups: int, channels: int, H: int, W: int, back: bool
) -> None:
    x = np.zeros((N, groups * channels, H, W), np.float32)
    shuffle = nc.channel_unshuffle if back else nc.channel_shuffle
    with nc.counting() as records:
        y = shuffle(x, groups)
    [record] = records
    assert record.counts == OpCount(moved=x.size)
    assert (record.operation, record.weight_shape) == (shuffle.__name__, None)
    assert record.x_shape == record.y_shape == y.shape == x.shape
