"""A network as the list of its convolutions, its totals, and the figures that its authors published."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from npconv.counts import OpCount
from npconv.figures import read_figure
from npconv.networks.layer import Layer

Quantity: TypeAlias = Literal["products", "convolution_products", "parameters", "trainable_parameters"]


@dataclass(frozen=True, slots=True)
class Published:
    """A figure in print, and where it stands.

    Parameters
    ----------
    figure : str
        The number with all its digits, and its unit: "4.2 G", "25.0 M" or "25,028,904".
    quantity : str
        The total of `Network` that it stands for, by name.
    source : str
        Paper and table.
    note : str
        What the figure leaves out or adds, in the words of who recounted it.

    Examples
    --------
    >>> Published("569 M", "products", "arXiv:1704.04861, Table 6")
    Published(figure='569 M', quantity='products', source='arXiv:1704.04861, Table 6', note='')
    """

    figure: str
    quantity: Quantity
    source: str
    note: str = ""

    @property
    def value(self) -> int:
        """The figure as a number.

        Examples
        --------
        >>> Published("4.2 G", "products", "arXiv:1611.05431, Table 1").value
        4200000000
        """
        return int(read_figure(self.figure).value)

    @property
    def digit(self) -> int:
        """What the last digit of the figure is worth: how far rounding, or cutting off, may have moved it.

        Examples
        --------
        >>> Published("4.2 G", "products", "arXiv:1611.05431, Table 1").digit
        100000000
        """
        return int(read_figure(self.figure).digit)


def table_row(source: str, products: str, parameters: str, note: str = "") -> tuple[Published, ...]:
    """Return the two figures that most papers print beside a network: products, which a note may go with, and all parameters.

    >>> [figure.quantity for figure in table_row("arXiv:1704.04861, Table 6", "569 M", "4.2 M")]
    ['products', 'trainable_parameters']
    """
    return Published(products, "products", source, note), Published(parameters, "trainable_parameters", source)


@dataclass(frozen=True, slots=True)
class Network:
    """A published architecture: its convolutions in the order in which they run, for one image.

    Pooling, activations, sums and channel shuffles are left out: they multiply nothing.

    Parameters
    ----------
    name : str
        Its name, as `network` takes it.
    layers : tuple of Layer
        Convolutions, and fully connected layers as 1x1 convolutions.
    norm_parameters : int
        Scales and shifts that normalisations learn: 2 for each channel of a batch norm or layer norm, 1 of a layer scale.
    published : tuple of Published
        Figures to compare with.
    norm_elements, activation_elements : int
        Elements that go through normalisations, and through activations (ReLU and its like, and the gates of squeeze and
        excitation), behind layers that are each run once; 0 if nobody noted them. Some tools count operations there.

    Examples
    --------
    >>> import npconv as nc
    >>> net = nc.networks.network("resnext-50-32x4d")
    >>> net.products, net.trainable_parameters
    (4230479872, 25028904)
    >>> [(figure.figure, net.reproduces(figure)) for figure in net.published]
    [('4.2 G', True), ('25.0 M', True), ('25,028,904', True)]
    """

    name: str
    layers: tuple[Layer, ...]
    norm_parameters: int = 0
    published: tuple[Published, ...] = ()
    norm_elements: int = 0
    activation_elements: int = 0

    @property
    def counts(self) -> OpCount:
        """Products and additions of all layers, by closed forms.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("mobilenet-v1")
        >>> net.counts.mul, net.counts.padding_mul
        (567875744, 864608)
        """
        return sum((layer.counts for layer in self.layers), OpCount())

    @property
    def convolution_counts(self) -> OpCount:
        """Products and additions without those of fully connected layers.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("mobilenet-v1")
        >>> net.counts.mul - net.convolution_counts.mul == 1024 * 1000
        True
        """
        return sum((layer.counts for layer in self.layers if not layer.fully_connected), OpCount())

    @property
    def products(self) -> int:
        """Dense products of all layers: what papers call multiply-adds, MACs or FLOPs.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("mobilenet-v1")
        >>> net.products
        568740352
        """
        return self.counts.dense_mul

    @property
    def convolution_products(self) -> int:
        """Dense products without those of fully connected layers.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("mobilenet-v1")
        >>> net.convolution_products
        567716352
        """
        return self.convolution_counts.dense_mul

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("mobilenet-v1")
        >>> net.parameters
        4210088
        """
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable_parameters(self) -> int:
        """Weights, biases, and the scales and shifts of normalisations: all that training changes.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("mobilenet-v1")
        >>> net.trainable_parameters
        4231976
        """
        return self.parameters + self.norm_parameters

    def reproduces(self, published: Published) -> bool:
        """Return whether the total rounds, or is cut off, to the figure that was published.

        Parameters
        ----------
        published : Published
            The figure.

        Returns
        -------
        bool
            Whether less than one unit of the last printed digit lies between them.

        Examples
        --------
        >>> import npconv as nc
        >>> net = nc.networks.network("resnet-50")
        >>> net.products, net.reproduces(Published("4.1 G", "products", "arXiv:1611.05431, Table 1"))
        (4089184256, True)
        """
        total: int = getattr(self, published.quantity)
        return read_figure(published.figure).rounding_of(total) is not None
