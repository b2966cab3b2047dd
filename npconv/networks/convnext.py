"""ConvNeXt-T: depthwise 7x7 convolutions, with the habits of a transformer."""

from npconv.networks.network import Network, Published, table_row
from npconv.networks.tape import Tape, averaged


def convnext_t() -> Network:
    """Liu et al. (2022), "A ConvNet for the 2020s", arXiv:2201.03545, table 9.

    A layer norm follows the stem and each depthwise convolution, and precedes each 2x2 of stride 2 and the classifier.
    """
    tape = Tape(padding="valid", bias=True, norm=False, activation=False)
    x = tape.conv("stem", (1, 3, 224, 224), 96, 4, stride=4, norm=True)
    for stage, (C, repeats) in enumerate(((96, 3), (192, 3), (384, 9), (768, 3)), 1):
        if stage > 1:
            tape.normalize(x)
            x = tape.conv(f"stage{stage}.shrink", x, C, 2, stride=2)
        for block in range(repeats):
            at = f"stage{stage}.{block + 1}"
            y = tape.conv(f"{at}.depthwise", x, C, 7, padding=3, groups=C, norm=True)
            y = tape.conv(f"{at}.expand", y, 4 * C, activation=True)
            x = tape.conv(f"{at}.project", y, C)
            # Layer scale: each channel is multiplied before it joins the sum.
            tape.norm_parameters += C
    tape.normalize(averaged(x))
    tape.linear("fc", averaged(x), 1000)
    published = (
        *table_row("arXiv:2201.03545, Table 1", "4.5 G", "29 M"),
        Published("28,589,128", "trainable_parameters", "torchvision, number of parameters"),
    )
    return tape.network("convnext-t", published)
