"""ShuffleNetV1 and V2. The channel shuffles between their layers move numbers and compute nothing."""

from npconv.networks.network import Network, Published, table_row
from npconv.networks.tape import Tape, averaged, pooled, resized

V1, V2 = "arXiv:1707.01083, Table 1", "arXiv:1807.11164, Table 5"
RELEASED = "megvii-model/ShuffleNet-Series, ShuffleNetV1/README"

# Channels of the first stage, which double with each stage, and the products that all of them come near to.
V1_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
V1_PRODUCTS = {1: "143 M", 2: "140 M", 3: "137 M", 4: "133 M", 8: "137 M"}
V1_WIDTHS = (0.25, 0.5, 1, 1.5, 2)
# By groups and width: all products, and all parameters.
V1_RELEASED = {
    (3, 0.5): ("38 M", "0.7 M"),
    (8, 0.5): ("40 M", "1.0 M"),
    (3, 1): ("138 M", "1.9 M"),
    (8, 1): ("138 M", "2.4 M"),
    (3, 1.5): ("292 M", "3.4 M"),
    (8, 1.5): ("290 M", "4.3 M"),
    (3, 2): ("524 M", "5.4 M"),
    (8, 2): ("522 M", "6.5 M"),
}

# Channels of the three stages and of the last convolution, by width.
V2_CHANNELS = {
    0.5: (48, 96, 192, 1024),
    1: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2: (244, 488, 976, 2048),
}
V2_PUBLISHED = {
    0.5: table_row(V2, "41 M", "1.4 M"),
    1: table_row(V2, "146 M", "2.3 M"),
    1.5: table_row(V2, "299 M", "3.5 M"),
    2: table_row(V2, "591 M", "7.4 M"),
}


def shufflenet_v1(groups: int, width: float = 1) -> Network:
    """Zhang, Zhou, Lin and Sun (2018), "ShuffleNet", arXiv:1707.01083, table 1.

    `width` multiplies every number of channels; what a unit narrows them to, a quarter, is then the next number that
    splits into groups. A unit of stride 2 is joined to the average of its input, so its last convolution gives only the
    channels that are new. The first pointwise of all is not grouped, since its input has so few channels.
    """
    tape = Tape()
    # What joins these channels comes in groups. The authors' program has no more of them at a width of 1.5 than at 1.
    first = multiple(24 if width == 1.5 else int(24 * width), groups)
    x = tape.conv("conv1", (1, 3, 224, 224), first, 3, stride=2)
    x = pooled(x, 3, stride=2)
    for stage, repeats in enumerate((4, 8, 4)):
        O = int(V1_CHANNELS[groups] * width) << stage
        for unit in range(repeats):
            at, stride = f"stage{stage + 2}.{unit + 1}", 2 if unit == 0 else 1
            y = tape.conv(f"{at}.reduce", x, multiple(O // 4, groups), groups=1 if stage == unit == 0 else groups)
            y = tape.depthwise(f"{at}.depthwise", y, 3, stride=stride, activation=False)
            y = tape.conv(f"{at}.expand", y, O - x[1] if unit == 0 else O, groups=groups, activation=False)
            x = resized(y, O)
            tape.activate(x)
    tape.linear("fc", averaged(x), 1000)
    published = [Published(V1_PRODUCTS[groups], "convolution_products", V1, "without the fully connected layer")]
    released = table_row(RELEASED, *V1_RELEASED[groups, width]) if (groups, width) in V1_RELEASED else ()
    return tape.network(v1_name(groups, width), (*(published if width == 1 else ()), *released))


def multiple(channels: int, groups: int) -> int:
    """Return the least number of channels that is not smaller and splits into groups.

    >>> multiple(34, 4)
    36
    """
    return -(-channels // groups) * groups


def v1_name(groups: int, width: float) -> str:
    """Return the name by which `network` takes a ShuffleNetV1.

    >>> v1_name(3, 1), v1_name(8, 0.5)
    ('shufflenet-v1-g3', 'shufflenet-v1-g8-0.5')
    """
    return f"shufflenet-v1-g{groups}" + (f"-{width:g}" if width != 1 else "")


def shufflenet_v2(width: float = 1) -> Network:
    """Ma, Zhang, Zheng and Sun (2018), "ShuffleNet V2", arXiv:1807.11164, table 5 and figure 3.

    A unit convolves one half of the channels and lets the other half pass. One of stride 2 convolves all of them on both
    sides; what passed elsewhere keeps its number of channels there, as in the authors' program.
    """
    tape = Tape()
    x = tape.conv("conv1", (1, 3, 224, 224), 24, 3, stride=2)
    x = pooled(x, 3, stride=2)
    *stages, last = V2_CHANNELS[width]
    for stage, (O, repeats) in enumerate(zip(stages, (4, 8, 4), strict=True), 2):
        for unit in range(repeats):
            at = f"stage{stage}.{unit + 1}"
            stride, half = (2, x) if unit == 0 else (1, resized(x, O // 2))
            passed = half
            if unit == 0:
                passed = tape.depthwise(f"{at}.projection.depthwise", x, 3, stride=2, activation=False)
                passed = tape.conv(f"{at}.projection.pointwise", passed, x[1])
            y = tape.conv(f"{at}.pointwise1", half, O // 2)
            y = tape.depthwise(f"{at}.depthwise", y, 3, stride=stride, activation=False)
            y = tape.conv(f"{at}.pointwise2", y, O - passed[1])
            x = resized(y, O)
    x = tape.conv("conv5", x, last)
    tape.linear("fc", averaged(x), 1000, bias=False)
    return tape.network("shufflenet-v2" if width == 1 else f"shufflenet-v2-{width}", V2_PUBLISHED[width])
