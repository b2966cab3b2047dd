"""All networks in one table: totals and parameters, and beside them the figures in print."""

from collections.abc import Iterable
from dataclasses import dataclass

from npconv.networks.catalogue import NETWORKS, network
from npconv.networks.network import Published


@dataclass(frozen=True, slots=True)
class Totals:
    """One row of the table of networks.

    Parameters
    ----------
    name : str
        The network.
    layers : int
        Convolutions, fully connected layers included, each once.
    products, additions : int
        Dense ones of all layers, those on padding included.
    useful_products : int
        Products without those on padding.
    convolution_products : int
        Dense products without those of fully connected layers.
    parameters, trainable_parameters : int
        Weights and biases; and with scales and shifts of normalisations.
    published : tuple of Published
        Figures in print.
    reproduced : tuple of bool
        For each of them whether the total that it stands for rounds, or is cut off, to it.

    Examples
    --------
    >>> row, = totals(["vgg-16"])
    >>> row.layers, row.products, row.parameters
    (16, 15470264320, 138357544)
    """

    name: str
    layers: int
    products: int
    additions: int
    useful_products: int
    convolution_products: int
    parameters: int
    trainable_parameters: int
    published: tuple[Published, ...]
    reproduced: tuple[bool, ...]


def totals(names: Iterable[str] = NETWORKS) -> list[Totals]:
    """Return the totals of networks, their parameters, and the figures that were published.

    Parameters
    ----------
    names : iterable of str
        Networks, by default all.

    Returns
    -------
    list of Totals
        One row for each network.

    Raises
    ------
    ValueError
        If no network has one of the names.

    Examples
    --------
    >>> import npconv as nc
    >>> row, = nc.networks.totals(["mobilenet-v1"])
    >>> row.products, row.trainable_parameters
    (568740352, 4231976)
    >>> [(figure.figure, ok) for figure, ok in zip(row.published, row.reproduced)]
    [('569 M', True), ('4.2 M', True), ('569 M', True), ('4.24 M', True)]
    """
    rows = []
    for net in map(network, names):
        counts = net.counts
        rows.append(
            Totals(
                name=net.name,
                layers=len(net.layers),
                products=counts.dense_mul,
                additions=counts.dense_add,
                useful_products=counts.mul,
                convolution_products=net.convolution_products,
                parameters=net.parameters,
                trainable_parameters=net.trainable_parameters,
                published=net.published,
                reproduced=tuple(map(net.reproduces, net.published)),
            )
        )
    return rows
