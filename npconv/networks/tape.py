"""The forward pass of a network on shapes alone: each convolution gives its output's shape, and is noted down."""

from dataclasses import dataclass, field
from math import prod

from npconv.arguments import PaddingLike, Pair, PairLike, Shape
from npconv.geometry import conv2d_geometry, pair, windows_geometry
from npconv.networks.layer import Layer
from npconv.networks.network import Network, Published


@dataclass(slots=True)
class Tape:
    """The convolutions that a network's shapes have gone through, in order, and the habits that most of them share.

    Parameters
    ----------
    padding : "centred", or as `npconv.conv2d` takes it
        Zeros around each image; centred is ``(k - 1) // 2`` on every side, at any stride.
    bias : bool
        Whether convolutions have one.
    norm : bool
        Whether a batch norm follows each convolution, with two parameters per channel.
    activation : bool
        Whether a ReLU or its like follows each convolution.
    layers : list of Layer
        What has run.
    norm_parameters : int
        Scales and shifts of all normalisations.
    norm_elements, activation_elements : int
        Elements that have gone through normalisations and activations.

    Examples
    --------
    >>> tape = Tape()
    >>> x = tape.conv("conv1", (1, 3, 224, 224), 64, 7, stride=2)
    >>> tape.depthwise("conv2", pooled(x, 3, stride=2), 3)
    (1, 64, 56, 56)
    >>> [layer.name for layer in tape.layers], tape.norm_parameters
    (['conv1', 'conv2'], 256)
    >>> tape.norm_elements == tape.activation_elements == 64 * 112 * 112 + 64 * 56 * 56
    True
    """

    padding: PaddingLike = "centred"
    bias: bool = False
    norm: bool = True
    activation: bool = True
    layers: list[Layer] = field(default_factory=list)
    norm_parameters: int = 0
    norm_elements: int = 0
    activation_elements: int = 0

    def conv(
        self,
        name: str,
        x: Shape,
        O: int,
        kernel: PairLike = 1,
        *,
        stride: PairLike = 1,
        padding: PaddingLike | None = None,
        groups: int = 1,
        bias: bool | None = None,
        norm: bool | None = None,
        activation: bool | None = None,
        times: int = 1,
    ) -> Shape:
        """Note a convolution of `O` filters and return the shape of its output."""
        KH, KW = pair(name, "kernel", kernel, 1)
        pads = self.padding if padding is None else padding
        geometry = conv2d_geometry(
            x,
            (O, x[1] // groups, KH, KW),
            stride=stride,
            padding=centred(KH, KW) if pads == "centred" else pads,
            groups=groups,
            operation=name,
        )
        self.layers.append(
            Layer(
                name,
                geometry.x_shape,
                geometry.weight_shape,
                geometry.stride,
                geometry.padding,
                geometry.dilation,
                geometry.groups,
                self.bias if bias is None else bias,
                times,
            )
        )
        if self.norm if norm is None else norm:
            self.normalize(geometry.y_shape)
        if self.activation if activation is None else activation:
            self.activate(geometry.y_shape)
        return geometry.y_shape

    def depthwise(
        self,
        name: str,
        x: Shape,
        kernel: PairLike,
        *,
        stride: PairLike = 1,
        norm: bool | None = None,
        activation: bool | None = None,
        times: int = 1,
    ) -> Shape:
        """Note a convolution of one filter for each channel."""
        return self.conv(
            name, x, x[1], kernel, stride=stride, groups=x[1], norm=norm, activation=activation, times=times
        )

    def squeeze_excite(self, name: str, x: Shape, C: int) -> None:
        """Note the two 1x1 convolutions, through `C` channels, that weigh the channels of `x` by their averages."""
        y = self.conv(f"{name}.squeeze", averaged(x), C, bias=True, norm=False)
        self.conv(f"{name}.excite", y, x[1], bias=True, norm=False)

    def linear(self, name: str, x: Shape, O: int, *, bias: bool = True, activation: bool = False) -> Shape:
        """Note a fully connected layer of all that `x` holds."""
        N, C, H, W = x
        self.layers.append(Layer(name, (N, C * H * W, 1, 1), (O, C * H * W, 1, 1), bias=bias, fully_connected=True))
        if activation:
            self.activate((N, O, 1, 1))
        return N, O, 1, 1

    def normalize(self, x: Shape) -> None:
        """Note a normalisation, which learns a scale and a shift of each channel."""
        self.norm_parameters += 2 * x[1]
        self.norm_elements += prod(x)

    def activate(self, x: Shape) -> None:
        """Note an activation of each element."""
        self.activation_elements += prod(x)

    def network(self, name: str, published: tuple[Published, ...] = ()) -> Network:
        """Return what has run as a network."""
        return Network(
            name, tuple(self.layers), self.norm_parameters, published, self.norm_elements, self.activation_elements
        )


def centred(KH: int, KW: int) -> Pair:
    """Return padding that centres the first window of an odd kernel on the first cell.

    >>> centred(7, 1)
    (3, 0)
    """
    return (KH - 1) // 2, (KW - 1) // 2


def pooled(x: Shape, kernel: int, *, stride: int, padding: PaddingLike | None = None) -> Shape:
    """Return the shape that pooling leaves, centred if nothing else is said.

    >>> pooled((1, 64, 112, 112), 3, stride=2)
    (1, 64, 56, 56)
    """
    pads = centred(kernel, kernel) if padding is None else padding
    return windows_geometry(x, kernel, stride=stride, padding=pads, operation="pooled").y_shape


def averaged(x: Shape) -> Shape:
    """Return the shape that an average over the whole image leaves.

    >>> averaged((1, 1024, 7, 7))
    (1, 1024, 1, 1)
    """
    return (*x[:2], 1, 1)


def resized(x: Shape, C: int) -> Shape:
    """Return the shape with another number of channels: after a split or a concatenation.

    >>> resized((1, 58, 28, 28), 116)
    (1, 116, 28, 28)
    """
    return (x[0], C, *x[2:])
