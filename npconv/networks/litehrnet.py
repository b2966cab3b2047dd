"""Lite-HRNet-18 and -30: up to four branches of different resolution, side by side to the end."""

from npconv.arguments import Shape
from npconv.networks.network import Network, Published
from npconv.networks.tape import Tape, resized

README = "HRNet/Lite-HRNet, README"
NOTE = "in 2**20; biases, batch norms and activations counted too, and each layer once"
CHANNELS = (40, 80, 160, 320)


def litehrnet_18() -> Network:
    """Yu et al. (2021), "Lite-HRNet", arXiv:2104.06403, table 1, on 256x192 pixels, with a head for 17 joints."""
    return litehrnet("lite-hrnet-18", (2, 4, 2), "205.2 Mi", "1.1 M")


def litehrnet_30() -> Network:
    """As `litehrnet_18`, with more modules."""
    return litehrnet("lite-hrnet-30", (3, 8, 3), "319.2 Mi", "1.8 M")


def litehrnet(name: str, repeats: tuple[int, ...], products: str, parameters: str) -> Network:
    """Return a network of as many modules in its stages of two, three and four branches."""
    tape = Tape()
    branches = [stem(tape)]
    for stage, modules in enumerate(repeats, 2):
        at, smallest = f"stage{stage}", branches[-1]
        if stage == 2:
            branches = [separable(tape, f"{at}.enter1", smallest, CHANNELS[0])]
        branches.append(separable(tape, f"{at}.enter{stage}", smallest, CHANNELS[stage - 1], stride=2))
        for module in range(1, modules + 1):
            for block in (1, 2):
                weigh(tape, f"{at}.{module}.{block}", branches)
            fuse(tape, f"{at}.{module}.fuse", branches)
    # Each branch, from the smallest, is enlarged and added to the next.
    for number in (4, 3, 2, 1):
        x = separable(tape, f"head{number}", branches[number - 1], CHANNELS[max(0, number - 2)])
    tape.conv("joints", x, 17, bias=True, norm=False, activation=False)
    published = (
        Published(products, "products", README, NOTE),
        Published(parameters, "trainable_parameters", README),
    )
    return tape.network(name, published)


def separable(
    tape: Tape, name: str, x: Shape, O: int, *, stride: int = 1, activation: bool = True, times: int = 1
) -> Shape:
    """Note a depthwise 3x3 and a pointwise convolution, with an activation after the second alone."""
    y = tape.depthwise(f"{name}.depthwise", x, 3, stride=stride, activation=False, times=times)
    return tape.conv(f"{name}.pointwise", y, O, activation=activation, times=times)


def stem(tape: Tape) -> Shape:
    """Note the entrance: a 3x3, and a shuffle unit of stride 2 on either half of the channels."""
    x = tape.conv("stem.conv1", (1, 3, 256, 192), 32, 3, stride=2)
    half = resized(x, 16)
    y = tape.conv("stem.expand", half, 32)
    y = separable(tape, "stem.unit", y, 16, stride=2)
    separable(tape, "stem.projection", half, 16, stride=2)
    return resized(y, 32)


def weigh(tape: Tape, name: str, branches: list[Shape]) -> None:
    """Note a block on one half of each branch's channels: weights across branches, depthwise 3x3, weights across space."""
    halves = [resized(x, x[1] // 2) for x in branches]
    # All halves meet at the smallest resolution.
    C = sum(half[1] for half in halves)
    y = tape.conv(f"{name}.across.squeeze", resized(halves[-1], C), C // 8)
    tape.conv(f"{name}.across.excite", y, C)
    for number, half in enumerate(halves, 1):
        tape.depthwise(f"{name}.depthwise{number}", half, 3, activation=False)
    for number, half in enumerate(halves, 1):
        tape.squeeze_excite(f"{name}.within{number}", half, half[1] // 4)


def fuse(tape: Tape, name: str, branches: list[Shape]) -> None:
    """Note the exchange: every branch is sent to every other, up by a 1x1, down by a separable for each halving."""
    for i, target in enumerate(branches):
        for j, x in enumerate(branches):
            y = x
            if j > i:
                tape.conv(f"{name}.{j + 1}to{i + 1}", x, target[1], activation=False)
            for step in range(j + 1, i + 1):
                # The authors' program computes what comes from the largest branch twice, and adds both.
                O, times = target[1] if step == i else x[1], 2 if j == 0 else 1
                at = f"{name}.{j + 1}to{i + 1}.{step - j}"
                y = separable(tape, at, y, O, stride=2, activation=step < i, times=times)
        tape.activate(target)
