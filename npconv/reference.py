"""The definition of convolution as seven plain loops, over any number type; slow and obvious for ever."""

from functools import reduce
from operator import add
from typing import Any, SupportsIndex

from npconv.geometry import PaddingLike, PairLike, conv2d_geometry


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: SupportsIndex = 1,
) -> list[list[list[list[Any]]]]:
    r"""Cross-correlate images with filters (the filter is not flipped), one product after the other in plain Python.

    Parameters
    ----------
    x : nested sequence or array, shape (N, C, H, W)
        Images, of any numbers that multiply and add: ``int``, ``float``, ``Fraction``, NumPy scalars or a type of
        your own. An array is read through its ``tolist``, so its elements become Python numbers: integers without a
        limit, and floats of 53 bits.
    weight : nested sequence or array, shape (O, C // groups, KH, KW)
        Filters.
    bias : sequence or array, shape (O,), optional
        One number per filter, where its sums start.
    stride : int or (int, int), default 1
        Rows and columns from one window to the next.
    padding : int, (int, int), ((int, int), (int, int)) or {"valid", "same", "same_lower"}, default 0
        Rows and columns of zeros around each plane, as `resolve_padding` reads them.
    dilation : int or (int, int), default 1
        Rows and columns from one tap of a filter to the next; 1 means none.
    groups : int, default 1
        Blocks that channels and filters are split into; a filter sees the channels of its own block alone.

    Returns
    -------
    list, shape (N, O, OH, OW)
        Nested lists, in the numbers' own arithmetic: ``y[n][o][oh][ow]``.

    Raises
    ------
    ValueError
        If the shapes and options do not fit together, as for `npconv.conv2d`, or if nested sequences are ragged.
    TypeError
        If an option is not an integer.

    See Also
    --------
    npconv.conv2d : The same result, compiled.

    Notes
    -----
    Filter ``o`` belongs to group ``i = o // (O // groups)``, and with ``x`` zero outside its planes

    .. math::

        y_{n,o,oh,ow} = b_o + \sum_{c=0}^{C/g-1} \sum_{kh=0}^{KH-1} \sum_{kw=0}^{KW-1}
            x_{n,\; i C/g + c,\; oh\,s_h + kh\,d_h - top,\; ow\,s_w + kw\,d_w - left} \; w_{o,c,kh,kw}

    This is the formula of ``torch.nn.Conv2d`` (PyTorch documentation) written out to single products. The terms are
    added in the order ``(c, kh, kw)``, starting from the bias if there is one, else from the first product. Products
    with padding are executed like any other: the zero is that of the number type, so an infinite weight over padding
    gives NaN.

    Examples
    --------
    Each output adds a pixel to twice its right neighbour.

    >>> from fractions import Fraction
    >>> from npconv import reference
    >>> reference.conv2d([[[[1, 2, 3], [4, 5, 6]]]], [[[[1, 2]]]])
    [[[[5, 8], [14, 17]]]]
    >>> reference.conv2d([[[[Fraction(1, 3)]]]], [[[[Fraction(3, 2)]]]], [1])
    [[[[Fraction(3, 2)]]]]
    """
    geometry = conv2d_geometry(
        _shape(x),
        _shape(weight),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        operation="reference.conv2d",
    )
    N, O, OH, OW = geometry.y_shape
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    (top, _), (left, _) = geometry.padding
    if bias is not None and _shape(bias) != (O,):
        raise ValueError(
            f"reference.conv2d: bias has shape {_shape(bias)}, but weight has {O} filters."
            f" Did you mean a bias of shape ({O},)?"
            f"\n        (x {geometry.x_shape}, weight {geometry.weight_shape}, bias {_shape(bias)})"
        )

    x, weight, bias = _numbers(x), _numbers(weight), _numbers(bias)
    y: list[list[list[list[Any]]]] = [[[[None] * OW for _ in range(OH)] for _ in range(O)] for _ in range(N)]
    for n in range(N):
        for o in range(O):
            first = o // geometry.group_filters * geometry.group_channels
            for oh in range(OH):
                for ow in range(OW):
                    terms = [] if bias is None else [bias[o]]
                    for c in range(geometry.group_channels):
                        for kh in range(geometry.KH):
                            for kw in range(geometry.KW):
                                h = oh * sh + kh * dh - top
                                w = ow * sw + kw * dw - left
                                terms.append(_element(x[n][first + c], h, w) * weight[o][c][kh][kw])
                    # Not sum(): from Python 3.12 on it compensates the rounding errors of floats.
                    y[n][o][oh][ow] = reduce(add, terms)
    return y


def _element(plane: Any, h: int, w: int) -> Any:
    """Return ``plane[h][w]``, or the number type's zero where that lies outside the plane."""
    inside = 0 <= h < len(plane) and 0 <= w < len(plane[0])
    return plane[h][w] if inside else type(plane[0][0])(0)


def _numbers(operand: Any) -> Any:
    """Return an array as nested lists of Python numbers, and anything else as it is."""
    return operand.tolist() if hasattr(operand, "tolist") else operand


def _shape(operand: Any) -> tuple[int, ...]:
    """Return the extents of an array or of nested sequences; a number has none."""
    if hasattr(operand, "shape"):
        return tuple(operand.shape)
    if not hasattr(operand, "__len__"):
        return ()
    shapes = {_shape(part) for part in operand}
    if len(shapes) > 1:
        raise ValueError(
            f"reference.conv2d: nested sequences must form a box, but parts of one have shapes {sorted(shapes)}."
            " Did you mean to pad the shorter ones?"
        )
    return (len(operand), *shapes.pop()) if shapes else (0,)
