"""Where wrong outputs are: the smallest place that has a name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cases import Array
from npconv.geometry import conv2d_geometry
from npconv.judge.where import indices, touches, where

LAYER = conv2d_geometry((2, 8, 10, 10), (64, 4, 3, 3), padding=1, groups=2)


def mark(*places: Any) -> Array:
    wrong = np.zeros(LAYER.y_shape, bool)
    for place in places:
        wrong[place] = True
    return wrong


ALL = slice(None)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (mark((ALL,)), "everywhere: all 12,800 outputs"),
        (mark((1,)), "image 1: all 6,400 outputs"),
        (mark((ALL, slice(48, None))), "channels 48 and up: all 3,200 outputs"),
        (mark((ALL, slice(0, 5))), "channels up to 4: all 1,000 outputs"),
        (mark((ALL, slice(20, 40))), "channels 20 to 39: all 4,000 outputs"),
        (mark((ALL, slice(32, None))), "group 1: all 6,400 outputs"),
        (mark((ALL, [3, 35])), "channel 3 of each group: all 400 outputs"),
        (mark((ALL, [3, 9])), "channels 3 and 9: all 400 outputs"),
        (mark((ALL, [36])), "channel 36: all 200 outputs"),
        (mark((ALL, slice(7, None, 8))), "channels 7 modulo 8: all 1,600 outputs"),
        (mark((ALL, [i for i in range(64) if i not in (9, 20)])), "all channels but 9 and 20: all 12,400 outputs"),
        (mark((..., 9)), "last output column: all 1,280 outputs"),
        (mark((ALL, ALL, 0)), "first output row: all 1,280 outputs"),
        (mark((ALL, ALL, 4, 4)), "output row 4, output column 4: all 128 outputs"),
        (mark((ALL, ALL, 0), (..., 0)), "outputs whose window touches the top or left padding: all 2,432 outputs"),
        (
            mark((ALL, ALL, 0), (..., 0), (ALL, ALL, 9), (..., 9)),
            "outputs whose window touches any padding: all 4,608 outputs",
        ),
        (mark((..., slice(1, 9), slice(1, 9))), "outputs whose window touches no padding: all 8,192 outputs"),
        (mark((1, 40, 5, 6)), "image 1, channel 40, output row 5, output column 6: this output alone"),
        (mark((0, 40, 5), (0, 40, 2, 1)), "image 0, channel 40, output rows 2 and 5: 11 of 20 outputs"),
        (
            mark((0, 40, 5, slice(5, None)), (0, 40, 6, slice(0, 2))),
            "image 0, channel 40, positions 55 to 61 of each plane: all 7 outputs",
        ),
    ],
)
def test_places_have_names(wrong: Array, text: str) -> None:
    assert where(wrong, LAYER) == text


def test_a_group_of_one_filter_is_a_channel() -> None:
    layer = conv2d_geometry((1, 4, 5, 5), (4, 1, 3, 3), groups=4)
    wrong = np.zeros(layer.y_shape, bool)
    wrong[:, 2] = True
    assert where(wrong, layer) == "channel 2: all 9 outputs"


def test_groups_and_channels_in_them() -> None:
    layer = conv2d_geometry((1, 4, 5, 5), (16, 1, 3, 3), groups=4)
    wrong = np.zeros(layer.y_shape, bool)
    wrong[:, [5, 9]] = True
    assert where(wrong, layer) == "channels 5 and 9: all 18 outputs"
    wrong[:, [0, 4, 8, 12, 1, 13]] = True
    assert where(wrong, layer) == "channels up to 1 of each group: all 72 outputs"
    wrong[:, [1, 5, 9, 13]] = False
    wrong[:, [4, 8, 12]] = False
    wrong[:, 3] = True
    assert where(wrong, layer) == "channels 0 and 3: all 18 outputs"


@pytest.mark.parametrize(
    "held", [[0], [3], [7], [0, 1], [2, 6], [1, 4, 7], [0, 3, 4, 7], [0, 1, 2, 3, 4, 6, 7], list(range(8))]
)
def test_a_place_counts_what_it_holds(held: list[int]) -> None:
    assert indices(np.array(held), 8, "output row").count == len(held)


def by_hand(top: int, left: int) -> Callable[[int, int], set[str]]:
    return lambda y, x: {
        side
        for side, out in (
            ("top", y * 2 < top),
            ("bottom", y * 2 - top + 4 >= 7),
            ("left", x < left),
            ("right", x - left + 2 >= 6),
        )
        if out
    }


def test_windows_that_touch_padding() -> None:
    layer = conv2d_geometry((1, 1, 7, 6), (1, 1, 3, 3), stride=(2, 1), dilation=(2, 1), padding=((1, 2), (0, 1)))
    sides = by_hand(1, 0)
    for side, part in touches(layer).items():
        assert part.tolist() == [[side in sides(y, x) for x in range(layer.OW)] for y in range(layer.OH)]
