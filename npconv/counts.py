"""How much a convolution computes: the record of a count, the closed forms that judge it, and who is told about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import ClassVar, SupportsIndex

from npconv.arguments import PaddingLike, PairLike, ShapeLike, flag, index
from npconv.geometry import Geometry, conv2d_geometry, covered_outputs, valid_taps


@dataclass(frozen=True, slots=True)
class OpCount:
    """Multiplications and additions, never merged, and what they were spent on; records add up and scale.

    Parameters
    ----------
    mul, add : int
        Products of a weight with a real input element that reach an output, and the additions that sum them, those
        to a bias included.
    padding_mul, padding_add : int
        The same arithmetic on padding zeros.
    idle_mul, idle_add : int
        Work of vector lanes and tile rows whose result is thrown away.
    transform_mul, transform_add : int
        Work of a transform such as Winograd's or Fourier's.
    moved : int
        Elements copied: padded, packed or shuffled.

    Examples
    --------
    A 3x3 filter over 3x3 pixels, padded by 1: the window in the middle has 9 pixels, those at edges 6, at corners 4.

    >>> import npconv as nc
    >>> layer = nc.count_conv2d((1, 1, 3, 3), (1, 1, 3, 3), padding=1)
    >>> layer.mul == 9 + 4 * 6 + 4 * 4
    True
    >>> print(2 * layer)
    products   162 executed = 98 useful + 64 on padding
    additions  144 executed = 80 useful + 64 on padding
    dense      162 products, 144 additions (useful and padding; many tools call these products MACs)
    utilised   60.5% of the executed products
    """

    mul: int = 0
    add: int = 0
    padding_mul: int = 0
    padding_add: int = 0
    idle_mul: int = 0
    idle_add: int = 0
    transform_mul: int = 0
    transform_add: int = 0
    moved: int = 0

    # NumPy's integers would else take a record for an array of objects.
    __array_ufunc__: ClassVar[None] = None

    @property
    def dense_mul(self) -> int:
        """Products of every tap, real or padding: ``mul + padding_mul``, what frameworks call MACs.

        Examples
        --------
        >>> OpCount(mul=6, padding_mul=2, idle_mul=8).dense_mul
        8
        """
        return self.mul + self.padding_mul

    @property
    def dense_add(self) -> int:
        """Additions of every tap, real or padding: ``add + padding_add``.

        Examples
        --------
        >>> OpCount(add=5, padding_add=2, idle_add=7).dense_add
        7
        """
        return self.add + self.padding_add

    @property
    def executed_mul(self) -> int:
        """All products that were computed: dense, idle, and of transforms.

        Examples
        --------
        >>> OpCount(mul=6, padding_mul=2, idle_mul=8).executed_mul
        16
        """
        return self.dense_mul + self.idle_mul + self.transform_mul

    @property
    def executed_add(self) -> int:
        """All additions that were computed: dense, idle, and of transforms.

        Examples
        --------
        >>> OpCount(add=5, padding_add=2, idle_add=7).executed_add
        14
        """
        return self.dense_add + self.idle_add + self.transform_add

    @property
    def utilisation(self) -> float:
        """Useful share of the executed products, ``mul / executed_mul``; 1.0 if there are none, as none was wasted.

        Examples
        --------
        >>> OpCount(mul=6, padding_mul=2, idle_mul=8).utilisation
        0.375
        """
        return self.mul / self.executed_mul if self.executed_mul else 1.0

    def __add__(self, other: "OpCount") -> "OpCount":
        if not isinstance(other, OpCount):
            return NotImplemented
        return OpCount(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))

    def __radd__(self, other: int) -> "OpCount":
        # sum() begins with 0.
        return self if type(other) is int and other == 0 else NotImplemented

    def __mul__(self, times: SupportsIndex) -> "OpCount":
        n = index("OpCount", "times", times, 0)
        return OpCount(*(n * getattr(self, name) for name in _FIELDS))

    __rmul__ = __mul__

    def __str__(self) -> str:
        lines = [
            f"products   {_sum(self.executed_mul, self.mul, self.padding_mul, self.idle_mul, self.transform_mul)}",
            f"additions  {_sum(self.executed_add, self.add, self.padding_add, self.idle_add, self.transform_add)}",
            f"dense      {self.dense_mul:,} products, {self.dense_add:,} additions {_DENSE}",
            f"utilised   {self.utilisation:.1%} of the executed products",
        ]
        if self.moved:
            lines.append(f"moved      {self.moved:,} elements")
        return "\n".join(lines)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)}" for name in _FIELDS if getattr(self, name))
        return f"OpCount({told})"


_FIELDS = tuple(part.name for part in fields(OpCount))
_DENSE = "(useful and padding; many tools call these products MACs)"


def _sum(executed: int, useful: int, padding: int, idle: int, transform: int) -> str:
    """Write what operations of one kind were executed for; lanes and transforms only where there are any."""
    text = f"{executed:,} executed = {useful:,} useful + {padding:,} on padding"
    text += f" + {idle:,} idle" if idle else ""
    return text + (f" + {transform:,} in transforms" if transform else "")


def count_conv2d(
    x_shape: ShapeLike,
    weight_shape: ShapeLike,
    *,
    bias: bool = False,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: SupportsIndex = 1,
) -> OpCount:
    """Count the products and additions of a 2-D convolution (cross-correlation) from its shapes, by closed forms.

    Parameters
    ----------
    x_shape : sequence of int, (N, C, H, W)
        Shape of the input.
    weight_shape : sequence of int, (O, C // groups, KH, KW)
        Shape of the filters.
    bias : bool, default False
        Whether each sum starts from a bias; then its first product is added too.
    stride : int or (int, int), default 1
        As `conv2d_output_shape`.
    padding : int, (int, int), ((int, int), (int, int)) or {"valid", "same", "same_lower"}, default 0
        As `conv2d_output_shape`.
    dilation : int or (int, int), default 1
        As `conv2d_output_shape`.
    groups : int, default 1
        As `conv2d_output_shape`.

    Returns
    -------
    OpCount
        The useful operations and those on padding. What a method computes or moves beyond them is not in it.

    Raises
    ------
    TypeError
        If an option or a size is not an integer, or `bias` is not a bool.
    ValueError
        As `conv2d_output_shape`.

    Notes
    -----
    ``P = N*O*OH*OW`` outputs of ``K = (C // groups)*KH*KW`` taps make ``P*K`` dense products, and ``P*(K - 1)`` dense
    additions, or ``P*K`` with a bias. Along one axis let V be the pairs (output, tap) on a real cell, and A the outputs
    with such a tap. Then ``N*O*(C // groups)*V_h*V_w`` products are useful, and as many additions with a bias,
    ``N*O*A_h*A_w`` fewer without. The axes separate, so nothing loops over the image.

    Examples
    --------
    Over 3 pixels and a zero on either side, 3 windows of 3 have 2, 3 and 2 real taps.

    >>> import npconv as nc
    >>> nc.count_conv2d((1, 1, 1, 3), (1, 1, 1, 3), padding=(0, 1))
    OpCount(mul=7, add=4, padding_mul=2, padding_add=2)
    """
    geometry = conv2d_geometry(
        x_shape,
        weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        operation="count_conv2d",
    )
    return conv2d_counts(geometry, flag("count_conv2d", "bias", bias))


def conv2d_counts(geometry: Geometry, bias: bool) -> OpCount:
    """Return the closed forms of `count_conv2d` for a geometry."""
    images = geometry.N * geometry.O
    rows, columns = geometry.axes
    mul = images * geometry.group_channels * valid_taps(*rows) * valid_taps(*columns)
    dense_mul = geometry.P * geometry.K
    if bias:
        add, dense_add = mul, dense_mul
    else:
        add = mul - images * covered_outputs(*rows) * covered_outputs(*columns)
        dense_add = dense_mul - geometry.P
    return OpCount(mul=mul, add=add, padding_mul=dense_mul - mul, padding_add=dense_add - add)


def conv2d_parameters(geometry: Geometry, bias: bool) -> int:
    """Return the number of weights, and of biases if there are any."""
    return geometry.O * (geometry.K + bias)


@dataclass(frozen=True, slots=True)
class CountRecord:
    """What one call counted.

    Parameters
    ----------
    operation, method : str
        Function that was called, and method that ran.
    x_shape : tuple of int
        Shape of the input.
    weight_shape : tuple of int or None
        Shape of the filters, if there are any.
    y_shape : tuple of int
        Shape of the output.
    counts : OpCount
        What was executed.
    """

    operation: str
    method: str
    x_shape: tuple[int, ...]
    weight_shape: tuple[int, ...] | None
    y_shape: tuple[int, ...]
    counts: OpCount


@dataclass(eq=False, slots=True)
class Counting:
    """What the calls inside a ``with counting()`` counted, in the order in which they ended.

    Parameters
    ----------
    records : list of CountRecord
        One for each call.
    """

    records: list[CountRecord] = field(default_factory=list)

    @property
    def total(self) -> OpCount:
        """Sum of all records."""
        return sum((record.counts for record in self.records), OpCount())

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[CountRecord]:
        return iter(self.records)


_active: ContextVar[tuple[Counting, ...]] = ContextVar("npconv_counting", default=())
# Whether there ever was a block: who never counts need not look the context up.
_begun = False


@contextmanager
def counting() -> Iterator[Counting]:
    """Record what every call inside the ``with`` block counts.

    Yields
    ------
    Counting
        Holds ``records``, one for each call, and their ``total``; it stays readable after the block.

    Notes
    -----
    Blocks nest, and each gets every record. A block belongs to the context that it was entered in (`contextvars`): an
    ``asyncio`` task takes part in what was active where it was created, and a new thread if it runs in a copy of that
    context, ``contextvars.copy_context().run``.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> with nc.counting() as calls:
    ...     y = nc.conv2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))
    >>> [(call.operation, call.y_shape) for call in calls], calls.total.mul
    ([('conv2d', (1, 1, 1, 1))], 4)
    """
    global _begun
    _begun = True
    block = Counting()
    _active.set((*_active.get(), block))
    try:
        yield block
    finally:
        # Not by a token: a generator may be closed in another context than it was begun in.
        _active.set(tuple(other for other in _active.get() if other is not block))


def is_counting() -> bool:
    """Return whether anybody wants records."""
    return _begun and bool(_active.get())


def record(call: CountRecord) -> None:
    """Give the record of a call to every block around it."""
    for block in _active.get():
        block.records.append(call)
