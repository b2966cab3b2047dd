"""One convolution of a network, or a transposed one, as the paper's table has it, and what it costs."""

from dataclasses import dataclass, replace

from npconv.arguments import Padding, Pair, Shape, complaint
from npconv.counts import OpCount, conv2d_counts
from npconv.geometry import Geometry, conv2d_geometry


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution (cross-correlation: the filter is not flipped) of a network, with the shapes that it meets there.

    A transposed one is the adjoint of a convolution: each element of `x` scatters a filter, weighted by it, over the
    output, where that convolution would have read it from.

    Parameters
    ----------
    name : str
        Its place in the network.
    x_shape : tuple of int, (N, C, H, W)
        Shape of the input.
    weight_shape : tuple of int, (O, C // groups, KH, KW)
        Shape of the filters; (C, O // groups, KH, KW) if it is transposed, as PyTorch and ONNX have it.
    stride : (int, int)
        Rows and columns from one window to the next.
    padding : ((int, int), (int, int))
        Zeros at ``((top, bottom), (left, right))``; if it is transposed, what is cut off the output there.
    dilation : (int, int)
        Rows and columns from one tap to the next.
    groups : int
        Blocks that channels and filters are split into.
    bias : bool
        Whether each sum starts from a bias.
    times : int
        How often it runs for one image. Its weights are there once.
    fully_connected : bool
        Whether the paper calls it fully connected: a 1x1 convolution of an image of 1x1.
    transposed : bool
        Whether it is the adjoint of a convolution.
    output_padding : (int, int)
        Rows and columns that a transposed output is longer by, at its end, than it has to be; below the stride.

    Notes
    -----
    The adjoint of a transposed layer reads an image of the shape of `y` and leaves one of the shape of `x`, through
    the same weight. Both make the same products: where one reads a padding zero, the other's product falls outside
    the output that is kept.

    Examples
    --------
    >>> import npconv as nc
    >>> layer = nc.networks.network("mobilenet-v1").layers[1]
    >>> layer.name, layer.x_shape, layer.weight_shape, layer.groups
    ('conv2.depthwise', (1, 32, 112, 112), (32, 1, 3, 3), 32)
    >>> layer.parameters, layer.counts.dense_mul == 112 * 112 * 32 * 9
    (288, True)

    Two elements scatter three taps each, two steps apart, over five cells; one cell is cut off at either end.

    >>> layer = Layer("up", (1, 1, 1, 2), (1, 1, 1, 3), (1, 2), ((0, 0), (1, 1)), transposed=True)
    >>> layer.y_shape, layer.counts
    ((1, 1, 1, 3), OpCount(mul=4, add=1, padding_mul=2))
    """

    name: str
    x_shape: Shape
    weight_shape: Shape
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False
    times: int = 1
    fully_connected: bool = False
    transposed: bool = False
    output_padding: Pair = (0, 0)

    @property
    def geometry(self) -> Geometry:
        """Shapes and options as one checked record: of the convolution, or of that whose adjoint this layer is.

        Examples
        --------
        >>> Layer("pointwise", (1, 8, 5, 5), (4, 8, 1, 1)).geometry.K
        8
        >>> Layer("up", (1, 8, 5, 5), (8, 4, 2, 2), stride=(2, 2), transposed=True).geometry.x_shape
        (1, 4, 10, 10)
        """
        return conv2d_geometry(
            self._transposed_shape() if self.transposed else self.x_shape,
            self.weight_shape,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            operation=self.name,
        )

    @property
    def y_shape(self) -> Shape:
        """Shape of the output, (N, O, OH, OW).

        Examples
        --------
        >>> Layer("conv", (1, 8, 5, 5), (4, 8, 3, 3), stride=(2, 2)).y_shape
        (1, 4, 2, 2)
        """
        return self.geometry.x_shape if self.transposed else self.geometry.y_shape

    @property
    def counts(self) -> OpCount:
        """Products and additions of all its runs, by closed forms.

        Examples
        --------
        >>> Layer("pointwise", (1, 8, 5, 5), (4, 8, 1, 1), times=2).counts.mul == 2 * 4 * 5 * 5 * 8
        True
        """
        counts = conv2d_counts(self.geometry, self.bias or self.transposed)
        if self.transposed and not self.bias:
            counts = _without_bias(self.geometry, counts)
        return self.times * counts

    @property
    def parameters(self) -> int:
        """Number of weights, and of biases if there are any.

        Examples
        --------
        >>> Layer("pointwise", (1, 8, 5, 5), (4, 8, 1, 1), bias=True, times=2).parameters
        36
        """
        geometry = self.geometry
        return geometry.O * geometry.K + self.bias * self.y_shape[1]

    def _transposed_shape(self) -> Shape:
        """Return the shape of a transposed output: that which the adjoint reads."""
        (N, _, *size), (_, per_group, *kernel) = self.x_shape, self.weight_shape
        axes = zip(size, kernel, self.stride, self.dilation, self.padding, self.output_padding, strict=True)
        OH, OW = ((n - 1) * s + d * (k - 1) + 1 - p0 - p1 + extra for n, k, s, d, (p0, p1), extra in axes)
        shape = N, per_group * self.groups, OH, OW
        if fault := self._misfit(shape):
            options = {"stride": self.stride, "padding": self.padding, "output_padding": self.output_padding}
            raise complaint(self.name, ValueError(fault), options, x=self.x_shape, weight=self.weight_shape)
        return shape

    def _misfit(self, y_shape: Shape) -> str:
        """Say why a transposed layer has no adjoint, if it has none."""
        C, (filters, *rest) = self.x_shape[1], self.weight_shape
        if filters != C:
            return f"x has {C} channels, but weight takes {filters}. Did you mean a weight of shape {(C, *rest)}?"
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride, strict=True)):
            return f"output_padding is {self.output_padding}, but must be below the stride. Did you mean (0, 0)?"
        if min(y_shape[2:]) < 1:
            return f"padding cuts all off: y would be {y_shape}. Did you mean less padding?"
        return ""


def scattered_cells(n: int, k: int, s: int, d: int) -> set[int]:
    """Return where the products of n elements and k taps land on an axis, from the first of them on.

    >>> sorted(scattered_cells(2, 2, 3, 1))
    [0, 1, 3, 4]
    """
    return {i * s + j * d for i in range(n) for j in range(k)}


def _without_bias(adjoint: Geometry, counts: OpCount) -> OpCount:
    """Return what a transposed layer adds without a bias: the first product of each output is stored, not added."""
    everything = kept = adjoint.N * adjoint.C
    for (length, k, s, d, p0, _), n in zip(adjoint.axes, (adjoint.OH, adjoint.OW), strict=True):
        cells = scattered_cells(n, k, s, d)
        everything *= len(cells)
        kept *= sum(p0 <= cell < p0 + length for cell in cells)
    return replace(counts, add=counts.add - kept, padding_add=counts.padding_add - (everything - kept))
