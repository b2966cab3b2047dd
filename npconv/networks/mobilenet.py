"""MobileNetV1, its twin of full convolutions, and MobileNetV2."""

from npconv.networks.network import Network, Published
from npconv.networks.tape import Tape, averaged

V1 = "arXiv:1704.04861"
SLIM = "tensorflow/models, research/slim/nets/mobilenet_v1.md"

# Filters and stride of the 13 layers after the first. The paper's table 1 prints a stride of 2 for the last, but its
# input and output are both 7x7 there.
V1_LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
V1_PUBLISHED = {
    (1.0, 224): (
        Published("569 M", "products", f"{V1}, Table 6"),
        Published("4.2 M", "trainable_parameters", f"{V1}, Table 6"),
        Published("4.24 M", "trainable_parameters", SLIM, "cut off, and of 1001 classes"),
    ),
}


def mobilenet_v1(width: float = 1.0, resolution: int = 224) -> Network:
    """Howard et al. (2017), "MobileNets", arXiv:1704.04861, table 1: depthwise 3x3 and pointwise in turn.

    `width` multiplies every number of channels, `resolution` is the side of the image.
    """
    tape = Tape(padding="same")
    x = tape.conv("conv1", (1, 3, resolution, resolution), int(32 * width), 3, stride=2)
    for number, (O, stride) in enumerate(V1_LAYERS, 2):
        x = tape.depthwise(f"conv{number}.depthwise", x, 3, stride=stride)
        x = tape.conv(f"conv{number}.pointwise", x, int(O * width))
    tape.linear("fc", averaged(x), 1000)
    name = "mobilenet-v1" if (width, resolution) == (1, 224) else f"mobilenet-v1-{width:g}-{resolution}"
    return Network(name, tuple(tape.layers), tape.norm_parameters, V1_PUBLISHED.get((width, resolution), ()))
