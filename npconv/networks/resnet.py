"""ResNet-50 and ResNeXt: bottlenecks, and the same with a grouped convolution in the middle."""

from npconv.networks.network import Network, Published, table_row
from npconv.networks.tape import Tape, averaged, pooled

PAPER = "arXiv:1611.05431, Table 1"
MODEL = "torchvision, number of parameters"


def resnet_50() -> Network:
    """He et al. (2016), "Deep residual learning for image recognition", arXiv:1512.03385, table 1.

    The stride of a stage sits in its first 3x3 convolution, as in table 1 of ResNeXt; the original has it one layer earlier.
    """
    return bottlenecks(
        "resnet-50",
        (3, 4, 6, 3),
        width=64,
        published=(
            *table_row(PAPER, "4.1 G", "25.5 M"),
            Published("25,557,032", "trainable_parameters", MODEL),
        ),
    )


def resnext_50_32x4d() -> Network:
    """Xie et al. (2017), "Aggregated residual transformations for deep neural networks", arXiv:1611.05431, table 1."""
    return bottlenecks(
        "resnext-50-32x4d",
        (3, 4, 6, 3),
        width=128,
        groups=32,
        published=(
            *table_row(PAPER, "4.2 G", "25.0 M"),
            Published("25,028,904", "trainable_parameters", MODEL),
        ),
    )


def resnext_101_32x8d() -> Network:
    """As `resnext_50_32x4d`, deeper, with 8 channels in each of 32 groups: torchvision's choice."""
    published = (Published("88,791,336", "trainable_parameters", MODEL),)
    return bottlenecks("resnext-101-32x8d", (3, 4, 23, 3), width=256, groups=32, published=published)


def resnext_101_64x4d() -> Network:
    """As `resnext_50_32x4d`, deeper, with 4 channels in each of 64 groups: the paper's best, table 5."""
    published = (Published("83,455,272", "trainable_parameters", MODEL),)
    return bottlenecks("resnext-101-64x4d", (3, 4, 23, 3), width=256, groups=64, published=published)


def bottlenecks(
    name: str, repeats: tuple[int, ...], *, width: int, groups: int = 1, published: tuple[Published, ...]
) -> Network:
    """Return a network of stages 1x1, 3x3, 1x1; `width` is that of the first 3x3, and doubles with each stage."""
    tape = Tape()
    x = tape.conv("conv1", (1, 3, 224, 224), 64, 7, stride=2)
    x = pooled(x, 3, stride=2)
    for stage, blocks in enumerate(repeats):
        for block in range(blocks):
            at, stride = f"conv{stage + 2}_{block + 1}", 2 if stage > 0 and block == 0 else 1
            y = tape.conv(f"{at}.reduce", x, width << stage)
            y = tape.conv(f"{at}.3x3", y, width << stage, 3, stride=stride, groups=groups)
            y = tape.conv(f"{at}.expand", y, 256 << stage)
            if block == 0:
                tape.conv(f"{at}.shortcut", x, 256 << stage, stride=stride, activation=False)
            x = y
    tape.linear("fc", averaged(x), 1000)
    return tape.network(name, published)
