"""The names of all published architectures, and how each is built."""

from collections.abc import Callable
from functools import partial
from itertools import product

from npconv.arguments import complaint
from npconv.networks import mobilenet, shufflenet
from npconv.networks.alexnet import alexnet, alexnet_one_tower
from npconv.networks.convnext import convnext_t
from npconv.networks.efficientnet import efficientnet_b0
from npconv.networks.litehrnet import litehrnet_18, litehrnet_30
from npconv.networks.mobilenet import mobilenet_v1, mobilenet_v1_full, mobilenet_v2
from npconv.networks.network import Network
from npconv.networks.resnet import resnet_50, resnext_50_32x4d, resnext_101_32x8d, resnext_101_64x4d
from npconv.networks.shufflenet import shufflenet_v1, shufflenet_v2
from npconv.networks.vgg import vgg_16
from npconv.networks.xception import xception

NETWORKS: dict[str, Callable[[], Network]] = {
    "alexnet": alexnet,
    "alexnet-one-tower": alexnet_one_tower,
    "alexnet-ungrouped": partial(alexnet, groups=1),
    "convnext-t": convnext_t,
    "efficientnet-b0": efficientnet_b0,
    "lite-hrnet-18": litehrnet_18,
    "lite-hrnet-30": litehrnet_30,
    **{
        mobilenet.v1_name(*size): partial(mobilenet_v1, *size)
        for size in product(mobilenet.V1_WIDTHS, mobilenet.V1_RELEASED)
    },
    "mobilenet-v1-full": mobilenet_v1_full,
    "mobilenet-v2": mobilenet_v2,
    "resnet-50": resnet_50,
    "resnext-50-32x4d": resnext_50_32x4d,
    "resnext-101-32x8d": resnext_101_32x8d,
    "resnext-101-64x4d": resnext_101_64x4d,
    **{
        shufflenet.v1_name(*size): partial(shufflenet_v1, *size)
        for size in product(shufflenet.V1_CHANNELS, shufflenet.V1_WIDTHS)
    },
    "shufflenet-v2": shufflenet_v2,
    **{f"shufflenet-v2-{width}": partial(shufflenet_v2, width) for width in (0.5, 1.5, 2)},
    "vgg-16": vgg_16,
    "xception": xception,
}


def network(name: str) -> Network:
    """Build a published network by its name.

    Parameters
    ----------
    name : str
        A key of ``npconv.networks.NETWORKS``: "resnet-50", "shufflenet-v1-g3".

    Returns
    -------
    Network
        Its convolutions, its totals, and the figures that were published.

    Raises
    ------
    ValueError
        If no network has that name.

    Examples
    --------
    >>> import npconv as nc
    >>> net = nc.networks.network("shufflenet-v1-g3")
    >>> len(net.layers), net.layers[3].name, net.layers[3].groups
    (50, 'stage2.1.expand', 3)
    >>> net.convolution_products, net.published[0].figure
    (136500672, '137 M')
    """
    if name not in NETWORKS:
        # Needed here alone, and as slow to import as all of this package.
        from difflib import get_close_matches

        nearest = ", ".join(map(repr, get_close_matches(str(name), NETWORKS, cutoff=0.0)))
        raise complaint("network", ValueError(f"there is no network {name!r}. Did you mean {nearest}?"), {"name": name})
    return NETWORKS[name]()
