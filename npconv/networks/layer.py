"""One convolution of a network, as the paper's table has it, and what it costs."""

from dataclasses import dataclass

from npconv.arguments import Padding, Pair, Shape
from npconv.counts import OpCount, conv2d_counts, conv2d_parameters
from npconv.geometry import Geometry, conv2d_geometry


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution (cross-correlation: the filter is not flipped) of a network, with the shapes that it meets there.

    Parameters
    ----------
    name : str
        Its place in the network.
    x_shape : tuple of int, (N, C, H, W)
        Shape of the input.
    weight_shape : tuple of int, (O, C // groups, KH, KW)
        Shape of the filters.
    stride : (int, int)
        Rows and columns from one window to the next.
    padding : ((int, int), (int, int))
        Zeros at ``((top, bottom), (left, right))``.
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

    Examples
    --------
    >>> import npconv as nc
    >>> layer = nc.networks.network("mobilenet-v1").layers[1]
    >>> layer.name, layer.x_shape, layer.weight_shape, layer.groups
    ('conv2.depthwise', (1, 32, 112, 112), (32, 1, 3, 3), 32)
    >>> layer.parameters, layer.counts.dense_mul == 112 * 112 * 32 * 9
    (288, True)
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

    @property
    def geometry(self) -> Geometry:
        """Shapes and options as one checked record.

        Examples
        --------
        >>> Layer("pointwise", (1, 8, 5, 5), (4, 8, 1, 1)).geometry.K
        8
        """
        return conv2d_geometry(
            self.x_shape,
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
        return self.geometry.y_shape

    @property
    def counts(self) -> OpCount:
        """Products and additions of all its runs, by closed forms.

        Examples
        --------
        >>> Layer("pointwise", (1, 8, 5, 5), (4, 8, 1, 1), times=2).counts.mul == 2 * 4 * 5 * 5 * 8
        True
        """
        return self.times * conv2d_counts(self.geometry, self.bias)

    @property
    def parameters(self) -> int:
        """Number of weights, and of biases if there are any.

        Examples
        --------
        >>> Layer("pointwise", (1, 8, 5, 5), (4, 8, 1, 1), bias=True, times=2).parameters
        36
        """
        return conv2d_parameters(self.geometry, self.bias)
