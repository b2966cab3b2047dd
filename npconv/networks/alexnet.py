"""AlexNet: in two groups, since one graphics card could not hold it; undivided; and as one narrower tower."""

from npconv.networks.network import Network, Published
from npconv.networks.tape import Tape, pooled

SURVEY = "arXiv:1703.09039, Table II"


def alexnet(groups: int = 2) -> Network:
    """Krizhevsky, Sutskever and Hinton (2012), "ImageNet classification with deep convolutional neural networks", figure 2.

    The paper says 224x224 pixels, but its 55x55 outputs take 227x227. Without groups the second, fourth and fifth
    convolutions see all channels.
    """
    published = {
        2: (
            Published("724 M", "products", SURVEY),
            Published("666 M", "convolution_products", SURVEY),
            Published("61 M", "parameters", SURVEY),
            Published("60 M", "parameters", "Krizhevsky et al. (2012), section 1", "cut off"),
        ),
        1: (Published("62,378,344", "parameters", "osmr/imgclsmob, README"),),
    }
    tape = Tape(bias=True, norm=False)
    x = tape.conv("conv1", (1, 3, 227, 227), 96, 11, stride=4, padding="valid")
    x = tape.conv("conv2", pooled(x, 3, stride=2, padding=0), 256, 5, groups=groups)
    x = tape.conv("conv3", pooled(x, 3, stride=2, padding=0), 384, 3)
    x = tape.conv("conv4", x, 384, 3, groups=groups)
    x = tape.conv("conv5", x, 256, 3, groups=groups)
    x = tape.linear("fc6", pooled(x, 3, stride=2, padding=0), 4096, activation=True)
    x = tape.linear("fc7", x, 4096, activation=True)
    tape.linear("fc8", x, 1000)
    return tape.network("alexnet" if groups == 2 else "alexnet-ungrouped", published.get(groups, ()))


def alexnet_one_tower() -> Network:
    """Krizhevsky (2014), "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.

    The fourth convolution has 256 filters, as in the network that torchvision trains; the paper says 384.
    """
    tape = Tape(bias=True, norm=False)
    x = tape.conv("conv1", (1, 3, 224, 224), 64, 11, stride=4, padding=2)
    x = tape.conv("conv2", pooled(x, 3, stride=2, padding=0), 192, 5)
    x = tape.conv("conv3", pooled(x, 3, stride=2, padding=0), 384, 3)
    x = tape.conv("conv4", x, 256, 3)
    x = tape.conv("conv5", x, 256, 3)
    x = tape.linear("fc6", pooled(x, 3, stride=2, padding=0), 4096, activation=True)
    x = tape.linear("fc7", x, 4096, activation=True)
    tape.linear("fc8", x, 1000)
    published = (Published("61,100,840", "parameters", "torchvision, number of parameters"),)
    return tape.network("alexnet-one-tower", published)
