"""What fits together: shapes and options of a convolution as one checked record, and the sums along an axis.

All of it in Python integers, axis by axis, before anything is allocated.
"""

from dataclasses import dataclass
from math import gcd
from typing import Any, SupportsIndex

from npconv.arguments import (
    Padding,
    PaddingLike,
    Pair,
    PairLike,
    Shape,
    ShapeLike,
    checked_index,
    checked_padding,
    checked_pair,
    checked_shape,
    complaint,
    index,
    pair,
)

__all__ = [
    "Geometry",
    "PaddingLike",
    "PairLike",
    "ShapeLike",
    "conv2d_geometry",
    "conv2d_output_shape",
    "covered_outputs",
    "index",
    "output_size",
    "pair",
    "resolve_padding",
    "valid_taps",
    "windows_geometry",
]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shapes and options of one 2-D convolution (cross-correlation) that fit together; `conv2d_geometry` makes it.

    Parameters
    ----------
    N, C, H, W : int
        Images, and their channels, rows and columns.
    O, KH, KW : int
        Filters, and their rows and columns.
    stride : (int, int)
        Rows and columns from one window to the next.
    padding : ((int, int), (int, int))
        Zeros at ``((top, bottom), (left, right))``.
    dilation : (int, int)
        Rows and columns from one tap to the next.
    groups : int
        Blocks that channels and filters are split into.
    OH, OW : int
        Rows and columns of the output.

    Examples
    --------
    >>> layer = conv2d_geometry((2, 4, 9, 9), (6, 2, 3, 3), stride=2, groups=2)
    >>> layer.y_shape, layer.K, layer.P
    ((2, 6, 4, 4), 18, 192)
    """

    N: int
    C: int
    H: int
    W: int
    O: int
    KH: int
    KW: int
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    OH: int
    OW: int

    @property
    def x_shape(self) -> Shape:
        """Shape of the input, (N, C, H, W)."""
        return self.N, self.C, self.H, self.W

    @property
    def weight_shape(self) -> Shape:
        """Shape of the filters, (O, C // groups, KH, KW)."""
        return self.O, self.group_channels, self.KH, self.KW

    @property
    def y_shape(self) -> Shape:
        """Shape of the output, (N, O, OH, OW)."""
        return self.N, self.O, self.OH, self.OW

    @property
    def group_channels(self) -> int:
        """Channels of a group: what one filter sees."""
        return self.C // self.groups

    @property
    def group_filters(self) -> int:
        """Filters of a group: what one channel meets."""
        return self.O // self.groups

    @property
    def K(self) -> int:
        """Number of products per output, those with padding included."""
        return self.group_channels * self.KH * self.KW

    @property
    def P(self) -> int:
        """Number of outputs, of all images and filters."""
        return self.N * self.O * self.OH * self.OW

    @property
    def axes(self) -> tuple[tuple[int, int, int, int, int, int], tuple[int, int, int, int, int, int]]:
        """Rows, then columns, as the arguments ``n, k, s, d, p0, p1`` of `output_size` and its sisters."""
        (sh, sw), (dh, dw), (rows, columns) = self.stride, self.dilation, self.padding
        return (self.H, self.KH, sh, dh, *rows), (self.W, self.KW, sw, dw, *columns)


def conv2d_output_shape(
    x_shape: ShapeLike,
    weight_shape: ShapeLike,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: SupportsIndex = 1,
) -> Shape:
    """Compute the shape that a 2-D convolution (cross-correlation: the filter is not flipped) gives its output.

    Parameters
    ----------
    x_shape : sequence of int, (N, C, H, W)
        Shape of the input; N may be 0.
    weight_shape : sequence of int, (O, C // groups, KH, KW)
        Shape of the filters.
    stride : int or (int, int), default 1
        Rows and columns from one window to the next.
    padding : int, (int, int), ((int, int), (int, int)) or {"valid", "same", "same_lower"}, default 0
        Zeros around the image, as `resolve_padding` reads them.
    dilation : int or (int, int), default 1
        Rows and columns from one tap of a filter to the next; 1 means none.
    groups : int, default 1
        Blocks that channels and filters are split into; a divisor of C and of O.

    Returns
    -------
    tuple of int, (N, O, OH, OW)
        Shape of the output.

    Raises
    ------
    TypeError
        If a size or an option is not an integer; bools and floats are none.
    ValueError
        If one is out of range, if shapes and groups do not fit together, or if OH or OW would be below 1.

    Notes
    -----
    ``OH = (H + top + bottom - dh*(KH - 1) - 1) // sh + 1``, and OW likewise: Dumoulin and Visin (2016), "A guide to
    convolution arithmetic for deep learning", chapter 5.

    Examples
    --------
    Windows of 3 rows begin at rows 0, 2, 4 and 6 of 9 padded ones.

    >>> import npconv as nc
    >>> nc.conv2d_output_shape((1, 3, 7, 7), (8, 3, 3, 3), stride=2, padding=1)
    (1, 8, 4, 4)
    """
    return conv2d_geometry(
        x_shape,
        weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        operation="conv2d_output_shape",
    ).y_shape


def resolve_padding(
    size: PairLike, kernel_size: PairLike, padding: PaddingLike, stride: PairLike, dilation: PairLike
) -> Padding:
    """Compute the zeros at each side of an image from padding of any form.

    Parameters
    ----------
    size : int or (int, int)
        Rows and columns of the image.
    kernel_size : int or (int, int)
        Rows and columns of a filter.
    padding : int, (int, int), ((int, int), (int, int)) or {"valid", "same", "same_lower"}
        One number for all sides, ``(ph, pw)``, ``((top, bottom), (left, right))``, or a word: "valid" is none, "same"
        makes the output ``ceil(size / stride)`` with an odd zero at the end, "same_lower" has that at the start.
    stride : int or (int, int)
        Rows and columns from one window to the next.
    dilation : int or (int, int)
        Rows and columns from one tap of a filter to the next; 1 means none.

    Returns
    -------
    tuple, ((top, bottom), (left, right))
        Rows and columns of zeros.

    Raises
    ------
    TypeError
        If a size or an option is not an integer; bools and floats are none.
    ValueError
        If one is out of range, or `padding` has another form. Four numbers in a row are refused: libraries disagree
        on their order.

    Notes
    -----
    The words "same" and "same_lower" pad ``max(0, (ceil(n / s) - 1)*s + d*(k - 1) + 1 - n)`` in all along an axis.
    ONNX, in its operator Conv, calls them SAME_UPPER and SAME_LOWER; the former is TensorFlow's SAME.

    Examples
    --------
    At stride 2 the last of 4 windows of 3 ends on row 9, and 8 are there.

    >>> import npconv as nc
    >>> nc.resolve_padding(8, 3, "same", 2, 1)
    ((0, 1), (0, 1))
    """
    try:
        sizes, kernel = checked_pair("size", size, 1), checked_pair("kernel_size", kernel_size, 1)
        strides, dilations = checked_pair("stride", stride, 1), checked_pair("dilation", dilation, 1)
        return checked_padding(padding, sizes, kernel, strides, dilations)
    except (TypeError, ValueError) as fault:
        options = {"size": size, "kernel_size": kernel_size, "padding": padding, "stride": stride, "dilation": dilation}
        raise complaint("resolve_padding", fault, options) from None


def conv2d_geometry(
    x_shape: ShapeLike,
    weight_shape: ShapeLike,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: SupportsIndex = 1,
    operation: str = "conv2d",
) -> Geometry:
    """Return the arguments of `conv2d_output_shape` as a record, with errors in the name of `operation`."""
    try:
        x = checked_shape("x", ("N", "C", "H", "W"), x_shape)
        weight = checked_shape("weight", ("O", "C // groups", "KH", "KW"), weight_shape)
        return _geometry(x, weight, stride, padding, dilation, groups)
    except (TypeError, ValueError) as fault:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        raise complaint(operation, fault, options, x=x_shape, weight=weight_shape) from None


def windows_geometry(
    x_shape: ShapeLike,
    kernel_size: PairLike,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    operation: str = "im2col",
) -> Geometry:
    """Return windows that slide over every channel as the convolution of one filter per channel; errors as there."""
    try:
        x, kernel = checked_shape("x", ("N", "C", "H", "W"), x_shape), checked_pair("kernel_size", kernel_size, 1)
        return _geometry(x, (x[1], 1, *kernel), stride, padding, dilation, x[1])
    except (TypeError, ValueError) as fault:
        options = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        raise complaint(operation, fault, options, x=x_shape) from None


def output_size(n: int, k: int, s: int, d: int, p0: int, p1: int) -> int:
    """Return the windows of an axis: n cells, k taps, stride s, dilation d, zeros p0 before and p1 after.

    It is below 1 where not even one window fits.

    >>> output_size(7, 3, 2, 1, 1, 1)
    4
    """
    return (n + p0 + p1 - d * (k - 1) - 1) // s + 1


def valid_taps(n: int, k: int, s: int, d: int, p0: int, p1: int) -> int:
    """Return V, the pairs (output, tap) of an axis that meet a real cell.

    Three windows of 3 taps over 3 cells: the first and the last have one tap on padding.

    >>> valid_taps(3, 3, 1, 1, 1, 1)
    7
    """
    o = output_size(n, k, s, d, p0, p1)
    # Tap j of output i meets cell i*s + j*d - p0, a real one from 0 to n - 1.
    return _pairs_up_to(n - 1 + p0, o, s, k, d) - _pairs_up_to(p0 - 1, o, s, k, d)


def covered_outputs(n: int, k: int, s: int, d: int, p0: int, p1: int) -> int:
    """Return A, the outputs of an axis that meet a real cell with one tap or more.

    Of four windows of 1 tap over 2 cells and a zero on either side, two see that zero alone.

    >>> covered_outputs(2, 1, 1, 1, 1, 1)
    2
    """
    if d >= n:
        # Taps are so far apart that no output meets two real cells.
        return valid_taps(n, k, s, d, p0, p1)
    # Taps are so close together that none step over the image: every window that reaches across its edges meets it.
    last = min(output_size(n, k, s, d, p0, p1) - 1, (n - 1 + p0) // s)
    return last - max(0, -(((k - 1) * d - p0) // s)) + 1


def _pairs_up_to(limit: int, o: int, s: int, k: int, d: int) -> int:
    """Return how many pairs i < o, j < k have i*s + j*d <= limit."""
    if limit < 0:
        return 0
    # Of the taps j <= limit // d, the first meet the limit with every output, the others with (limit - j*d) // s + 1 of them.
    taps = min(k, limit // d + 1)
    whole = min(taps, max(0, (limit - (o - 1) * s) // d + 1))
    # Counted from the last tap down, so that the terms grow.
    return whole * o + (taps - whole) + _sum_of_quotients(taps - whole, d, limit - (taps - 1) * d, s)


def _sum_of_quotients(count: int, a: int, b: int, m: int) -> int:
    """Return the sum of (a*i + b) // m over i < count, in as many steps as Euclid's algorithm takes for a and m.

    The sum counts the points with whole coordinates under a line; once the whole part of its slope is taken off, the axes change places.
    """
    total = 0
    while count > 0:
        total += a // m * (count * (count - 1) // 2) + b // m * count
        a, b = a % m, b % m
        # What is left under the line, seen from the other axis: as many steps as the line rises.
        count, b, a, m = (a * count + b) // m, (a * count + b) % m, m, a
    return total


def _geometry(x: Shape, weight: Shape, stride: Any, padding: Any, dilation: Any, groups: Any) -> Geometry:
    """Check options, and whether they fit shapes that are in order themselves."""
    N, C, H, W = x
    O, channels, KH, KW = weight
    sh, sw = strides = checked_pair("stride", stride, 1)
    dh, dw = dilations = checked_pair("dilation", dilation, 1)
    g = checked_index("groups", groups, 1)
    if C % g or O % g or C // g != channels:
        raise ValueError(_misfit(x, weight, g))
    rows, columns = pads = checked_padding(padding, (H, W), (KH, KW), strides, dilations)
    OH, OW = output_size(H, KH, sh, dh, *rows), output_size(W, KW, sw, dw, *columns)
    geometry = Geometry(N, C, H, W, O, KH, KW, strides, pads, dilations, g, OH, OW)
    if OH < 1 or OW < 1:
        raise ValueError(_no_output(geometry))
    return geometry


def _misfit(x: Shape, weight: Shape, groups: int) -> str:
    """Say why channels, filters and groups do not fit together, and what would."""
    (_, C, _, W), (O, channels, *kernel) = x, weight
    if C % groups:
        rule = f"x has {_many(C, 'channel')}, which cannot be split evenly into {_many(groups, 'group')}"
    elif O % groups:
        rule = f"weight has {_many(O, 'filter')}, which cannot be split evenly into {_many(groups, 'group')}"
    else:
        have, given = _many(channels, "channel"), f"{_many(C, 'channel')} in {_many(groups, 'group')}"
        rule = f"weight has {have} per group, but x has {given} = {C // groups} per group"
    fitting, rest = divmod(C, channels)
    if channels * groups == W and O % groups == 0:
        fix = "x.transpose(0, 3, 1, 2), as x is (N, C, H, W)"
    elif rest == 0 and O % fitting == 0:
        fix = f"groups={fitting}"
    else:
        likely = gcd(C, O, groups) if C % groups else groups
        shape = (max(1, O // likely) * likely, C // likely, *kernel)
        fix = f"a weight of shape {shape}" if likely == groups else f"groups={likely} and a weight of shape {shape}"
    return f"{rule}. Did you mean {fix}?"


def _no_output(geometry: Geometry) -> str:
    """Say why the first axis without an output has none, and what would give it one."""
    axis = 0 if geometry.OH < 1 else 1
    name, (n, k, _, d, p0, p1) = ("height", "width")[axis], geometry.axes[axis]
    span = d * (k - 1) + 1
    return (
        f"the padded {name} is {p0} + {n} + {p1} = {p0 + n + p1}, but the kernel spans {d}*({k} - 1) + 1 = {span}."
        f" Did you mean padding that adds at least {span - n} to the {name}?"
    )


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
