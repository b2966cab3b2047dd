"""EfficientNet-B0: inverted bottlenecks with squeeze and excitation."""

from npconv.networks.network import Network, Published, table_row
from npconv.networks.tape import Tape, averaged

# Expansion, kernel, filters, repeats and stride.
BLOCKS = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


def efficientnet_b0() -> Network:
    """Tan and Le (2019), "EfficientNet", arXiv:1905.11946, table 1.

    Squeeze and excitation stands behind each depthwise convolution, and its narrow side has a quarter of the channels
    that the block was given.
    """
    tape = Tape(padding="same")
    x = tape.conv("stem", (1, 3, 224, 224), 32, 3, stride=2)
    for stage, (expansion, kernel, O, repeats, first_stride) in enumerate(BLOCKS, 2):
        for block in range(repeats):
            at, y = f"stage{stage}.{block + 1}", x
            if expansion > 1:
                y = tape.conv(f"{at}.expand", y, expansion * x[1])
            y = tape.depthwise(f"{at}.depthwise", y, kernel, stride=first_stride if block == 0 else 1)
            tape.squeeze_excite(at, y, x[1] // 4)
            x = tape.conv(f"{at}.project", y, O, activation=False)
    x = tape.conv("head", x, 1280)
    tape.linear("fc", averaged(x), 1000)
    published = (
        *table_row("arXiv:1905.11946, Table 2", "0.39 G", "5.3 M"),
        Published("5,288,548", "trainable_parameters", "torchvision, number of parameters"),
    )
    return tape.network("efficientnet-b0", published)
