"""Sizes, padding of every form, and integers of every kind."""

from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npconv.arguments import flag
from npconv.counts import count_conv2d
from npconv.geometry import (
    Geometry,
    conv2d_geometry,
    conv2d_output_shape,
    index,
    output_size,
    pair,
    resolve_padding,
    windows_geometry,
)

X, WEIGHT = (1, 4, 5, 6), (8, 4, 3, 3)

conv2d = partial(conv2d_geometry, X, WEIGHT)


class Whole:
    """An integer of another library."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Scalar(Whole):
    """An integer of a library whose arrays may have no axis at all."""

    ndim = 0

    def __iter__(self) -> Iterator[int]:
        raise TypeError("iteration over an array without axes")


# sizes


@pytest.mark.parametrize(
    ("axis", "size"),
    [
        ((5, 3, 1, 1, 0, 0), 3),
        ((5, 3, 1, 1, 1, 1), 5),
        ((5, 3, 1, 1, 2, 0), 5),
        ((5, 3, 2, 1, 0, 0), 2),
        ((6, 3, 2, 1, 0, 0), 2),
        ((7, 3, 2, 1, 0, 0), 3),
        ((7, 3, 1, 3, 0, 0), 1),
        ((8, 3, 2, 2, 1, 2), 4),
        ((1, 1, 9, 9, 0, 0), 1),
        ((224, 7, 2, 1, 3, 3), 112),
        ((224, 3, 2, 1, 1, 1), 112),
        ((2, 3, 1, 1, 0, 0), 0),
        ((1, 3, 1, 1, 0, 0), -1),
    ],
)
def test_output_sizes_computed_by_hand(axis: tuple[int, int, int, int, int, int], size: int) -> None:
    assert output_size(*axis) == size


def test_a_geometry_tells_what_follows_from_it() -> None:
    geometry = conv2d_geometry((2, 6, 11, 13), (10, 3, 3, 5), stride=(2, 1), padding=((1, 0), (2, 3)), groups=2)
    assert geometry == Geometry(2, 6, 11, 13, 10, 3, 5, (2, 1), ((1, 0), (2, 3)), (1, 1), 2, 5, 14)
    assert geometry.x_shape == (2, 6, 11, 13)
    assert geometry.weight_shape == (10, 3, 3, 5)
    assert geometry.y_shape == (2, 10, 5, 14)
    assert (geometry.group_channels, geometry.group_filters) == (3, 5)
    assert (geometry.K, geometry.P) == (3 * 3 * 5, 2 * 10 * 5 * 14)
    assert geometry.axes == ((11, 3, 2, 1, 1, 0), (13, 5, 1, 1, 2, 3))


def test_a_geometry_is_a_constant() -> None:
    geometry, same = conv2d(padding=1), conv2d(padding=[(1, 1), (1, 1)])
    assert len({geometry, same}) == 1
    for name in ("N", "something new"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(geometry, name, 3)
    assert not hasattr(geometry, "__dict__")


def test_windows_are_the_convolution_of_one_filter_per_channel() -> None:
    options: dict[str, Any] = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
    assert windows_geometry(X, (3, 2), **options) == conv2d_geometry(X, (4, 1, 3, 2), **options, groups=4)
    assert windows_geometry(X, 2) == conv2d_geometry(X, (4, 1, 2, 2), groups=4)


def test_the_output_shape_takes_every_option() -> None:
    assert conv2d_output_shape((2, 6, 11, 13), [10, 6, 3, 5]) == (2, 10, 9, 9)
    options: dict[str, Any] = {"stride": (3, 2), "padding": ((1, 0), (2, 3)), "dilation": (2, 1), "groups": 2}
    assert conv2d_output_shape([2, 6, 11, 13], (10, 3, 3, 5), **options) == (2, 10, 3, 7)


def test_shapes_have_names_and_options_have_nothing_else() -> None:
    calls: list[Callable[..., object]] = [conv2d_output_shape, conv2d_geometry, count_conv2d]
    for call in calls:
        assert call(x_shape=X, weight_shape=WEIGHT, stride=1) == call(X, WEIGHT)
        with pytest.raises(TypeError, match="positional"):
            call(X, WEIGHT, 1)
    unnamed: Callable[..., object] = windows_geometry
    assert unnamed(x_shape=X, kernel_size=3, stride=1) == unnamed(X, 3)
    with pytest.raises(TypeError, match="positional"):
        unnamed(X, 3, 1)


def test_a_group_may_be_deep() -> None:
    assert conv2d_output_shape((1, 6000, 5, 6), (4000, 3000, 3, 3), groups=2) == (1, 4000, 3, 4)


def test_the_batch_may_be_empty() -> None:
    assert conv2d_output_shape((0, 4, 5, 6), WEIGHT) == (0, 8, 3, 4)
    assert conv2d_geometry((0, 4, 5, 6), WEIGHT).P == 0


@pytest.mark.parametrize("huge", [2**31, 2**55, 2**63, 2**100])
def test_sizes_have_no_limit(huge: int) -> None:
    assert conv2d_output_shape((huge, 4, huge, huge), WEIGHT) == (huge, 8, huge - 2, huge - 2)
    assert conv2d_output_shape(X, WEIGHT, padding=huge) == (1, 8, 2 * huge + 3, 2 * huge + 4)
    assert conv2d_output_shape(X, WEIGHT, stride=huge) == (1, 8, 1, 1)
    assert conv2d_output_shape(X, WEIGHT, stride=huge, padding=huge) == (1, 8, 3, 3)
    assert conv2d_output_shape(X, WEIGHT, dilation=huge, padding=huge) == (1, 8, 5, 6)
    assert conv2d_output_shape((1, huge, 5, 6), (huge, 1, 3, 3), groups=huge) == (1, huge, 3, 4)
    assert conv2d_output_shape((1, 4, huge, 6), (8, 4, huge - 1, 3)) == (1, 8, 2, 4)
    assert resolve_padding(huge, 3, "same", huge - 1, 1) == ((1, 1), (1, 1))
    assert resolve_padding(5, 3, "same", 1, huge) == ((huge, huge), (huge, huge))


# padding


@pytest.mark.parametrize(
    ("padding", "sides"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        (Whole(2), ((2, 2), (2, 2))),
        (Scalar(2), ((2, 2), (2, 2))),
        ((Scalar(1), Whole(2)), ((1, 1), (2, 2))),
        (((Whole(1), 2), [3, Scalar(4)]), ((1, 2), (3, 4))),
        (range(1, 3), ((1, 1), (2, 2))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((0, 1), (1, 1))),
        ("same_lower", ((1, 0), (1, 1))),
    ],
)
def test_padding_of_every_form(padding: Any, sides: tuple[tuple[int, int], tuple[int, int]]) -> None:
    # Rows: 3 windows of 3 at stride 2 end on 7 of 6. Columns: 3 windows of 4 end on 8 of 6.
    resolved = resolve_padding(6, (3, 4), padding, 2, 1)
    assert resolved == sides
    assert {type(zeros) for side in resolved for zeros in side} == {int}


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "total"),
    [
        (5, 3, 1, 1, 2),
        (5, 4, 1, 1, 3),
        (5, 3, 1, 2, 4),
        (5, 3, 2, 1, 2),
        (6, 3, 2, 1, 1),
        (7, 3, 3, 1, 2),
        (8, 3, 3, 1, 1),
        (9, 3, 3, 1, 0),
        (9, 2, 3, 1, 0),
        (4, 1, 3, 1, 0),
        (4, 3, 9, 1, 0),
        (2, 3, 9, 1, 1),
        (1, 2, 1, 5, 5),
    ],
)
def test_same_padding_computed_by_hand(size: int, kernel: int, stride: int, dilation: int, total: int) -> None:
    options = (stride, dilation)
    less, more = total // 2, (total + 1) // 2
    assert resolve_padding((size, 1), (kernel, 1), "same", *options) == ((less, more), (0, 0))
    assert resolve_padding((1, size), (1, kernel), "same_lower", *options) == ((0, 0), (more, less))


sizes, steps = st.integers(1, 40), st.integers(1, 9)


@given(sizes, steps, steps, steps)
def test_same_padding_is_the_least_that_gives_the_size_over_the_stride(n: int, k: int, s: int, d: int) -> None:
    wanted = -(-n // s)
    (before, after), lower = (resolve_padding(n, k, word, s, d)[0] for word in ("same", "same_lower"))
    assert lower == (after, before)
    assert after - before in (0, 1)
    assert output_size(n, k, s, d, before, after) == wanted
    if before + after:
        assert output_size(n, k, s, d, before, after - 1) < wanted


def test_each_axis_has_its_own_padding() -> None:
    assert resolve_padding((5, 6), (3, 2), "same", (1, 2), (2, 3)) == ((2, 2), (1, 1))
    assert resolve_padding([6, 5], [2, 3], "same", [2, 1], [3, 2]) == ((1, 1), (2, 2))
    geometry = conv2d_geometry((1, 4, 7, 8), (8, 4, 2, 3), stride=(1, 2), dilation=(3, 1), padding="same_lower")
    assert geometry.padding == ((2, 1), (1, 0))
    assert geometry.y_shape == (1, 8, 7, 4)
    assert windows_geometry((1, 4, 7, 8), (2, 3), padding="same").padding == ((0, 1), (1, 1))


@given(st.data())
def test_windows_fit_as_often_as_can_be_counted(data: st.DataObject) -> None:
    n, k, s, d = (data.draw(steps) for _ in "nksd")
    p0, p1 = (data.draw(st.integers(0, 9)) for _ in "01")
    windows = range(0, n + p0 + p1 - d * (k - 1), s)
    assert max(0, output_size(n, k, s, d, p0, p1)) == len(windows)


# integers


@pytest.mark.parametrize("one", [Whole(1), Scalar(1), type("Id", (int,), {})(1)], ids=["whole", "scalar", "int"])
def test_integers_of_every_kind_become_plain(one: Any) -> None:
    plain = conv2d_geometry((1, 1, 5, 6), (1, 1, 3, 3), stride=1, padding=1, dilation=1, groups=1)
    spellings: list[dict[str, Any]] = [
        {"stride": one, "padding": one, "dilation": one, "groups": one},
        {"stride": (one, 1), "padding": (one, 1), "dilation": [1, one]},
        {"stride": [1, one], "padding": ((one, 1), [1, one]), "dilation": (one, one)},
    ]
    for options in spellings:
        geometry = conv2d_geometry([one, 1, 5, 6], (1, one, 3, 3), **options)
        assert geometry == plain
        numbers = (*geometry.x_shape, *geometry.y_shape, geometry.groups, *sum(geometry.axes, ()))
        assert {type(number) for number in numbers} == {int}
    assert conv2d_output_shape(range(4, 8), (2, 5, 3, 3)) == (4, 2, 4, 5)


def test_options_of_other_functions_are_held_to_the_same_rules() -> None:
    assert (index("f", "n", 1, 1), index("f", "n", Whole(0), 0)) == (1, 0)
    assert type(index("f", "n", Whole(3), 1)) is int
    assert (pair("f", "n", 1, 1), pair("f", "n", [0, Whole(5)], 0)) == ((1, 1), (0, 5))
    assert (flag("f", "n", True), flag("f", "n", False)) == (True, False)


def test_what_a_group_has_is_a_whole_number() -> None:
    geometry = conv2d_geometry((1, 6, 5, 5), (9, 2, 3, 3), groups=3)
    assert (geometry.group_channels, geometry.group_filters) == (2, 3)
    assert isinstance(geometry.group_channels, int)
    assert isinstance(geometry.group_filters, int)
