"""Which pixels an output depends on, through any number of windows one after another."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, SupportsIndex, TypeAlias

from npconv.arguments import Padding, Pair, PairLike, complaint, index, members, pair, shown
from npconv.geometry import resolve_padding, windows_geometry
from npconv.networks.layer import Layer
from npconv.networks.network import Network

LayerLike: TypeAlias = Layer | Mapping[str, Any]

NO_PADDING: Padding = ((0, 0), (0, 0))
OPTIONS = ("kernel_size", "stride", "padding", "dilation")


@dataclass(frozen=True, slots=True)
class Window:
    """What slides over an image: the taps of a convolution, or the cells that are pooled."""

    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Padding = NO_PADDING
    dilation: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The pixels that one output depends on; `receptive_field` makes it.

    Parameters
    ----------
    size : (int, int)
        Rows and columns from the first pixel of a field to its last.
    stride : (int, int)
        Rows and columns from the field of one output to that of the next.
    padding : ((int, int), (int, int))
        Zeros at ``((top, bottom), (left, right))`` that one window of this size and stride would need in place of all.
    windows : tuple of Window
        What the pixels go through, in order.
    sizes : tuple of (int, int)
        Rows and columns of the image that each window slides over, and of the last output; empty if they are not known.

    Examples
    --------
    >>> import npconv as nc
    >>> field = nc.receptive_field([{"kernel_size": 3, "padding": 1}, {"kernel_size": 3, "stride": 2, "padding": 1}])
    >>> field.size, field.stride, field.padding, field.offset
    ((5, 5), (2, 2), ((2, 2), (2, 2)), (-2, -2))
    """

    size: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = NO_PADDING
    windows: tuple[Window, ...] = field(default=(), repr=False)
    sizes: tuple[Pair, ...] = field(default=(), repr=False)

    @property
    def offset(self) -> Pair:
        """Row and column where the field of the first output begins, negative in the padding.

        Examples
        --------
        >>> import npconv as nc
        >>> nc.receptive_field([{"kernel_size": 5, "padding": ((2, 2), (1, 3))}]).offset
        (-2, -1)
        """
        (top, _), (left, _) = self.padding
        return -top, -left

    def region(self, oh: SupportsIndex, ow: SupportsIndex, *, clip: bool = False) -> tuple[range, range]:
        """Compute the rows and columns from the first pixel that an output depends on to the last.

        Parameters
        ----------
        oh, ow : int
            Row and column of the output.
        clip : bool, default False
            Whether to leave out padding, that of the image and that between the windows. What is left may be empty.

        Returns
        -------
        (range, range)
            Rows and columns; without `clip` they may begin below 0 and end behind the image.

        Raises
        ------
        TypeError
            If `oh` or `ow` is not an integer.
        ValueError
            If there is no such output, or if `clip` is asked for and the size of the image is not known.

        Notes
        -----
        The field of output ``o`` begins at ``offset + o*stride`` and is ``size`` long. To cut that off at the edges of
        the image is not enough to clip it: what an inner window reads behind its image is zero, whatever pixels would
        be there.

        Examples
        --------
        The first output sees a row and a column of zeros.

        >>> import npconv as nc
        >>> field = nc.receptive_field([{"kernel_size": 3, "padding": 1}], image_size=8)
        >>> field.region(0, 4), field.region(0, 4, clip=True)
        ((range(-1, 2), range(3, 6)), (range(0, 2), range(3, 6)))
        """
        if clip:
            rows, columns = self.pixels(oh, ow)
            return _hull(rows), _hull(columns)
        top, left = (
            start + o * step for start, o, step in zip(self.offset, self._output(oh, ow), self.stride, strict=True)
        )
        return range(top, top + self.size[0]), range(left, left + self.size[1])

    def pixels(self, oh: SupportsIndex, ow: SupportsIndex) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Compute exactly which pixels an output depends on.

        Parameters
        ----------
        oh, ow : int
            Row and column of the output.

        Returns
        -------
        (tuple of int, tuple of int)
            Rows and columns of the image. The output depends on each pixel in one of these rows and one of these
            columns and on no other; dilation, and strides above the kernel, leave gaps.

        Raises
        ------
        TypeError
            If `oh` or `ow` is not an integer.
        ValueError
            If there is no such output, or if the size of the image is not known.

        Examples
        --------
        Three taps, two pixels apart, the first of them on padding.

        >>> import npconv as nc
        >>> nc.receptive_field([{"kernel_size": 3, "dilation": 2, "padding": 1}], image_size=8).pixels(0, 1)
        ((1, 3), (0, 2, 4))
        """
        if not self.sizes:
            fault = ValueError(
                "the size of the image is not known. Did you mean receptive_field(layers, image_size=(H, W))?"
            )
            raise complaint("ReceptiveField", fault, {"oh": oh, "ow": ow})
        rows, columns = (self._along(axis, o) for axis, o in enumerate(self._output(oh, ow)))
        return rows, columns

    def through(self, window: Window, size: Pair | None = None) -> "ReceptiveField":
        """Return the field of what one more window makes of these outputs, and of how many rows and columns if known."""
        (kh, kw), (dh, dw), (sh, sw) = window.kernel_size, window.dilation, window.stride
        (top, bottom), (left, right) = self.padding
        (p0, p1), (q0, q1) = window.padding
        jh, jw = self.stride
        return ReceptiveField(
            size=(self.size[0] + dh * (kh - 1) * jh, self.size[1] + dw * (kw - 1) * jw),
            stride=(jh * sh, jw * sw),
            padding=((top + p0 * jh, bottom + p1 * jh), (left + q0 * jw, right + q1 * jw)),
            windows=(*self.windows, window),
            sizes=() if size is None else (*self.sizes, size),
        )

    def _output(self, oh: SupportsIndex, ow: SupportsIndex) -> Pair:
        """Return the place of an output as plain integers, or say that there is none."""
        place = index("ReceptiveField", "oh", oh, 0), index("ReceptiveField", "ow", ow, 0)
        if self.sizes and any(o >= n for o, n in zip(place, self.sizes[-1], strict=True)):
            OH, OW = self.sizes[-1]
            fault = ValueError(f"there is no output {place}, as the last is ({OH - 1}, {OW - 1}). Did you mean that?")
            raise complaint("ReceptiveField", fault, {"oh": oh, "ow": ow})
        return place

    def _along(self, axis: int, o: int) -> tuple[int, ...]:
        """Return the cells of the image's axis that output o meets, walking back window by window."""
        cells = {o}
        for window, size in zip(reversed(self.windows), reversed(self.sizes[:-1]), strict=True):
            k, s, d = window.kernel_size[axis], window.stride[axis], window.dilation[axis]
            p0, n = window.padding[axis][0], size[axis]
            cells = {i * s - p0 + j * d for i in cells for j in range(k)} & set(range(n))
        return tuple(sorted(cells))


