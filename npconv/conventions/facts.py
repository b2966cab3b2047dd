"""What a counting tool can see of one layer: shapes, options, and by which way of calling it was met."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, Self, TypeAlias

from npconv.arguments import padding_by_word
from npconv.geometry import output_size, valid_taps
from npconv.networks.layer import Layer, scattered_cells

Sizes: TypeAlias = tuple[int, ...]
Caller: TypeAlias = Literal["module", "subclass", "parametrized", "function"]
PaddingWord: TypeAlias = Literal["", "same", "valid"]
Axis: TypeAlias = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a counting tool can see of a convolution, a transposed one or a fully connected layer.

    Parameters
    ----------
    x_shape : tuple of int, (N, C, ...) or (C, ...)
        Shape of the input, of one to three axes beside the channels; a batch may be missing, as PyTorch allows.
    weight_shape : tuple of int, (O, C // groups, ...)
        Shape of the filters; (C, O // groups, ...) if it is transposed.
    stride, dilation, output_padding : tuple of int
        One number for each axis.
    padding : tuple of (int, int)
        Zeros before and after each axis; if it is transposed, what is cut off the output there.
    groups : int
        Blocks that channels and filters are split into.
    bias, transposed, fully_connected : bool
        As `Layer`.
    padding_word : {"", "same", "valid"}
        How the padding was given, if not in numbers.
    circular : bool
        Whether the image itself is repeated in place of zeros, so that no product is wasted.
    caller : {"module", "subclass", "parametrized", "function"}
        What called it: a layer of PyTorch, a class derived from one, one whose weight is computed (weight norm), or a
        function of ``torch.nn.functional`` with no layer around it.
    class_name : str
        Name of the layer's class.
    times : int
        How often it runs.
    parents : int
        How many layers hold it.

    Examples
    --------
    >>> seen = Facts((2, 8, 16), (16, 2, 3), (1,), (1,), (0,), ((1, 1),), groups=4)
    >>> seen.y_shape, seen.dense, seen.useful
    ((2, 16, 16), 3072, 2944)
    """

    x_shape: Sizes
    weight_shape: Sizes
    stride: Sizes
    dilation: Sizes
    output_padding: Sizes
    padding: tuple[tuple[int, int], ...]
    groups: int = 1
    bias: bool = False
    transposed: bool = False
    fully_connected: bool = False
    padding_word: PaddingWord = ""
    circular: bool = False
    caller: Caller = "module"
    class_name: str = "Conv2d"
    times: int = 1
    parents: int = 1

    @classmethod
    def of_layer(cls, layer: Layer) -> Self:
        """Return what a tool sees of a layer that is called as an ordinary module, with padding in numbers.

        Parameters
        ----------
        layer : Layer
            The layer.

        Returns
        -------
        Facts
            The same shapes and options.

        Examples
        --------
        >>> Facts.of_layer(Layer("conv", (1, 8, 5, 5), (4, 8, 3, 3), times=2)).dense == 2 * 4 * 3 * 3 * 8 * 3 * 3
        True
        """
        return cls(
            layer.x_shape,
            layer.weight_shape,
            layer.stride,
            layer.dilation,
            layer.output_padding,
            layer.padding,
            layer.groups,
            layer.bias,
            layer.transposed,
            layer.fully_connected,
            times=layer.times,
        )

    @classmethod
    def of_call(
        cls,
        x_shape: Iterable[int],
        weight_shape: Iterable[int],
        *,
        stride: int | Sizes = 1,
        padding: int | Sizes | PaddingWord = 0,
        dilation: int | Sizes = 1,
        output_padding: int | Sizes = 0,
        groups: int = 1,
        bias: bool = False,
        transposed: bool = False,
        circular: bool = False,
        caller: Caller = "module",
        class_name: str = "",
        times: int = 1,
        parents: int = 1,
    ) -> Self:
        """Return what a tool sees of a call with the options of PyTorch's layers, each one number or one for each axis.

        Parameters
        ----------
        x_shape, weight_shape : sequence of int
            As `Facts`.
        stride : int or tuple of int, default 1
            As `Facts`.
        padding : int, tuple of int, "same" or "valid", default 0
            The same before and after an axis, or a word.
        dilation, output_padding : int or tuple of int
            As `Facts`.
        groups : int, default 1
            As `Facts`.
        bias, transposed, circular : bool, optional
            As `Facts`.
        caller : str, optional
            As `Facts`.
        class_name : str, optional
            As `Facts`; by default that of PyTorch's layer.
        times, parents : int, default 1
            As `Facts`.

        Returns
        -------
        Facts
            Shapes and options, with numbers for each axis.

        Examples
        --------
        A function has no layer around it, and a tool that looks at layers does not see it.

        >>> import npconv as nc
        >>> call = Facts.of_call((1, 4, 5, 6, 7), (2, 4, 3, 3, 3), padding="same", caller="function")
        >>> call.padding, nc.convert(call, "thop"), nc.convert(call, "flop-counter-mode")
        (((1, 1), (1, 1), (1, 1)), 0, 90720)
        """
        x, weight = tuple(x_shape), tuple(weight_shape)
        axes = len(weight) - 2
        strides, dilations, extra = (
            (value,) * axes if isinstance(value, int) else value for value in (stride, dilation, output_padding)
        )
        if isinstance(padding, str):
            sizes = zip(x[-axes:], weight[2:], strides, dilations, strict=True)
            pads = tuple(padding_by_word(padding, *axis) for axis in sizes)
        else:
            pads = tuple((p, p) for p in ((padding,) * axes if isinstance(padding, int) else padding))
        return cls(
            x,
            weight,
            strides,
            dilations,
            extra,
            pads,
            groups,
            bias,
            transposed,
            padding_word=padding if isinstance(padding, str) else "",
            circular=circular,
            caller=caller,
            class_name=class_name or f"Conv{'Transpose' * transposed}{axes}d",
            times=times,
            parents=parents,
        )

    @property
    def kernel(self) -> Sizes:
        """Taps of a filter along each axis."""
        return self.weight_shape[2:]

    @property
    def taps(self) -> int:
        """Taps of a filter in one channel."""
        return prod(self.kernel)

    @property
    def batched(self) -> bool:
        """Whether the input has an axis for the batch."""
        return len(self.x_shape) == len(self.weight_shape)

    @property
    def N(self) -> int:
        """Number of images."""
        return self.x_shape[0] if self.batched else 1

    @property
    def C(self) -> int:
        """Channels of the input."""
        return self.x_shape[1] if self.batched else self.x_shape[0]

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.weight_shape[1] * self.groups if self.transposed else self.weight_shape[0]

    @property
    def x_size(self) -> Sizes:
        """Extents of the input beside batch and channels."""
        return self.x_shape[-len(self.kernel) :]

    @property
    def y_size(self) -> Sizes:
        """Extents of the output beside batch and channels."""
        if not self.transposed:
            return tuple(output_size(*axis) for axis in self._axes(self.x_size))
        return tuple(
            (n - 1) * s + d * (k - 1) + 1 - p0 - p1 + extra
            for (n, k, s, d, p0, p1), extra in zip(self._axes(self.x_size), self.output_padding, strict=True)
        )

    @property
    def y_shape(self) -> Sizes:
        """Shape of the output, without a batch if the input has none."""
        shape = self.filters, *self.y_size
        return (self.N, *shape) if self.batched else shape

    @property
    def outputs(self) -> int:
        """Elements of the outputs of all runs."""
        return self.times * prod(self.y_shape)

    @property
    def biases(self) -> int:
        """Additions of a bias: one for each output, or none."""
        return self.bias * self.outputs

    @property
    def dense(self) -> int:
        """Products of every weight with every window; of a transposed layer, with every input element."""
        positions = prod(self.x_size if self.transposed else self.y_size)
        return self.times * self.N * positions * prod(self.weight_shape)

    @property
    def dense_add(self) -> int:
        """Additions of all products, to the bias if there is one; else the first product of each output is stored."""
        if self.bias:
            return self.dense
        spread = (len(scattered_cells(n, k, s, d)) for n, k, s, d, *_ in self._axes(self.x_size))
        stored = prod(spread if self.transposed else self.y_size)
        return self.dense - self.times * self.N * self.filters * stored

    @property
    def useful(self) -> int:
        """Products with real elements that reach the output."""
        if self.circular:
            return self.dense
        if self.transposed:
            # The adjoint reads y, and output padding is so much less padding at its end.
            axes = self._axes(self.y_size)
            ends = zip(axes, self.output_padding, strict=True)
            pairs = prod(valid_taps(*axis[:5], axis[5] - extra) for axis, extra in ends)
        else:
            pairs = prod(valid_taps(*axis) for axis in self._axes(self.x_size))
        return self.times * self.N * prod(self.weight_shape[:2]) * pairs

    def _axes(self, sizes: Sizes) -> Iterator[Axis]:
        """Yield each axis as the arguments ``n, k, s, d, p0, p1`` of `output_size`."""
        for n, k, s, d, ends in zip(sizes, self.kernel, self.stride, self.dilation, self.padding, strict=True):
            yield n, k, s, d, *ends
