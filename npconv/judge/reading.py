"""What a kernel reads for every output, right or mistaken, as arrays of indices.

A mistaken kernel is still a convolution: of other rows, other channels or other weights, stored in another place. So a
mistake is a `Reading` with one thing changed, and everything that is asked of it - its outputs, a few of them, or
whether two mistakes are one on this geometry - is asked of these arrays.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npconv.geometry import Geometry
from npconv.judge.call import Call

Array = NDArray[Any]

OUTSIDE = -1  # a row or column that is padding; an output that was never written


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Operands, and which of their elements each output adds up.

    `geometry` is that of the call. Output ``(n, o, oh, ow)`` is the sum over ``(i, kh, kw)`` of
    ``x[images[n], channels[o, i], rows[oh, kh], columns[ow, kw]] * weight[o, i, kh, kw]``, plus ``bias[o]``. A row or column
    of -1 is padding, whose value is `fill`. The outputs are then stored in another `order` (each place names a flat index;
    -1 is left as it was) and changed by what `finish` and its `amount` name. `rounding` names what was done to the operands'
    values. Taps ``(i, kh, kw)`` that are `skipped` are multiplied by nothing, not even by the zeros in `weight`: NaN leaves no trace.
    """

    geometry: Geometry
    x: Array
    weight: Array
    bias: Array | None
    images: Array
    channels: Array
    rows: Array
    columns: Array
    fill: int = 0
    order: Array | None = None
    finish: str = ""
    amount: int = 0
    rounding: str = ""
    skipped: Array | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the outputs before they are stored, (N, O, OH, OW)."""
        return len(self.images), len(self.weight), len(self.rows), len(self.columns)

    def windows_of(self, geometry: Geometry) -> "Reading":
        """Return a reading of the same operands through the windows of another geometry."""
        return replace(self, **_windows(geometry))


def windows(size: int, outputs: int, taps: int, stride: int, dilation: int, before: int) -> Array:
    """Return the cell that each tap of each output of an axis meets, -1 where that is padding.

    >>> windows(3, 3, 2, 1, 1, 1).tolist()
    [[-1, 0], [0, 1], [1, 2]]
    """
    cells = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - before
    return np.where((cells >= 0) & (cells < size), cells, OUTSIDE)


def blocks(geometry: Geometry) -> Array:
    """Return the channels of each filter, (O, C // groups), where groups are blocks."""
    group = np.arange(geometry.O) // geometry.group_filters
    return group[:, None] * geometry.group_channels + np.arange(geometry.group_channels)


def plain(call: Call) -> Reading:
    """Return what a right kernel reads."""
    g = call.geometry
    return Reading(g, call.x, call.weight, call.bias, np.arange(g.N), blocks(g), **_windows(g))


def _windows(g: Geometry) -> dict[str, Any]:
    (sh, sw), (dh, dw), ((top, _), (left, _)) = g.stride, g.dilation, g.padding
    return {"rows": windows(g.H, g.OH, g.KH, sh, dh, top), "columns": windows(g.W, g.OW, g.KW, sw, dw, left)}


def addressed(right: Reading) -> Reading:
    """Return the reading with every operand's elements replaced by addresses: whole numbers that no small sum confuses."""
    x, weight = (_addresses(operand) for operand in (right.x, right.weight))
    return replace(right, x=x, weight=weight, bias=None if right.bias is None else _addresses(right.bias))


def _addresses(operand: Array) -> Array:
    # An odd factor: no two addresses below 2**31 become one, neighbours are far apart, and none is 0.
    return (np.arange(1, operand.size + 1) * 1_640_531_527 % 2**31).reshape(operand.shape)


def products(reading: Reading, outputs: Array) -> tuple[Array, Array, Array | int]:
    """Return the factors from `x`, (outputs, I, KH, KW), those from `weight`, and the bias, of outputs named by flat indices."""
    n, o, oh, ow = np.unravel_index(np.maximum(outputs, 0), reading.shape)
    rows, columns = reading.rows[oh][:, None, :, None], reading.columns[ow][:, None, None, :]
    read = reading.x[reading.images[n][:, None, None, None], reading.channels[o][:, :, None, None], rows, columns]
    read = np.where((rows | columns) < 0, reading.fill, read)
    if reading.skipped is not None:
        read = np.where(reading.skipped, 0, read)
    return read, reading.weight[o], 0 if reading.bias is None else reading.bias[o]


def sums(reading: Reading, outputs: Array) -> tuple[Array, Array]:
    """Return a few stored outputs, and the sums of magnitudes behind them; what was left as it was comes out as 0.

    In float64, or in int64 where operands are integers.
    """
    places = outputs if reading.order is None else reading.order.ravel()[outputs]
    x, weight, bias = products(reading, places)
    terms = (x.astype(np.int64 if x.dtype.kind in "iu" else np.float64) * weight).reshape(len(outputs), -1)
    y = finish(reading.finish, reading.amount, terms.sum(1) + bias)
    S = np.abs(terms).sum(1) + np.abs(bias)
    if reading.order is None:
        return y, S
    written = places != OUTSIDE
    return np.where(written, y, 0), np.where(written, S, 0)


def finish(kind: str, amount: int, y: Array) -> Array:
    """Return outputs as a kernel leaves them that does one thing too many to each; an empty `kind` is none.

    >>> finish("saturated", 8, np.array([-200, 5, 300])).tolist(), finish("wrapped", 8, np.array([300])).tolist()
    ([-128, 5, 127], [44])
    """
    half = 1 << (amount - 1) if kind in ("saturated", "wrapped") else 0
    finishes: dict[str, Any] = {
        "": lambda: y,
        "doubled": lambda: 2 * y,
        "added to": lambda: y + amount,
        "ReLU": lambda: np.maximum(y, 0),
        "negated": lambda: -y,
        "saturated": lambda: np.clip(y, -half, half - 1),
        "wrapped": lambda: (y + half) % (2 * half) - half,
    }
    finished: Array = finishes[kind]()
    return finished


def same(one: Reading, other: Reading) -> bool:
    """Return whether two readings of addressed operands are one: the same terms in every output, whatever their values."""
    if any(getattr(one, name) != getattr(other, name) for name in _CHOICES) or _padding(one) != _padding(other):
        return False
    if all(_equal(getattr(one, name), getattr(other, name)) for name in _ARRAYS):
        return True
    if _padding(one) or max(_number_of_terms(one), _number_of_terms(other)) > _PROVABLE:
        return False
    return _equal(_terms(one), _terms(other))


_CHOICES = ("finish", "amount", "rounding")
_ARRAYS = ("order", "images", "rows", "columns", "channels", "bias", "weight", "x")
# Terms of two readings are sorted and compared for up to as many, which takes a second.
_PROVABLE = 4_000_000


def _padding(reading: Reading) -> int:
    """Return the value that padding has, 0 where there is none."""
    return reading.fill if any((cells == OUTSIDE).any() for cells in (reading.rows, reading.columns)) else 0


def _equal(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or np.array_equal(one, other)


def _number_of_terms(reading: Reading) -> int:
    return prod(reading.shape) * prod(reading.weight.shape[1:])


def _terms(reading: Reading) -> Array:
    """Return, for each output, the addresses of its terms in one order: the bias, and pairs (x, weight) from the last."""
    outputs = prod(reading.shape)
    x, weight, bias = products(reading, np.arange(outputs))
    pairs = np.where((x == 0) | (weight == 0), 0, x << 31 | weight).reshape(outputs, -1)
    biases = np.broadcast_to(bias, outputs)[:, None]
    terms = np.concatenate([biases, np.sort(pairs, axis=1)[:, ::-1]], axis=1)
    # Products that are not computed are zeros at the end.
    terms = terms[:, : 1 + int((terms[:, 1:] != 0).any(0).sum())]
    if reading.order is None:
        return terms.reshape(*reading.shape, -1)
    return np.where((reading.order == OUTSIDE)[..., None], OUTSIDE, terms[reading.order])
