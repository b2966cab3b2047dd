"""A user's network, and the list on which its layers are noted while a reader goes through it.

A reader knows a format; what it reads comes here as plain numbers and `Value` records.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from npconv.arguments import Padding, Pair, Shape, complaint
from npconv.networks.layer import Layer
from npconv.networks.network import Network
from npconv.receptive import NO_PADDING, ReceptiveField, Window


@dataclass(frozen=True, slots=True)
class Model(Network):
    """A network that was read from a user's model: as `Network`, and what could not be counted.

    Parameters
    ----------
    name : str
        Its name: that of the file or of the class.
    layers : tuple of Layer
        Convolutions, and products with a constant matrix as 1x1 convolutions, in the order in which they run.
    norm_parameters : int
        Parameters of everything else.
    published : tuple of Published
        Empty.
    norm_elements, activation_elements : int
        0, as nobody notes them.
    shared_parameters : int
        Parameters that layers of different shapes have in common; they are there once.
    fields : tuple of ReceptiveField or None
        What the outputs of each layer depend on; None where it is not known, behind a change of shape that is no
        window, and behind an operation that cannot be counted. What keeps a shape is taken to keep pixels in place.
    uncounted : tuple of str
        What multiplies matrices or slides windows and is in no layer, and where. Normalisations, activations and
        products of one element with one are not named; they are never counted.

    Examples
    --------
    >>> model = Model("tied", (Layer("a", (1, 8, 5, 5), (4, 8, 1, 1)), Layer("b", (1, 8, 9, 9), (4, 8, 1, 1))), shared_parameters=32)
    >>> model.parameters, model.products == (5 * 5 + 9 * 9) * 8 * 4
    (32, True)
    """

    shared_parameters: int = 0
    fields: tuple[ReceptiveField | None, ...] = ()
    uncounted: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers, each once.

        Examples
        --------
        >>> Model("one", (Layer("a", (1, 8, 5, 5), (4, 8, 1, 1)),)).parameters
        32
        """
        return sum(layer.parameters for layer in self.layers) - self.shared_parameters


@dataclass(frozen=True, slots=True)
class Value:
    """What is known about a tensor: its shape, what it is made of, and which pixels its elements depend on.

    `weights` names the constants that it is made of alone; it is empty if the tensor depends on the network's input.
    `unpadded` is the tensor that zeros were put around, if they were.
    """

    shape: tuple[int, ...]
    weights: frozenset[Hashable] = frozenset()
    field: ReceptiveField | None = None
    unpadded: "tuple[Value, Padding] | None" = None

    @property
    def constant(self) -> bool:
        """Whether it does not depend on the network's input."""
        return bool(self.weights)


