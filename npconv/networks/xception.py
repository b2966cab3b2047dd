"""Xception: depthwise separable convolutions from end to end."""

from npconv.arguments import Shape
from npconv.networks.network import Network, Published
from npconv.networks.tape import Tape, averaged, pooled


def xception() -> Network:
    """Chollet (2017), "Xception", arXiv:1610.02357, figure 5: entry flow, middle flow eight times, exit flow."""
    tape = Tape(padding="same", activation=False)
    x = tape.conv("conv1", (1, 3, 299, 299), 32, 3, stride=2, padding="valid", activation=True)
    x = tape.conv("conv2", x, 64, 3, padding="valid", activation=True)
    for block, O in enumerate((128, 256, 728), 2):
        x = shrinking(tape, f"entry{block}", x, (O, O))
    for block in range(5, 13):
        for number in (1, 2, 3):
            tape.activate(x)
            x = separable(tape, f"middle{block}.separable{number}", x, 728)
    x = shrinking(tape, "exit13", x, (728, 1024))
    x = separable(tape, "exit14.separable1", x, 1536)
    tape.activate(x)
    x = separable(tape, "exit14.separable2", x, 2048)
    tape.activate(x)
    tape.linear("fc", averaged(x), 1000)
    published = (
        Published("22,855,952", "trainable_parameters", "arXiv:1610.02357, Table 3"),
        Published("8.4 G", "products", "arXiv:1905.11946, Table 2"),
    )
    return tape.network("xception", published)


def separable(tape: Tape, name: str, x: Shape, O: int) -> Shape:
    """Note a depthwise 3x3 and a pointwise convolution, with a batch norm after the second alone."""
    return tape.conv(f"{name}.pointwise", tape.depthwise(f"{name}.depthwise", x, 3, norm=False), O)


def shrinking(tape: Tape, name: str, x: Shape, filters: tuple[int, int]) -> Shape:
    """Note two separable convolutions with a pooling behind them, beside a 1x1 of stride 2."""
    y = x
    for number, O in enumerate(filters, 1):
        # The first of all follows an activation already.
        if name != "entry2" or number > 1:
            tape.activate(y)
        y = separable(tape, f"{name}.separable{number}", y, O)
    tape.conv(f"{name}.shortcut", x, filters[-1], stride=2)
    return pooled(y, 3, stride=2, padding="same")
