"""Every error of shapes and options: what is called, what is raised, and each letter of its text."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from npconv.arguments import flag
from npconv.geometry import conv2d_geometry, conv2d_output_shape, index, pair, resolve_padding, windows_geometry

X, WEIGHT = (1, 4, 5, 6), (8, 4, 3, 3)

geometry: Callable[..., object] = conv2d_geometry
conv2d = partial(geometry, X, WEIGHT)


class Truth:
    """A truth value of another library: it has no index, and tells what it is in two lines."""

    def __int__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Truth(\n    1)"


class Plane:
    """An array of two axes where a shape is wanted."""

    ndim = 2

    def __iter__(self) -> Iterator[int]:
        return iter(X)

    def __repr__(self) -> str:
        return "Plane()"


CALL = "x (1, 4, 5, 6), weight (8, 4, 3, 3)"
ORDERS = (
    "libraries disagree on the order of 4 numbers: left, right, top, bottom in PyTorch's F.pad;"
    " top, left, bottom, right in ONNX; top, bottom, left, right in TensorFlow and OpenCV. Did you mean"
)
FORMS = (
    "which is none of its forms."
    ' Did you mean p, (ph, pw), ((top, bottom), (left, right)), "valid", "same" or "same_lower"?'
)
WORDS = 'but the words are "valid", "same", "same_lower". Did you mean'
OPTIONS: list[tuple[dict[str, Any], type[Exception], str, str]] = [
    # integers
    (
        {"stride": 1.0},
        TypeError,
        "stride is 1.0 (float), but must be an integer. Did you mean int(stride)?",
        "stride=1.0",
    ),
    (
        {"stride": True},
        TypeError,
        "stride is True (bool), but must be an integer. Did you mean int(stride)?",
        "stride=True",
    ),
    (
        {"stride": Truth()},
        TypeError,
        "stride is Truth( 1) (Truth), but must be an integer. Did you mean int(stride)?",
        "stride=Truth( 1)",
    ),
    ({"stride": None}, TypeError, "stride is None (NoneType), but must be an integer. Did you mean 1?", "stride=None"),
    ({"stride": "2"}, TypeError, "stride is '2' (str), but must be an integer. Did you mean 1?", "stride='2'"),
    ({"stride": b"22"}, TypeError, "stride is b'22' (bytes), but must be an integer. Did you mean 1?", "stride=b'22'"),
    ({"stride": {1, 2}}, TypeError, "stride is {1, 2} (set), but must be an integer. Did you mean 1?", "stride={1, 2}"),
    (
        {"stride": frozenset([1, 2])},
        TypeError,
        "stride is frozenset({1, 2}) (frozenset), but must be an integer. Did you mean 1?",
        "stride=frozenset({1, 2})",
    ),
    (
        {"stride": {1: 2, 2: 1}},
        TypeError,
        "stride is {1: 2, 2: 1} (dict), but must be an integer. Did you mean 1?",
        "stride={1: 2, 2: 1}",
    ),
    (
        {"stride": (1, 2.5)},
        TypeError,
        "stride[1] is 2.5 (float), but must be an integer. Did you mean int(stride[1])?",
        "stride=(1, 2.5)",
    ),
    (
        {"stride": [False, 1]},
        TypeError,
        "stride[0] is False (bool), but must be an integer. Did you mean int(stride[0])?",
        "stride=[False, 1]",
    ),
    (
        {"dilation": 1.0},
        TypeError,
        "dilation is 1.0 (float), but must be an integer. Did you mean int(dilation)?",
        "dilation=1.0",
    ),
    (
        {"groups": True},
        TypeError,
        "groups is True (bool), but must be an integer. Did you mean int(groups)?",
        "groups=True",
    ),
    (
        {"groups": (1, 1)},
        TypeError,
        "groups is (1, 1) (tuple), but must be an integer. Did you mean 1?",
        "groups=(1, 1)",
    ),
    (
        {"padding": 0.0},
        TypeError,
        "padding is 0.0 (float), but must be an integer. Did you mean int(padding)?",
        "padding=0.0",
    ),
    (
        {"padding": False},
        TypeError,
        "padding is False (bool), but must be an integer. Did you mean int(padding)?",
        "padding=False",
    ),
    (
        {"padding": None},
        TypeError,
        "padding is None (NoneType), but must be an integer. Did you mean 0?",
        "padding=None",
    ),
    (
        {"padding": (1, "1")},
        TypeError,
        "padding[1] is '1' (str), but must be an integer. Did you mean 0?",
        "padding=(1, '1')",
    ),
    (
        {"padding": ((0, 0), (1, None))},
        TypeError,
        "padding[1][1] is None (NoneType), but must be an integer. Did you mean 0?",
        "padding=((0, 0), (1, None))",
    ),
    (
        {"padding": ((0.5, 0), (1, 1))},
        TypeError,
        "padding[0][0] is 0.5 (float), but must be an integer. Did you mean int(padding[0][0])?",
        "padding=((0.5, 0), (1, 1))",
    ),
    # least values
    ({"stride": 0}, ValueError, "stride is 0, but must be at least 1. Did you mean 1?", "stride=0"),
    ({"stride": (1, -2)}, ValueError, "stride[1] is -2, but must be at least 1. Did you mean 1?", "stride=(1, -2)"),
    (
        {"stride": [-(2**63), 1]},
        ValueError,
        "stride[0] is -9223372036854775808, but must be at least 1. Did you mean 1?",
        "stride=[-9223372036854775808, 1]",
    ),
    ({"dilation": 0}, ValueError, "dilation is 0, but must be at least 1. Did you mean 1?", "dilation=0"),
    ({"dilation": (1, 0)}, ValueError, "dilation[1] is 0, but must be at least 1. Did you mean 1?", "dilation=(1, 0)"),
    ({"groups": 0}, ValueError, "groups is 0, but must be at least 1. Did you mean 1?", "groups=0"),
    ({"groups": -4}, ValueError, "groups is -4, but must be at least 1. Did you mean 1?", "groups=-4"),
    # pairs
    (
        {"stride": ()},
        ValueError,
        "stride has length 0, but a pair has length 2. Did you mean (rows, columns)?",
        "stride=()",
    ),
    (
        {"stride": [1]},
        ValueError,
        "stride has length 1, but a pair has length 2. Did you mean (rows, columns)?",
        "stride=[1]",
    ),
    (
        {"dilation": (1, 2, 2, 1)},
        ValueError,
        "dilation has length 4, but a pair has length 2. Did you mean (rows, columns)?",
        "dilation=(1, 2, 2, 1)",
    ),
    # padding
    (
        {"padding": -1},
        ValueError,
        "padding at the top is -1, but must be at least 0. Did you mean to slice x?",
        "padding=-1",
    ),
    (
        {"padding": (0, -2)},
        ValueError,
        "padding at the left is -2, but must be at least 0. Did you mean to slice x?",
        "padding=(0, -2)",
    ),
    (
        {"padding": ((0, -1), (0, 0))},
        ValueError,
        "padding at the bottom is -1, but must be at least 0. Did you mean to slice x?",
        "padding=((0, -1), (0, 0))",
    ),
    (
        {"padding": ((0, 0), (0, -1))},
        ValueError,
        "padding at the right is -1, but must be at least 0. Did you mean to slice x?",
        "padding=((0, 0), (0, -1))",
    ),
    (
        {"padding": "SAME_LOWER"},
        ValueError,
        f"padding is 'SAME_LOWER', {WORDS} \"same_lower\"?",
        "padding='SAME_LOWER'",
    ),
    ({"padding": "Valid"}, ValueError, f"padding is 'Valid', {WORDS} \"valid\"?", "padding='Valid'"),
    ({"padding": "full"}, ValueError, f"padding is 'full', {WORDS} \"same\"?", "padding='full'"),
    (
        {"padding": "zeros" * 99},
        ValueError,
        f"padding is 'zeroszerosze...roszeroszeros', {WORDS} \"same\"?",
        "padding='zeroszerosze...roszeroszeros'",
    ),
    (
        {"padding": (1, 2, 3, 4)},
        ValueError,
        f"padding is (1, 2, 3, 4), but {ORDERS} ((3, 4), (1, 2)) or ((1, 3), (2, 4)) or ((1, 2), (3, 4))?",
        "padding=(1, 2, 3, 4)",
    ),
    (
        {"padding": [1, 1, 1, 1]},
        ValueError,
        f"padding is [1, 1, 1, 1], but {ORDERS} ((1, 1), (1, 1))?",
        "padding=[1, 1, 1, 1]",
    ),
    ({"padding": ()}, ValueError, f"padding is (), {FORMS}", "padding=()"),
    ({"padding": (1, 2, 3)}, ValueError, f"padding is (1, 2, 3), {FORMS}", "padding=(1, 2, 3)"),
    ({"padding": (1, (2, 3))}, ValueError, f"padding is (1, (2, 3)), {FORMS}", "padding=(1, (2, 3))"),
    ({"padding": ((1, 2), (3,))}, ValueError, f"padding is ((1, 2), (3,)), {FORMS}", "padding=((1, 2), (3,))"),
    ({"padding": ((1, 2),)}, ValueError, f"padding is ((1, 2),), {FORMS}", "padding=((1, 2),)"),
    (
        {"padding": ((0, 0), (1, 1), (1, 1), (0, 0))},
        ValueError,
        f"padding is ((0, 0), (1, 1), (1, 1), (0, 0)), {FORMS}",
        "padding=((0, 0), (1, 1), (1, 1), (0, 0))",
    ),
    (
        {"groups": 2**63},
        ValueError,
        "x has 4 channels, which cannot be split evenly into 9223372036854775808 groups. Did you mean groups=1?",
        "groups=9223372036854775808",
    ),
    # outputs
    (
        {"dilation": 3},
        ValueError,
        (
            "the padded height is 0 + 5 + 0 = 5, but the kernel spans 3*(3 - 1) + 1 = 7. Did you mean padding"
            " that adds at least 2 to the height?"
        ),
        "dilation=3",
    ),
    (
        {"dilation": (1, 4), "padding": ((0, 0), (2, 0))},
        ValueError,
        (
            "the padded width is 2 + 6 + 0 = 8, but the kernel spans 4*(3 - 1) + 1 = 9. Did you mean padding"
            " that adds at least 3 to the width?"
        ),
        "padding=((0, 0), (2, 0)), dilation=(1, 4)",
    ),
    (
        {"dilation": 2**63},
        ValueError,
        (
            "the padded height is 0 + 5 + 0 = 5, but the kernel spans 9223372036854775808*(3 - 1) + 1 ="
            " 18446744073709551617. Did you mean padding that adds at least 18446744073709551612 to the height?"
        ),
        "dilation=9223372036854775808",
    ),
    # the first fault is told, with every unusual option
    (
        {"stride": (2, 2), "padding": 1, "dilation": 0, "groups": 0},
        ValueError,
        "dilation is 0, but must be at least 1. Did you mean 1?",
        "stride=(2, 2), padding=1, dilation=0, groups=0",
    ),
]
ERRORS: list[tuple[Callable[[], object], type[Exception], str, str]] = [
    *(
        (partial(conv2d, **options), error, f"conv2d: {text}", f"{CALL}, {shown}")
        for options, error, text, shown in OPTIONS
    ),
    # shapes
    (
        partial(geometry, (4, 5, 6), WEIGHT),
        ValueError,
        "conv2d: x is 3-dimensional, but must have 4 axes, (N, C, H, W). Did you mean (1, 4, 5, 6)?",
        "x (4, 5, 6), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (), WEIGHT),
        ValueError,
        "conv2d: x is 0-dimensional, but must have 4 axes, (N, C, H, W). Did you mean (1, 1, 1, 1)?",
        "x (), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, [2, 1, 4, 5, 6], WEIGHT),
        ValueError,
        "conv2d: x is 5-dimensional, but must have 4 axes, (N, C, H, W). Did you mean (1, 4, 5, 6)?",
        "x [2, 1, 4, 5, 6], weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, X, (3, 3)),
        ValueError,
        "conv2d: weight is 2-dimensional, but must have 4 axes, (O, C // groups, KH, KW). Did you mean (1, 1, 3, 3)?",
        "x (1, 4, 5, 6), weight (3, 3)",
    ),
    (
        partial(geometry, 5, WEIGHT),
        TypeError,
        "conv2d: x_shape is 5 (int), but must be 4 integers. Did you mean x.shape?",
        "x 5, weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, Plane(), WEIGHT),
        TypeError,
        "conv2d: x_shape is Plane() (Plane), but must be 4 integers. Did you mean x.shape?",
        "x Plane(), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, X, "8433"),
        TypeError,
        "conv2d: weight_shape is '8433' (str), but must be 4 integers. Did you mean weight.shape?",
        "x (1, 4, 5, 6), weight '8433'",
    ),
    (
        partial(geometry, (1, 4, 5.0, 6), WEIGHT),
        TypeError,
        "conv2d: x_shape[2] is 5.0 (float), but must be an integer. Did you mean int(x_shape[2])?",
        "x (1, 4, 5.0, 6), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (None, 4, 5, 6), WEIGHT),
        TypeError,
        "conv2d: x_shape[0] is None (NoneType), but must be an integer. Did you mean 1?",
        "x (None, 4, 5, 6), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, X, (8, 4, 3, True)),
        TypeError,
        "conv2d: weight_shape[3] is True (bool), but must be an integer. Did you mean int(weight_shape[3])?",
        "x (1, 4, 5, 6), weight (8, 4, 3, True)",
    ),
    (
        partial(geometry, (1, 0, 5, 6), WEIGHT),
        ValueError,
        "conv2d: x has C = 0, but needs at least 1: only the batch may be empty. Did a slice come out empty?",
        "x (1, 0, 5, 6), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (0, 4, 5, 0), WEIGHT),
        ValueError,
        "conv2d: x has W = 0, but needs at least 1: only the batch may be empty. Did a slice come out empty?",
        "x (0, 4, 5, 0), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (1, 0, 1, 1), WEIGHT),
        ValueError,
        "conv2d: x has C = 0, but needs at least 1: only the batch may be empty. Did a slice come out empty?",
        "x (1, 0, 1, 1), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (0, 0, 0, 0), WEIGHT),
        ValueError,
        "conv2d: x has C = 0, but needs at least 1: only the batch may be empty. Did a slice come out empty?",
        "x (0, 0, 0, 0), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (-1, 4, 5, 6), WEIGHT),
        ValueError,
        "conv2d: x has N = -1, but needs at least 0: only the batch may be empty. Did you mean 1?",
        "x (-1, 4, 5, 6), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, (1, 4, -5, 6), WEIGHT),
        ValueError,
        "conv2d: x has H = -5, but needs at least 1: only the batch may be empty. Did you mean 5?",
        "x (1, 4, -5, 6), weight (8, 4, 3, 3)",
    ),
    (
        partial(geometry, X, (0, 4, 3, 3)),
        ValueError,
        "conv2d: weight has O = 0, but needs at least 1: only the batch may be empty. Did a slice come out empty?",
        "x (1, 4, 5, 6), weight (0, 4, 3, 3)",
    ),
    (
        partial(geometry, X, (8, 0, 3, 3)),
        ValueError,
        (
            "conv2d: weight has C // groups = 0, but needs at least 1: only the batch may be empty. Did a slice"
            " come out empty?"
        ),
        "x (1, 4, 5, 6), weight (8, 0, 3, 3)",
    ),
    # channels, filters and groups
    (
        partial(geometry, (1, 4, 3, 3), (2, 4, 3, 3), groups=2),
        ValueError,
        (
            "conv2d: weight has 4 channels per group, but x has 4 channels in 2 groups = 2 per group. Did you"
            " mean groups=1?"
        ),
        "x (1, 4, 3, 3), weight (2, 4, 3, 3), groups=2",
    ),
    (
        partial(geometry, (1, 6, 9, 9), (8, 3, 3, 3)),
        ValueError,
        (
            "conv2d: weight has 3 channels per group, but x has 6 channels in 1 group = 6 per group. Did you"
            " mean groups=2?"
        ),
        "x (1, 6, 9, 9), weight (8, 3, 3, 3)",
    ),
    (
        partial(geometry, (1, 6, 9, 9), (9, 3, 3, 5)),
        ValueError,
        (
            "conv2d: weight has 3 channels per group, but x has 6 channels in 1 group = 6 per group. Did you"
            " mean a weight of shape (9, 6, 3, 5)?"
        ),
        "x (1, 6, 9, 9), weight (9, 3, 3, 5)",
    ),
    (
        partial(geometry, (1, 1, 9, 9), (8, 2, 3, 3)),
        ValueError,
        (
            "conv2d: weight has 2 channels per group, but x has 1 channel in 1 group = 1 per group. Did you mean"
            " a weight of shape (8, 1, 3, 3)?"
        ),
        "x (1, 1, 9, 9), weight (8, 2, 3, 3)",
    ),
    (
        partial(geometry, (1, 6, 9, 9), (6, 1, 3, 3), groups=2),
        ValueError,
        (
            "conv2d: weight has 1 channel per group, but x has 6 channels in 2 groups = 3 per group. Did you"
            " mean groups=6?"
        ),
        "x (1, 6, 9, 9), weight (6, 1, 3, 3), groups=2",
    ),
    (
        partial(geometry, (1, 32, 32, 3), (8, 3, 3, 3)),
        ValueError,
        (
            "conv2d: weight has 3 channels per group, but x has 32 channels in 1 group = 32 per group. Did you"
            " mean x.transpose(0, 3, 1, 2), as x is (N, C, H, W)?"
        ),
        "x (1, 32, 32, 3), weight (8, 3, 3, 3)",
    ),
    (
        partial(geometry, (1, 12, 12, 6), (8, 3, 3, 3), groups=2),
        ValueError,
        (
            "conv2d: weight has 3 channels per group, but x has 12 channels in 2 groups = 6 per group. Did you"
            " mean x.transpose(0, 3, 1, 2), as x is (N, C, H, W)?"
        ),
        "x (1, 12, 12, 6), weight (8, 3, 3, 3), groups=2",
    ),
    (
        partial(geometry, (1, 7, 7, 3000), (8, 3000, 3, 3)),
        ValueError,
        (
            "conv2d: weight has 3000 channels per group, but x has 7 channels in 1 group = 7 per group. Did you"
            " mean x.transpose(0, 3, 1, 2), as x is (N, C, H, W)?"
        ),
        "x (1, 7, 7, 3000), weight (8, 3000, 3, 3)",
    ),
    (
        partial(geometry, (1, 6, 9, 9), (8, 3, 3, 3), groups=4),
        ValueError,
        "conv2d: x has 6 channels, which cannot be split evenly into 4 groups. Did you mean groups=2?",
        "x (1, 6, 9, 9), weight (8, 3, 3, 3), groups=4",
    ),
    (
        partial(geometry, (1, 6, 9, 9), (8, 4, 3, 3), groups=4),
        ValueError,
        (
            "conv2d: x has 6 channels, which cannot be split evenly into 4 groups. Did you mean groups=2"
            " and a weight of shape (8, 3, 3, 3)?"
        ),
        "x (1, 6, 9, 9), weight (8, 4, 3, 3), groups=4",
    ),
    (
        partial(geometry, (1, 6, 9, 12), (9, 4, 3, 3), groups=3),
        ValueError,
        (
            "conv2d: weight has 4 channels per group, but x has 6 channels in 3 groups = 2 per group. Did you"
            " mean x.transpose(0, 3, 1, 2), as x is (N, C, H, W)?"
        ),
        "x (1, 6, 9, 12), weight (9, 4, 3, 3), groups=3",
    ),
    (
        partial(geometry, (1, 6, 9, 6), (7, 2, 3, 3), groups=3),
        ValueError,
        (
            "conv2d: weight has 7 filters, which cannot be split evenly into 3 groups. Did you mean"
            " a weight of shape (6, 2, 3, 3)?"
        ),
        "x (1, 6, 9, 6), weight (7, 2, 3, 3), groups=3",
    ),
    (
        partial(geometry, (1, 6, 9, 9), (1, 2, 3, 3), groups=3),
        ValueError,
        (
            "conv2d: weight has 1 filter, which cannot be split evenly into 3 groups. Did you mean"
            " a weight of shape (3, 2, 3, 3)?"
        ),
        "x (1, 6, 9, 9), weight (1, 2, 3, 3), groups=3",
    ),
    (
        partial(geometry, X, (8, 4, 9, 3), padding=((1, 2), (0, 0))),
        ValueError,
        (
            "conv2d: the padded height is 1 + 5 + 2 = 8, but the kernel spans 1*(9 - 1) + 1 = 9. Did you mean"
            " padding that adds at least 4 to the height?"
        ),
        "x (1, 4, 5, 6), weight (8, 4, 9, 3), padding=((1, 2), (0, 0))",
    ),
    (
        partial(geometry, X, (8, 4, 5, 9)),
        ValueError,
        (
            "conv2d: the padded width is 0 + 6 + 0 = 6, but the kernel spans 1*(9 - 1) + 1 = 9. Did you mean"
            " padding that adds at least 3 to the width?"
        ),
        "x (1, 4, 5, 6), weight (8, 4, 5, 9)",
    ),
    # under other names
    (
        partial(conv2d_output_shape, X, WEIGHT, stride=2, padding=-1, dilation=2, groups=1),
        ValueError,
        "conv2d_output_shape: padding at the top is -1, but must be at least 0. Did you mean to slice x?",
        f"{CALL}, stride=2, padding=-1, dilation=2",
    ),
    (
        partial(conv2d, groups=3, operation="plan_conv2d"),
        ValueError,
        "plan_conv2d: x has 4 channels, which cannot be split evenly into 3 groups. Did you mean groups=1?",
        f"{CALL}, groups=3",
    ),
    (
        partial(windows_geometry, X, 6, stride=2, operation="col2im"),
        ValueError,
        (
            "col2im: the padded height is 0 + 5 + 0 = 5, but the kernel spans 1*(6 - 1) + 1 = 6. Did you mean"
            " padding that adds at least 1 to the height?"
        ),
        "x (1, 4, 5, 6), kernel_size=6, stride=2",
    ),
    (
        partial(windows_geometry, X, (3, 0), padding=1, dilation=2),
        ValueError,
        "im2col: kernel_size[1] is 0, but must be at least 1. Did you mean 1?",
        "x (1, 4, 5, 6), kernel_size=(3, 0), padding=1, dilation=2",
    ),
    (
        partial(windows_geometry, X, 0),
        ValueError,
        "im2col: kernel_size is 0, but must be at least 1. Did you mean 1?",
        "x (1, 4, 5, 6), kernel_size=0",
    ),
    (
        partial(windows_geometry, (4, 5, 6), 3),
        ValueError,
        "im2col: x is 3-dimensional, but must have 4 axes, (N, C, H, W). Did you mean (1, 4, 5, 6)?",
        "x (4, 5, 6), kernel_size=3",
    ),
    (
        partial(resolve_padding, 0, 3, "same", 1, 1),
        ValueError,
        "resolve_padding: size is 0, but must be at least 1. Did you mean 1?",
        "size=0, kernel_size=3, padding='same'",
    ),
    (
        partial(resolve_padding, 5, (3, 0), "same", 1, 1),
        ValueError,
        "resolve_padding: kernel_size[1] is 0, but must be at least 1. Did you mean 1?",
        "size=5, kernel_size=(3, 0), padding='same'",
    ),
    (
        partial(resolve_padding, 5, 0, 0, 2, 2),
        ValueError,
        "resolve_padding: kernel_size is 0, but must be at least 1. Did you mean 1?",
        "size=5, kernel_size=0, stride=2, dilation=2",
    ),
    (
        partial(resolve_padding, 5, 3, 1, 0, 2),
        ValueError,
        "resolve_padding: stride is 0, but must be at least 1. Did you mean 1?",
        "size=5, kernel_size=3, padding=1, stride=0, dilation=2",
    ),
    (
        partial(resolve_padding, 5, 3, 1, 2, 0),
        ValueError,
        "resolve_padding: dilation is 0, but must be at least 1. Did you mean 1?",
        "size=5, kernel_size=3, padding=1, stride=2, dilation=0",
    ),
    (
        partial(index, "set_num_threads", "n", 0, 1),
        ValueError,
        "set_num_threads: n is 0, but must be at least 1. Did you mean 1?",
        "n=0",
    ),
    (
        partial(index, "set_num_threads", "n", -1, 0),
        ValueError,
        "set_num_threads: n is -1, but must be at least 0. Did you mean 0?",
        "n=-1",
    ),
    (
        partial(pair, "unfold", "kernel_size", (3,), 1),
        ValueError,
        "unfold: kernel_size has length 1, but a pair has length 2. Did you mean (rows, columns)?",
        "kernel_size=(3,)",
    ),
    (
        partial(flag, "count_conv2d", "bias", [1.0, 2.0]),
        TypeError,
        "count_conv2d: bias is [1.0, 2.0], but must be True or False. Did you mean bias=bias is not None?",
        "bias=[1.0, 2.0]",
    ),
]


@pytest.mark.parametrize(
    ("call", "error", "text", "shown"), ERRORS, ids=[f"{text[:40]}: {shown}" for *_, text, shown in ERRORS]
)
def test_every_error_says_what_is_wrong_and_what_would_be_right(
    call: Callable[[], object], error: type[Exception], text: str, shown: str
) -> None:
    with pytest.raises(error) as refusal:
        call()
    assert type(refusal.value) is error
    assert str(refusal.value) == f"{text}\n        ({shown})"
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