@dataclass(slots=True)
class Listing:
    """The layers that have been read, in order, for a batch of so many images.

    >>> listing = Listing()
    >>> x, w = Value((1, 3, 8, 8), field=ReceptiveField()), Value((4, 3, 3, 3), frozenset("w"))
    >>> y = listing.convolution("conv", x, w, (1, 4, 6, 6))
    >>> listing.model("read", "small", 0).products, y.field
    (3888, ReceptiveField(size=(3, 3), stride=(1, 1), padding=((0, 0), (0, 0))))
    """

    batch: int = 1
    layers: list[Layer] = field(default_factory=list)
    fields: list[ReceptiveField | None] = field(default_factory=list)
    uncounted: dict[str, list[str]] = field(default_factory=dict)
    shared_parameters: int = 0
    # The layer that each weight was first seen in.
    first: dict[Hashable, int] = field(default_factory=dict)

    def convolution(
        self,
        place: str,
        x: Value,
        weight: Value,
        y_shape: Sequence[int],
        *,
        stride: Sequence[int] = (1, 1),
        padding: Sequence[Pair] = NO_PADDING,
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        bias: bool = False,
        transposed: bool = False,
        output_padding: Sequence[int] = (0, 0),
    ) -> Value:
        """Note a convolution of one or two axes and return its output; one of one axis has a height of 1."""
        y, rank = Value(tuple(y_shape)), len(x.shape) - 2
        if rank not in (1, 2) or not weight.constant:
            self.miss(
                f"{rank}-D convolution" if rank > 2 else "convolution with weights that depend on the input", place
            )
            return y
        if x.unpadded and not transposed:
            x, zeros = x.unpadded
            padding = tuple((a + c, b + d) for (a, b), (c, d) in zip(padding, zeros[2 - rank :], strict=True))
        steps, dilations, extra = _two(stride, 1), _two(dilation, 1), _two(output_padding, 0)
        pads: Padding = ((0, 0), padding[0]) if rank == 1 else (padding[0], padding[1])
        if transposed:
            pads, extra = _cut_off(pads, extra, steps)
        layer = Layer(
            place,
            _four(x.shape),
            _four(weight.shape),
            steps,
            pads,
            dilations,
            groups,
            bias,
            transposed=transposed,
            output_padding=extra,
        )
        window = Window(layer.weight_shape[2:], steps, pads, dilations)
        reach = x.field.through(window) if x.field and not transposed else None
        self._note(layer, weight, reach)
        return replace(y, field=reach)

    def product(
        self,
        place: str,
        x: Value,
        weight: Value,
        y_shape: Sequence[int],
        sizes: tuple[int, int, int],
        *,
        groups: int = 1,
        bias: bool = False,
    ) -> Value:
        """Note a product of `rows` vectors with a constant matrix, by `sizes` (rows, C, O), and return what it makes.

        One vector for each image is a fully connected layer, several are pixels of a 1x1 convolution.
        """
        rows, C, O = sizes
        y = Value(tuple(y_shape), x.weights | weight.weights if x.constant and weight.constant else frozenset())
        if y.constant or not weight.constant:
            of = "constants alone" if y.constant else "two matrices that depend on the input"
            self.miss(f"product of {of}", place)
            return y
        N = self.batch if self.batch and rows % self.batch == 0 else 1
        layer = Layer(
            place,
            (N, groups * C, 1, rows // N),
            (groups * O, C, 1, 1),
            groups=groups,
            bias=bias,
            fully_connected=rows == N,
        )
        reach = x.field if rows == N else None
        self._note(layer, weight, reach)
        return replace(y, field=reach)

    def pooling(self, x: Value, y_shape: Sequence[int], window: Window) -> Value:
        """Return what pooling makes of an image. A last window may go on behind the image: what is there counts as padding."""
        if not x.field:
            return Value(tuple(y_shape))
        rows, columns = (
            (p0, max(p1, (o - 1) * s + d * (k - 1) + 1 - n - p0))
            for n, o, k, s, d, (p0, p1) in zip(
                x.shape[2:],
                y_shape[2:],
                window.kernel_size,
                window.stride,
                window.dilation,
                window.padding,
                strict=True,
            )
        )
        return Value(tuple(y_shape), field=x.field.through(replace(window, padding=(rows, columns))))

    def padding(self, x: Value, y_shape: Sequence[int], zeros: Padding) -> Value:
        """Return an image with zeros around it."""
        reach = x.field and x.field.through(Window((1, 1), padding=zeros))
        return Value(tuple(y_shape), x.weights, reach, None if x.constant else (x, zeros))

    def other(self, inputs: Iterable[Value], y_shape: Sequence[int], how: Hashable, *, moves: bool = False) -> Value:
        """Return what any other operation makes; `moves` if pixels change their places.

        Of constants alone it makes a constant, the same each time that it is done to the same ones in the way `how`.
        """
        known, shape = list(inputs), tuple(y_shape)
        varying = [value for value in known if not value.constant]
        if not varying:
            return Value(shape, frozenset([how]).union(*(value.weights for value in known)))
        return Value(shape, field=None if moves else _joined(varying, shape))

    def miss(self, what: str, place: str) -> None:
        """Note what multiplies and cannot be counted."""
        self.uncounted.setdefault(what, []).append(place)

    def model(self, operation: str, name: str, parameters: int) -> Model:
        """Return what has been read as a network that has so many parameters in all."""
        missed = [
            f"{what} in {places[0]}" + f" and {len(places) - 1} more" * (len(places) > 1)
            for what, places in self.uncounted.items()
        ]
        if not self.layers:
            rule = f"{name} has no convolution and no product with a constant matrix"
            rule += f" that can be counted, only {'; '.join(missed)}" if missed else ""
            raise complaint(operation, ValueError(f"{rule}. Did you mean another model?"), {"name": name})
        model = Model(
            name,
            tuple(self.layers),
            shared_parameters=self.shared_parameters,
            fields=tuple(self.fields),
            uncounted=tuple(missed),
        )
        return replace(model, norm_parameters=max(0, parameters - model.parameters))

    def _note(self, layer: Layer, weight: Value, reach: ReceptiveField | None) -> None:
        """Add a layer, or one more run of one that has the same weights and shapes."""
        try:
            parameters = layer.parameters
        except ValueError as fault:
            self.miss(str(fault).splitlines()[0].removeprefix(f"{layer.name}: "), layer.name)
            return
        key = weight.weights, weight.shape
        if key in self.first:
            known = self.layers[self.first[key]]
            if replace(layer, name=known.name, times=known.times) == known:
                self.layers[self.first[key]] = replace(known, times=known.times + 1)
                # Each run may see other pixels.
                self.fields[self.first[key]] = None
                return
            self.shared_parameters += parameters
        taken = sum(other.name == layer.name or other.name.startswith(f"{layer.name} (") for other in self.layers)
        self.first.setdefault(key, len(self.layers))
        self.layers.append(replace(layer, name=f"{layer.name} ({taken + 1})" if taken else layer.name))
        self.fields.append(reach)


def _two(numbers: Sequence[int], usual: int) -> Pair:
    """Return numbers of one or two axes as those of two."""
    *rows, columns = numbers
    return (rows[0] if rows else usual), columns


def _four(shape: Sequence[int]) -> Shape:
    """Return a shape of one or two spatial axes as one of two."""
    N, C, *rows, W = shape
    return N, C, (rows[0] if rows else 1), W


def _cut_off(padding: Padding, extra: Pair, stride: Pair) -> tuple[Padding, Pair]:
    """Return what a transposed output loses and gains at its end; as the balance of both, if a layer cannot have them.

    >>> _cut_off(((0, 0), (1, 2)), (0, 2), (1, 2))
    (((0, 0), (1, 0)), (0, 0))
    """
    if min(*padding[0], *padding[1]) >= 0 and all(more < step for more, step in zip(extra, stride, strict=True)):
        return padding, extra
    rows, columns = (
        ((before, max(0, after - more)), max(0, more - after))
        for (before, after), more in zip(padding, extra, strict=True)
    )
    return (rows[0], columns[0]), (rows[1], columns[1])


def _joined(values: list[Value], shape: tuple[int, ...]) -> ReceptiveField | None:
    """Return the field of what is made of one image, or of several pixel by pixel, if that can be told from shapes."""
    fields = [value.field for value in values]
    if len(shape) < 2 or None in fields:
        return None
    N, C, *size = values[0].shape
    # Averaged over all pixels, or flattened.
    of_all = shape in ((N, C), (N, C, 1, 1), (N, C * math.prod(size)))
    if of_all and fields[0] and len(values) == 1 and len(size) == 2 and size != [1, 1]:
        return fields[0].through(Window((size[0], size[1])))
    flat = (N, C) if size == [1, 1] else None
    if not all(_pixels(value.shape) == _pixels(shape) or shape == flat for value in values):
        return None
    return reduce(_united, fields)


def _pixels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return rows and columns: the last two axes, or what there is behind images and channels."""
    return shape[max(2, len(shape) - 2) :]


def _united(one: ReceptiveField | None, two: ReceptiveField | None) -> ReceptiveField | None:
    """Return the smallest field that holds two of the same stride."""
    if one == two or not one or not two or one.stride != two.stride:
        return one if one == two else None
    (size_h, pad_h), (size_w, pad_w) = (
        (max(r1 - t1, r2 - t2) + max(t1, t2), (max(t1, t2), max(b1, b2)))
        for r1, r2, (t1, b1), (t2, b2) in zip(one.size, two.size, one.padding, two.padding, strict=True)
    )
    return ReceptiveField((size_h, size_w), one.stride, (pad_h, pad_w))
