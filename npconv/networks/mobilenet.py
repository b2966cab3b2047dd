"""MobileNetV1, its twin of full convolutions, and MobileNetV2."""

from npconv.networks.network import Network, Published, table_row
from npconv.networks.tape import Tape, averaged

V1, V2 = "arXiv:1704.04861", "arXiv:1801.04381"
SLIM = "tensorflow/models, research/slim/nets"

# Filters and stride of the 13 layers after the first. Table 1 prints a stride of 2 for the last, but the layer takes
# and gives 7x7 there.
V1_LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
V1_PUBLISHED = {
    (1, 224): table_row(f"{V1}, Table 6", "569 M", "4.2 M"),
    (0.75, 224): table_row(f"{V1}, Table 6", "325 M", "2.6 M"),
    (0.5, 224): table_row(f"{V1}, Table 6", "149 M", "1.3 M"),
    (0.25, 224): table_row(f"{V1}, Table 6", "41 M", "0.5 M"),
    (1, 192): table_row(f"{V1}, Table 7", "418 M", "4.2 M"),
    (1, 160): table_row(f"{V1}, Table 7", "290 M", "4.2 M"),
    (1, 128): table_row(f"{V1}, Table 7", "186 M", "4.2 M"),
}
# The models that were released have 1001 classes, one of them for nothing.
V1_WIDTHS = {1: "4.24 M", 0.75: "2.59 M", 0.5: "1.34 M", 0.25: "0.47 M"}
V1_RELEASED = {
    224: ("569 M", "317 M", "150 M", "41 M"),
    192: ("418 M", "233 M", "110 M", "34 M"),
    160: ("291 M", "162 M", "77 M", "21 M"),
    128: ("186 M", "104 M", "49 M", "14 M"),
}

# Expansion, filters, repeats and stride.
V2_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v1(width: float = 1, resolution: int = 224) -> Network:
    """Howard et al. (2017), "MobileNets", arXiv:1704.04861, table 1: depthwise 3x3 and pointwise in turn.

    `width` multiplies every number of channels, `resolution` is the side of the image.
    """
    tape = Tape(padding="same")
    x = tape.conv("conv1", (1, 3, resolution, resolution), int(32 * width), 3, stride=2)
    for number, (O, stride) in enumerate(V1_LAYERS, 2):
        x = tape.depthwise(f"conv{number}.depthwise", x, 3, stride=stride)
        x = tape.conv(f"conv{number}.pointwise", x, int(O * width))
    tape.linear("fc", averaged(x), 1000)
    published = V1_PUBLISHED.get((width, resolution), ())
    if width in V1_WIDTHS and resolution in V1_RELEASED:
        products = dict(zip(V1_WIDTHS, V1_RELEASED[resolution], strict=True))[width]
        note = "without the first convolution" if width == 0.75 else ""
        published += table_row(f"{SLIM}/mobilenet_v1.md", products, V1_WIDTHS[width], note)
    return tape.network(v1_name(width, resolution), published)


def v1_name(width: float, resolution: int) -> str:
    """Return the name by which `network` takes a MobileNetV1.

    >>> v1_name(1, 224), v1_name(0.75, 192)
    ('mobilenet-v1', 'mobilenet-v1-0.75-192')
    """
    return "mobilenet-v1" if (width, resolution) == (1, 224) else f"mobilenet-v1-{width:g}-{resolution}"


def mobilenet_v1_full() -> Network:
    """As `mobilenet_v1`, with one full 3x3 convolution in place of each depthwise and pointwise pair: table 4."""
    tape = Tape(padding="same")
    x = tape.conv("conv1", (1, 3, 224, 224), 32, 3, stride=2)
    for number, (O, stride) in enumerate(V1_LAYERS, 2):
        x = tape.conv(f"conv{number}", x, O, 3, stride=stride)
    tape.linear("fc", averaged(x), 1000)
    published = (
        Published(
            "4866 M",
            "convolution_products",
            f"{V1}, Table 4",
            "without the fully connected layer, which the next row of the table counts",
        ),
        Published("29.3 M", "trainable_parameters", f"{V1}, Table 4"),
    )
    return tape.network("mobilenet-v1-full", published)


def mobilenet_v2() -> Network:
    """Sandler et al. (2018), "MobileNetV2", arXiv:1801.04381, table 2: expand, depthwise 3x3, project."""
    tape = Tape()
    x = tape.conv("conv1", (1, 3, 224, 224), 32, 3, stride=2)
    for stage, (expansion, O, repeats, first_stride) in enumerate(V2_BLOCKS, 1):
        for block in range(repeats):
            at, y = f"bottleneck{stage}.{block + 1}", x
            if expansion > 1:
                y = tape.conv(f"{at}.expand", y, expansion * x[1])
            y = tape.depthwise(f"{at}.depthwise", y, 3, stride=first_stride if block == 0 else 1)
            x = tape.conv(f"{at}.project", y, O, activation=False)
    x = tape.conv("conv2", x, 1280)
    tape.linear("fc", averaged(x), 1000)
    published = (
        Published("300 M", "products", f"{V2}, Table 4"),
        Published("3.4 M", "parameters", f"{V2}, Table 4", "3.47 M without, 3.50 M with batch norm"),
        Published("3.47 M", "parameters", f"{SLIM}/mobilenet/README.md", "without batch norm"),
        Published("3,504,872", "trainable_parameters", "torchvision, number of parameters"),
    )
    return tape.network("mobilenet-v2", published)
