"""Operations that only move elements, or add what overlaps: channel shuffle, and images unfolded into columns and folded back."""

import functools
from typing import Any, TypeAlias

import numpy as np

from npconv.arguments import PaddingLike, PairLike, index
from npconv.arrays import as_array, as_out, in_order, result_dtypes
from npconv.counts import CountRecord, OpCount, is_counting, record
from npconv.geometry import Geometry, windows_geometry
from npconv.kernels.columns import fold, unfold
from npconv.kernels.entry import Entry
from npconv.kernels.shuffle import shuffle
from npconv.kernels.tile import ADD, MOVED
from npconv.layouts.layout import axis_spans, simplified, table
from npconv.threads import get_num_threads
from npconv.workspace import Workspaces

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Numbers: TypeAlias = tuple[int, ...]

# Moving fewer elements than this takes less time than waking a helper.
ELEMENTS_WORTH_A_THREAD = 200_000
# Enough of them that claiming a unit of work does not show.
ELEMENTS_OF_A_UNIT = 20_000
# Elements that only move do so as unsigned integers of their size.
UNSIGNED = {itemsize: np.dtype(f"u{itemsize}") for itemsize in (1, 2, 4, 8)}
# By threads. To make a workspace takes longer than to move a small image.
_workspaces = functools.cache(Workspaces)


def channel_shuffle(x: Any, groups: int) -> Any:
    """Interleave the channels of `groups` groups: ``y[:, j*groups + i] = x[:, i*(C // groups) + j]``.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input; any numeric type that `conv2d` takes.
    groups : int
        Number of groups; C is a multiple of it.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        The same planes in another order, of the same type.

    Raises
    ------
    TypeError
        If `groups` is not an integer, or x has a type that cannot be convolved.
    ValueError
        If x does not have four axes, or C is not a multiple of `groups`.

    Notes
    -----
    Zhang, Zhou, Lin and Sun (2018), ShuffleNet, section 3.1: channels as a matrix (groups, C // groups), transposed. No arithmetic,
    and each element is moved once. `channel_unshuffle` is the inverse.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> nc.channel_shuffle(np.arange(6.0).reshape(1, 6, 1, 1), 2).ravel()
    array([0., 3., 1., 4., 2., 5.])
    """
    return _shuffled("channel_shuffle", x, groups, inverse=False)


def channel_unshuffle(x: Any, groups: int) -> Any:
    """Undo `channel_shuffle`: ``y[:, i*(C // groups) + j] = x[:, j*groups + i]``.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input; any numeric type that `conv2d` takes.
    groups : int
        Number of groups that the shuffle interleaved; C is a multiple of it.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        The same planes in their old order, of the same type.

    Raises
    ------
    TypeError, ValueError
        As `channel_shuffle`.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> nc.channel_unshuffle(np.array([0.0, 3, 1, 4, 2, 5]).reshape(1, 6, 1, 1), 2).ravel()
    array([0., 1., 2., 3., 4., 5.])
    """
    return _shuffled("channel_unshuffle", x, groups, inverse=True)


def im2col(
    x: Any, kernel_size: PairLike, *, stride: PairLike = 1, padding: PaddingLike = 0, dilation: PairLike = 1
) -> Any:
    """Unfold an image into the matrix whose columns are its windows.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Input.
    kernel_size : int or (int, int)
        Rows and columns of a window.
    stride, padding, dilation
        As `conv2d`.

    Returns
    -------
    ndarray, shape (N, C * KH * KW, OH * OW)
        Row ``(c*KH + kh)*KW + kw``, column ``oh*OW + ow`` holds the input under tap (c, kh, kw) of output (oh, ow), or zero.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`.

    Notes
    -----
    Chellapilla, Puri and Simard (2006), section 4. The fast path of `conv2d` packs this matrix a panel at a time and never has it whole.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> nc.im2col(np.arange(6.0).reshape(1, 1, 2, 3), (2, 2))[0]
    array([[0., 1.],
           [1., 2.],
           [3., 4.],
           [4., 5.]])
    """
    x = as_array("im2col", "x", x)
    geometry = windows_geometry(
        x.shape, kernel_size, stride=stride, padding=padding, dilation=dilation, operation="im2col"
    )
    g = simplified(geometry)
    rows = x.shape[1] * geometry.KH * geometry.KW
    columns = as_out("im2col", None, (g.N, rows, geometry.OH * geometry.OW), x.dtype, (x,))
    entry = _windows_entry(unfold, UNSIGNED[x.dtype.itemsize], g.N * rows, g)
    moved = _share_units(entry, in_order(x, x.dtype), columns, columns.size)
    _record("im2col", "im2col", x, columns, moved=moved[MOVED])
    return columns


