"""VGG16: nothing but 3x3 convolutions."""

from npconv.networks.network import Network, Published
from npconv.networks.tape import Tape, pooled


def vgg_16() -> Network:
    """Simonyan and Zisserman (2015), "Very deep convolutional networks", arXiv:1409.1556, table 1, column D."""
    tape = Tape(bias=True, norm=False)
    x = (1, 3, 224, 224)
    for stage, (O, repeats) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for layer in range(repeats):
            x = tape.conv(f"conv{stage}_{layer + 1}", x, O, 3)
        x = pooled(x, 2, stride=2)
    x = tape.linear("fc6", x, 4096, activation=True)
    x = tape.linear("fc7", x, 4096, activation=True)
    tape.linear("fc8", x, 1000)
    published = (
        Published("138 M", "parameters", "arXiv:1409.1556, Table 2"),
        Published("138,357,544", "parameters", "torchvision, number of parameters"),
    )
    return tape.network("vgg-16", published)