def receptive_field(layers: Network | Sequence[LayerLike], *, image_size: PairLike | None = None) -> ReceptiveField:
    """Compute which pixels an output depends on, through convolutions and pooling one after another.

    Parameters
    ----------
    layers : Network, or sequence of Layer or mapping
        What the image goes through, in order. A mapping has ``kernel_size``, and may have ``stride``, ``padding`` and
        ``dilation``, as `im2col` takes them: ``{"kernel_size": 3, "stride": 2}`` is pooling, or a convolution, since
        both depend on the same pixels.
    image_size : int or (int, int), optional
        Rows and columns of the image. A `Layer` knows its own; with mappings it is needed for padding "same", and to
        leave out padding from the region of an output.

    Returns
    -------
    ReceptiveField
        Its ``size``, ``stride``, ``padding`` and ``offset``, as (rows, columns); ``region(oh, ow)`` of any output, and
        exactly its ``pixels(oh, ow)``.

    Raises
    ------
    TypeError
        If an option is not an integer, or a layer is neither a `Layer` nor a mapping.
    ValueError
        If an option is out of range or unknown, a window does not fit its image, or the layers are no chain: one takes
        another shape than the layer before it leaves. A transposed convolution is refused, as its outputs do not all
        depend on equally many pixels.

    Notes
    -----
    ``r = 1 + sum (d_l*(k_l - 1)) * prod of earlier strides``; the strides multiply, and the padding is
    ``sum p_l * prod of earlier strides``: Araujo, Norris and Sim (2019), "Computing receptive fields of convolutional
    neural networks", Distill, https://distill.pub/2019/computing-receptive-fields. A fully connected layer, or an
    average over the whole image before a `Layer` of 1x1 pixels, is a window over all of it.

    Examples
    --------
    Pixels 2 apart are 2 taps of the second window apart: 3 + 2*(3 - 1) = 7.

    >>> import npconv as nc
    >>> nc.receptive_field([{"kernel_size": 3, "stride": 2}, {"kernel_size": 3}])
    ReceptiveField(size=(7, 7), stride=(2, 2), padding=((0, 0), (0, 0)))

    MobileNetV1 without its average, which the table of networks leaves out, and without the layer behind that.

    >>> net = nc.networks.network("mobilenet-v1")
    >>> nc.receptive_field(net.layers[:-1]).size
    (315, 315)
    """
    *_, last = (ReceptiveField(), *_followed(_listed(layers), image_size))
    return last


def layer_fields(layers: Network | Sequence[LayerLike]) -> tuple[ReceptiveField | None, ...]:
    """Return the receptive field of each layer, and None for all from where they cease to be a chain.

    A network that was read from a model has them: its reader saw what lies between the layers.

    >>> import npconv as nc
    >>> [field and field.size for field in layer_fields(nc.networks.network("resnet-50"))[:2]]
    [(7, 7), None]
    """
    known: tuple[ReceptiveField | None, ...] | None = getattr(layers, "fields", None)
    if known is not None:
        return known
    listed = _listed(layers)
    followed = _followed(listed, None)
    fields: list[ReceptiveField | None] = []
    with suppress(ValueError):
        fields.extend(followed)
    return (*fields, *[None] * (len(listed) - len(fields)))