def col2im(
    columns: Any,
    x_shape: tuple[int, int, int, int],
    kernel_size: PairLike,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
) -> Any:
    """Fold a matrix of windows back into an image, adding where they overlap: the adjoint of `im2col`.

    Parameters
    ----------
    columns : array_like, shape (N, C * KH * KW, OH * OW)
        Windows, as `im2col` orders them.
    x_shape : tuple of int, (N, C, H, W)
        Shape of the image.
    kernel_size, stride, padding, dilation
        As `im2col`.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        The image: floats in the type of `columns`, float16 summed in float32; integers in int64.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `im2col`; `columns` must have the shape that `im2col` gives for `x_shape`.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> nc.col2im(np.ones((1, 4, 2)), (1, 1, 2, 3), (2, 2))
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])
    """
    columns = as_array("col2im", "columns", columns)
    geometry = windows_geometry(
        x_shape, kernel_size, stride=stride, padding=padding, dilation=dilation, operation="col2im"
    )
    g = simplified(geometry)
    expected = (geometry.N, geometry.C * geometry.KH * geometry.KW, geometry.OH * geometry.OW)
    if columns.shape != expected:
        raise ValueError(
            f"col2im: columns has shape {columns.shape}, but im2col of x {geometry.x_shape} with a {geometry.KH}x{geometry.KW} "
            f"kernel gives {expected}. Did you mean other options?\n        (x_shape {geometry.x_shape})"
        )
    dtype, accumulator = result_dtypes("col2im", columns.dtype, columns.dtype)
    x = as_out("col2im", None, geometry.x_shape, dtype, (columns,))
    sums = np.zeros(x.size, accumulator)
    entry = _windows_entry(fold, accumulator, geometry.N * geometry.C, g)
    tally = _share_units(entry, in_order(columns, accumulator), sums, columns.size)
    with np.errstate(over="ignore"):
        x[...] = sums.reshape(x.shape)
    _record("col2im", "col2im", columns, x, add=tally[ADD])
    return x


def _shuffled(operation: str, x: Any, groups: int, *, inverse: bool) -> Array:
    x = as_array(operation, "x", x)
    entry = _shuffle_entry(operation, x.shape, x.dtype.itemsize, index(operation, "groups", groups, 1), inverse)
    y = as_out(operation, None, x.shape, x.dtype, (x,))
    tally = _share_units(entry, in_order(x, x.dtype), y, y.size)
    _record(operation, "shuffle", x, y, moved=tally[MOVED])
    return y


# To check an image, to lay out its work and to find the way into the kernel takes longer than to move a small one.
@functools.lru_cache(maxsize=128)
def _shuffle_entry(operation: str, shape: Numbers, itemsize: int, groups: int, inverse: bool) -> Entry:
    """Return the way into the kernel that shuffles images of a shape, if there is one."""
    if len(shape) != 4:
        raise ValueError(
            f"{operation}: x has {len(shape)} axes, but needs 4: (N, C, H, W). Did you forget the batch axis?\n        (x {shape})"
        )
    N, C, H, W = shape
    if 0 in (C, H, W):
        raise ValueError(
            f"{operation}: x has an axis of no elements, but only the batch axis N may be empty. Did you mean x[:0]?"
            f"\n        (x {shape}, groups={groups})"
        )
    if C % groups:
        raise ValueError(
            f"{operation}: x has {C} channels, which {groups} groups do not divide. Choose a divisor of {C}."
            f"\n        (x {shape}, groups={groups})"
        )
    interleaved = C // groups if inverse else groups
    members, plane = C // interleaved, H * W
    block = max(1, min(members, ELEMENTS_OF_A_UNIT // (interleaved * plane)))
    blocks = -(-members // block)
    sizes = (N * blocks, interleaved, members, plane, blocks, block)
    return Entry.of(shuffle, (sizes,), UNSIGNED[itemsize], reads=1)


@functools.lru_cache(maxsize=128)
def _windows_entry(kernel: Any, dtype: np.dtype[Any], units: int, g: Geometry) -> Entry:
    """Return the way into a kernel that moves or adds what lies under windows."""
    sizes = (units, g.H, g.W, g.KH, g.KW, g.OH, g.OW, *g.stride, *g.dilation, g.padding[0][0], g.padding[1][0])
    spans = tuple(n for axis in axis_spans(g) for span in axis for n in span)
    return Entry.of(kernel, (sizes, table(spans)), dtype, reads=1)


def _share_units(entry: Entry, source: Array, target: Array, elements: int) -> list[int]:
    """Run a kernel that needs no scratch, in helpers too if there is enough to do; return what it tallied, if anybody wants to know."""
    threads = get_num_threads() if elements > ELEMENTS_WORTH_A_THREAD else 1
    return _workspaces(threads).run(entry, (source, target), is_counting())


def _record(operation: str, method: str, x: Array, y: Array, **tallied: Any) -> None:
    if is_counting():
        counts = OpCount(**{name: int(number) for name, number in tallied.items()})
        record(CountRecord(operation, method, x.shape, None, y.shape, counts))
