"""A convolution made ready: method, tile and threads chosen, weights packed, counts predicted. Printed, it explains itself."""

import functools
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy import ndarray

from npconv.arguments import PaddingLike, PairLike, index
from npconv.arrays import as_array, as_bias, as_out, in_order, result_dtypes
from npconv.choice import choose, workspaces_of
from npconv.counts import CountRecord, OpCount, conv2d_counts, is_counting, record
from npconv.geometry import Geometry, conv2d_geometry
from npconv.kernels.forms import c_form, fields_are_known
from npconv.layouts import NotServedError, lay_out
from npconv.memory import check_room
from npconv.threads import get_num_threads
from npconv.useful import useful

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

METHODS = ("auto", "naive", "im2col", "direct", "filterwise", "depthwise")
LARGEST_EXTENT = 2**62


class Conv2dPlan:
    """A 2-D convolution (cross-correlation) with its weights packed and its method, tile and threads chosen; made by `plan_conv2d`.

    Call it as ``plan(x, out=None, return_counts=False)``; print it to see what it does and why. It may be called from several
    threads at once.

    Attributes
    ----------
    geometry : Geometry
        Shapes and options.
    y_shape : tuple of int
        Shape of the result.
    dtype : numpy.dtype
        Type of the result.
    method : str
        The method that was chosen.
    why : str
        What the choice was made by.
    tiles : list of RegisterTile
        The register tile, alone.
    num_threads : int
        Threads that a call uses.
    shuffle_groups : int
        Groups in which the channels of the result are shuffled; 1 if they are not.
    keeps : bool
        Whether it keeps its weights; if not, each `run` is given them.
    counts : OpCount
        What a call will count, predicted.
    """

    def __init__(
        self,
        geometry: Geometry,
        weight: Array,
        bias: Array | None,
        dtypes: tuple[np.dtype[Any], np.dtype[Any]],
        method: str,
        num_threads: int,
        shuffle: int = 1,
        *,
        tile: tuple[int, ...] | None = None,
        pieces: int | None = None,
        keeps: bool = True,
    ) -> None:
        self.geometry = geometry
        self._x_shape, self.y_shape = geometry.x_shape, geometry.y_shape
        self.dtype, self._accumulator = dtypes
        if tile is None and pieces is None:
            chosen = choose(geometry, self._accumulator, method, num_threads, shuffle)
            self.layout, self.why, self.num_threads, self._shuffle_after = chosen
        else:
            self.layout = lay_out(geometry, self._accumulator, method, pieces or 1, tile, shuffle)
            self._shuffle_after = 1
            self.why, self.num_threads = "as asked for", min(num_threads, self.layout.units or 1)
        self.method, self.tiles = self.layout.method, [self.layout.tile]
        self.shuffle_groups = shuffle
        self._bias = bias is not None
        packing = None if keeps else self.layout.packing
        self.layout, self.keeps = packing or self.layout, packing is None
        self._weight = self._packed(weight) if self.keeps else None
        terms = np.empty(0, self._accumulator) if bias is None else bias.astype(self._accumulator, copy=False)
        self._terms = in_order(self.layout.pack_bias(terms), self._accumulator)
        self._in_place = self.dtype == self._accumulator and self._shuffle_after == 1
        self._workspaces = workspaces_of(self.layout, self.num_threads)
        self._empty = geometry.P == 0
        # The way into the kernel, where one thread runs it and nothing else has to be done: known from the first call on.
        self._straight: tuple[Any, ...] | None = None

    def _packed(self, weight: Array) -> Array:
        """Return weights in the order in which the kernel reads them."""
        return in_order(self.layout.pack(weight.astype(self._accumulator, copy=False)), self._accumulator)

    def __call__(self, x: Any, out: Any = None, return_counts: bool = False) -> Any:
        """Convolve x.

        Parameters
        ----------
        x : array_like, shape (N, C, H, W)
            Input, of the shape and of the type that the plan was made for.
        out : ndarray, shape (N, O, OH, OW), optional
            Where to put the result: writable, C-contiguous, of the result's type, no part of an input.
        return_counts : bool, optional
            Whether to return the counts as well.

        Returns
        -------
        y : ndarray, shape (N, O, OH, OW)
            The result.
        counts : OpCount
            What was executed, where `return_counts` asks for it.

        Raises
        ------
        TypeError
            If the type of `x` would make a result of another type.
        ValueError
            If a shape is not what the plan was made for.

        Examples
        --------
        >>> import numpy as np
        >>> import npconv as nc
        >>> plan = nc.plan_conv2d((1, 1, 1, 3), np.array([[[[1.0, 10.0]]]]))
        >>> plan(np.array([[[[1.0, 2.0, 3.0]]]]))
        array([[[[21., 32.]]]])
        """
        # What is most often given goes straight to the kernel: a small layer takes less time than its checks. The way in refuses arrays of
        # another form, and a result that lies in x.
        straight = self._straight
        if straight is not None and out is not None and not return_counts and not is_counting():
            enter, job, weight, terms, like, unused = straight
            try:
                workspace = unused.pop()
            except IndexError:
                pass
            else:
                try:
                    enter((job, workspace.alone, (x, weight, terms, out), like))
                except (TypeError, ValueError):
                    # Looked at again below.
                    pass
                else:
                    return out
                finally:
                    unused.append(workspace)
        x = self._checked(x)
        y = as_out("plan", out, self.y_shape, self.dtype, (x,))
        counting = is_counting()
        counts = self.run(x, y, counted=return_counts or counting)
        if counting and counts is not None:
            record(CountRecord("conv2d", self.method, x.shape, self.geometry.weight_shape, y.shape, counts))
        if straight is None and self.num_threads == 1 and self._in_place and not self._empty and fields_are_known():
            like = c_form(self._x_shape, self.dtype), self._weight, self._terms, c_form(self.y_shape, self.dtype)
            like[0].flags.writeable = False
            entry = self.layout.entry
            self._straight = entry.enter, entry.job, self._weight, self._terms, like, self._workspaces.unused
        return (y, counts) if return_counts else y

    def _checked(self, x: Any) -> Array:
        """Return x as an array, if it is one that the plan takes."""
        if type(x) is ndarray and x.dtype is self.dtype and x.shape == self._x_shape:
            return x
        array = as_array("plan", "x", x)
        if array.shape != self._x_shape:
            raise ValueError(
                f"plan: x has shape {array.shape}, but the plan was made for {self._x_shape}. Make a plan for each shape."
            )
        if array.dtype != self.dtype and result_dtypes("plan", array.dtype, self.dtype)[0] != self.dtype:
            raise TypeError(
                f"plan: x is {array.dtype}, but the plan computes in {self.dtype}. Convert x, or make a plan with weights of that type."
            )
        return array

    def run(self, x: Array, y: Array, *, counted: bool, weight: Any = None) -> OpCount | None:
        """Convolve an array that has been checked into one that has; return what was executed if that is `counted`.

        A plan that does not keep its weights is given those of this call.
        """
        if self._empty:
            return OpCount() if counted else None
        inputs = in_order(x, self._accumulator)
        sums = y if self._in_place else np.empty(y.size, self._accumulator)
        packed = self._packed(weight) if self._weight is None else self._weight
        tallied = self._workspaces.run(self.layout.entry, (inputs, packed, self._terms, sums), counted)
        if not self._in_place:
            (N, O, OH, OW), s = y.shape, self._shuffle_after
            with np.errstate(over="ignore"):
                y.reshape(N, O // s, s, OH, OW)[...] = sums.reshape(N, s, O // s, OH, OW).swapaxes(1, 2)
        return self._executed(tallied) if counted else None

    def _executed(self, tallied: list[int]) -> OpCount:
        """Turn what the loops tallied into a record; which products met padding is measured, not computed."""
        mul, add, idle_mul, idle_add, zeros, moved = tallied[:6]
        layout = self.layout
        walked = useful(
            self.geometry, self._accumulator, self.method, layout.tile.planes, layout.choice, biased=self._bias
        )
        # im2col sees each zero that it packs; the other methods were shown where theirs are.
        useful_mul = mul - idle_mul - zeros if self.method == "im2col" else walked.mul
        useful_add = walked.add + useful_mul - walked.mul
        return OpCount(
            mul=useful_mul,
            add=useful_add,
            padding_mul=mul - idle_mul - useful_mul,
            padding_add=add - idle_add - useful_add,
            idle_mul=idle_mul,
            idle_add=idle_add,
            moved=moved + self._moved_after,
        )

    @property
    def _moved_after(self) -> int:
        """Elements moved by a shuffle that the kernel could not do as it stored them."""
        return self.geometry.P if self._shuffle_after > 1 else 0

    @functools.cached_property
    def counts(self) -> OpCount:
        """What a call will count: the closed form, and what the layout says it wastes and moves."""
        additions = self.geometry.K - (0 if self._bias else 1)
        idle = self.layout.idle
        waste = OpCount(
            idle_mul=idle * self.geometry.K, idle_add=idle * additions, moved=self.layout.moved + self._moved_after
        )
        return conv2d_counts(self.geometry, self._bias) + waste

    def __str__(self) -> str:
        g, counts, tile = self.geometry, self.counts, self.layout.tile
        size = self._accumulator.itemsize
        weights = "packed at each call" if self._weight is None else f"{self._weight.nbytes:,} packed"
        (top, bottom), (left, right) = g.padding
        lines = [
            f"conv2d {g.x_shape} * {g.weight_shape} -> {g.y_shape}, {self.dtype}"
            + (f", sums in {self._accumulator}" if self.dtype != self._accumulator else ""),
            f"  options    stride {g.stride}, padding ({top}, {bottom}), ({left}, {right}), dilation {g.dilation}, groups {g.groups}",
            f"  method     {self.method}: {self.why}",
            *self._shuffle_line(),
            f"  tile       {tile}{self.layout.tail}",
            f"  work       {self.layout.units} units for {self.num_threads} thread(s)",
            f"  products   {counts.dense_mul:,} = {g.P:,} outputs x {g.K} taps; {counts.mul:,} useful, {counts.padding_mul:,} on padding",
            f"  additions  {counts.dense_add:,}; {counts.add:,} useful, {counts.padding_add:,} on padding",
            f"  idle       {counts.idle_mul:,} products in lanes that are thrown away; {counts.utilisation:.1%} of all executed are useful",
            f"  moved      {counts.moved:,} elements copied",
            f"  bytes      x {g.N * g.C * g.H * g.W * size:,}, weights {weights}, y {g.P * size:,}",
            f"  workspace  {self.layout.scratch * size:,} bytes a thread",
        ]
        return "\n".join(lines)

    def _shuffle_line(self) -> list[str]:
        how = "on the way to memory" if self._shuffle_after == 1 else "afterwards"
        return [f"  shuffle    channels in {self.shuffle_groups} groups, {how}"] if self.shuffle_groups > 1 else []

    def __repr__(self) -> str:
        return f"<Conv2dPlan {self.geometry.x_shape} -> {self.geometry.y_shape}, {self.dtype}, {self.method}, {self.num_threads} thread(s)>"


def make_plan(
    operation: str,
    geometry: Geometry,
    weight: Array,
    bias: Array | None,
    dtypes: tuple[np.dtype[Any], np.dtype[Any]],
    method: str,
    num_threads: int,
    shuffle_groups: SupportsIndex = 1,
    *,
    keeps: bool = True,
) -> Conv2dPlan:
    """Return a plan for arguments whose arrays and shapes have been checked, or say what cannot be done.

    One that `keeps` its weights has packed them from now on; another is given them with every call, if its kernel can pack them.
    """
    shuffle = index(operation, "shuffle_groups", shuffle_groups, 1)
    if geometry.O % shuffle:
        raise ValueError(
            f"{operation}: weight has {geometry.O} filters, which {shuffle} shuffle_groups do not divide. Choose a divisor of {geometry.O}."
            f"\n        (weight {geometry.weight_shape}, shuffle_groups={shuffle})"
        )
    if method not in METHODS:
        raise ValueError(f"{operation}: method is {method!r}, but must be one of {', '.join(map(repr, METHODS))}.")
    for axis, size, pads in (("height", geometry.H, geometry.padding[0]), ("width", geometry.W, geometry.padding[1])):
        if size + sum(pads) >= LARGEST_EXTENT:
            raise ValueError(
                f"{operation}: the padded {axis} is {size + sum(pads)}, but indices reach below 2**62 = {LARGEST_EXTENT}. "
                "Did you mean a smaller padding?"
            )
    try:
        return Conv2dPlan(geometry, weight, bias, dtypes, method, num_threads, shuffle, keeps=keeps)
    except NotServedError as refusal:
        raise ValueError(f"{operation}: {refusal}") from None


def plan_conv2d(
    x_shape: tuple[int, int, int, int],
    weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    shuffle_groups: int = 1,
    method: str = "auto",
    num_threads: int | None = None,
) -> Conv2dPlan:
    """Make a 2-D convolution (cross-correlation: the filter is not flipped) ready for inputs of one shape.

    Weights are packed once, and the plan can be called many times, from several threads at once. The type of the result is that of
    the weights.

    Parameters
    ----------
    x_shape : tuple of int, (N, C, H, W)
        Shape of the inputs to come.
    weight : array_like, shape (O, C // groups, KH, KW)
        Filters. They are copied: a later change of the array does not reach the plan.
    bias : array_like, shape (O,), optional
        Added to each output, where the sum begins.
    stride, padding, dilation, groups
        As `conv2d`.
    shuffle_groups, method
        As `conv2d`.
    num_threads : int, optional
        Threads to use at most, by default `get_num_threads`.

    Returns
    -------
    Conv2dPlan
        Call it with the input; print it to see what it does.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> plan = nc.plan_conv2d((1, 1, 3, 3), np.ones((1, 1, 2, 2)))
    >>> plan(np.ones((1, 1, 3, 3)))
    array([[[[4., 4.],
             [4., 4.]]]])
    >>> plan.counts.mul
    16
    """
    weight = as_array("plan_conv2d", "weight", weight)
    geometry = conv2d_geometry(
        x_shape, weight.shape, stride=stride, padding=padding, dilation=dilation, groups=groups, operation="plan_conv2d"
    )
    dtypes = result_dtypes("plan_conv2d", weight.dtype, weight.dtype)
    terms = as_bias("plan_conv2d", bias, geometry.O, dtypes[0])
    check_room("plan_conv2d", "the result", geometry.y_shape, dtypes[0])
    threads = get_num_threads() if num_threads is None else index("plan_conv2d", "num_threads", num_threads, 1)
    own = weight.copy(), None if terms is None else terms.copy()
    return make_plan("plan_conv2d", geometry, *own, dtypes, method, threads, shuffle_groups)