def _listed(layers: Any) -> Sequence[LayerLike]:
    """Return layers as a sequence, or say what they have to be."""
    listed = layers.layers if isinstance(layers, Network) else members(layers)
    wrong = [layers] if listed is None else [layer for layer in listed if not isinstance(layer, (Layer, Mapping))]
    if wrong:
        rule = f"{shown(wrong[0])} is no layer, but layers are each a Layer or a mapping"
        fault = TypeError(f'{rule}. Did you mean [{{"kernel_size": 3, "stride": 2}}]?')
        raise complaint("receptive_field", fault, {"layers": layers})
    return listed or ()


def _followed(layers: Sequence[LayerLike], image_size: PairLike | None) -> Iterator[ReceptiveField]:
    """Yield the receptive field behind each layer in turn."""
    sizes: tuple[Pair, ...] = ()
    if image_size is not None:
        sizes = (pair("receptive_field", "image_size", image_size, 1),)
    elif layers and isinstance(layers[0], Layer):
        sizes = (layers[0].x_shape[2:],)
    reached, before = ReceptiveField(sizes=sizes), None
    for number, layer in enumerate(layers):
        size = reached.sizes[-1] if sizes else None
        if isinstance(layer, Layer):
            if size is not None and size != (1, 1) and _takes_all(layer, before, size):
                reached, before, size = reached.through(Window(size), (1, 1)), None, (1, 1)
            _check(layer, before, size)
            window = Window(layer.weight_shape[2:], layer.stride, layer.padding, layer.dilation)
            reached, before = reached.through(window, size and layer.y_shape[2:]), layer
        else:
            reached, before = reached.through(*_window(layer, size, f"layers[{number}]")), None
        yield reached


def _takes_all(layer: Layer, before: Layer | None, size: Pair) -> bool:
    """Return whether a layer takes one pixel that holds all pixels before it, side by side or their average."""
    _, C, H, W = layer.x_shape
    channels = C if before is None else before.weight_shape[0]
    return (H, W) == (1, 1) and C in (channels, channels * size[0] * size[1])


def _check(layer: Layer, before: Layer | None, size: Pair | None) -> None:
    """Refuse a layer that does not take what the layer before it leaves, or whose outputs are not all alike."""
    if layer.transposed:
        rule = f"{layer.name} is a transposed convolution, whose outputs do not all depend on equally many pixels"
        fault = ValueError(f"{rule}. Did you mean the layers before it?")
        raise complaint("receptive_field", fault, {}, x=layer.x_shape, weight=layer.weight_shape)
    _, C, H, W = layer.x_shape
    channels = C if before is None else before.weight_shape[0]
    if (channels, *(size or (H, W))) != (C, H, W):
        left = f"{channels} of {size[0]}x{size[1]}" if size else f"{channels}"
        fault = ValueError(
            f"{layer.name} takes {C} channels of {H}x{W} pixels, but what is before it leaves {left}."
            ' Did you mean to put pooling there, such as {"kernel_size": 2, "stride": 2}?'
            " Layers side by side are no chain."
        )
        raise complaint("receptive_field", fault, {}, x=layer.x_shape, weight=layer.weight_shape)


def _window(options: Mapping[str, Any], size: Pair | None, name: str) -> tuple[Window, Pair | None]:
    """Return a mapping as a window, and the size of what it makes of an image if that is known."""
    operation = f"receptive_field, {name}"
    unknown = [option for option in options if option not in OPTIONS]
    if unknown or "kernel_size" not in options:
        rule = f"there is no option {shown(unknown[0])}" if unknown else "kernel_size is missing"
        fault = ValueError(f"{rule}. Did you mean {', '.join(OPTIONS)}?")
        raise complaint(operation, fault, options)
    if size is not None:
        made = windows_geometry((1, 1, *size), **options, operation=operation)
        return Window((made.KH, made.KW), made.stride, made.padding, made.dilation), (made.OH, made.OW)
    padding = options.get("padding", 0)
    if isinstance(padding, str) and padding.startswith("same"):
        fault = ValueError(
            f"padding {shown(padding)} depends on the size of the image, which is not known."
            " Did you mean receptive_field(layers, image_size=(H, W))?"
        )
        raise complaint(operation, fault, options)
    kernel, stride, dilation = (
        pair(operation, option, options.get(option, 1), 1) for option in ("kernel_size", "stride", "dilation")
    )
    pads = resolve_padding((1, 1), kernel, padding, stride, dilation)
    return Window(kernel, stride, pads, dilation), None


def _hull(cells: tuple[int, ...]) -> range:
    """Return the shortest range that holds all cells."""
    return range(cells[0], cells[-1] + 1) if cells else range(0)
