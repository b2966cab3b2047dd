"""ShuffleNetV1 and V2. The channel shuffles between their layers move numbers and compute nothing."""

from npconv.networks.network import Network, Published
from npconv.networks.tape import Tape, averaged, pooled, resized

V1 = "arXiv:1707.01083"

# Channels of the first stage, the same budget of products for each number of groups; they double with each stage.
V1_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
V1_PRODUCTS = {1: "143 M", 2: "140 M", 3: "137 M", 4: "133 M", 8: "137 M"}


def shufflenet_v1(groups: int, width: float = 1.0) -> Network:
    """Zhang, Zhou, Lin and Sun (2018), "ShuffleNet", arXiv:1707.01083, table 1.

    `width` multiplies every number of channels. A unit of stride 2 is joined to the average of its input, so its last
    convolution gives only the channels that are new. The first pointwise of all is not grouped: it has 24 channels.
    """
    tape = Tape()
    x = tape.conv("conv1", (1, 3, 224, 224), int(24 * width), 3, stride=2)
    x = pooled(x, 3, stride=2)
    for stage, repeats in enumerate((4, 8, 4)):
        O = int(V1_CHANNELS[groups] * width) << stage
        for unit in range(repeats):
            at, stride = f"stage{stage + 2}.{unit + 1}", 2 if unit == 0 else 1
            y = tape.conv(f"{at}.reduce", x, O // 4, groups=1 if stage == unit == 0 else groups)
            y = tape.depthwise(f"{at}.depthwise", y, 3, stride=stride)
            y = tape.conv(f"{at}.expand", y, O - x[1] if unit == 0 else O, groups=groups)
            x = resized(y, O)
    tape.linear("fc", averaged(x), 1000)
    name = f"shufflenet-v1-g{groups}" if width == 1 else f"shufflenet-v1-g{groups}-{width:g}"
    note = "without the fully connected layer"
    published = (Published(V1_PRODUCTS[groups], "convolution_products", f"{V1}, Table 1", note),) if width == 1 else ()
    return Network(name, tuple(tape.layers), tape.norm_parameters, published)
