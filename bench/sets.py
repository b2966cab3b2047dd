"""What is measured: the twelve layers, every convolution of the networks, and sweeps along one size at a time."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from bench.layers import KINDS, Layer

# Each layer, and where it stands: in which networks, in which sweeps.
Layers: TypeAlias = Mapping[Layer, tuple[str, ...]]

TWELVE = (
    Layer.square(64, 64, 3, 56),
    Layer.square(128, 128, 3, 28),
    Layer.square(64, 256, 1, 56),
    Layer.square(512, 512, 1, 14),
    Layer.square(128, 128, 3, 56, 32),
    Layer.square(256, 256, 3, 28, 32),
    Layer.square(512, 512, 3, 14, 32),
    Layer.square(240, 60, 1, 28, 3),
    Layer.square(384, 96, 1, 28, 8),
    Layer.square(32, 32, 3, 112, 32),
    Layer.square(512, 512, 3, 14, 512),
    Layer.square(96, 96, 7, 56, 96),
)
NAMES = (
    "alexnet",
    "resnet-50",
    "resnext-50-32x4d",
    "resnext-101-32x8d",
    "resnext-101-64x4d",
    "mobilenet-v1",
    "mobilenet-v2",
    "shufflenet-v1-g3",
    "shufflenet-v1-g8",
    "shufflenet-v2",
    "xception",
    "efficientnet-b0",
    "convnext-t",
)
SWEEPS = {
    "channels": [Layer.square(C, C, 3, 28) for C in (8, 16, 32, 64, 128, 256, 512)],
    "groups": [Layer.square(128, 128, 3, 28, groups) for groups in (1, 2, 4, 8, 16, 32, 64, 128)],
    "image size": [Layer.square(64, 64, 3, H) for H in (7, 14, 28, 56, 112, 224)],
    "batch": [Layer.square(128, 128, 3, 14, N=N) for N in (1, 2, 4, 8, 16, 32)],
}
# Of each class, in a quick run.
SPREAD = 2


def twelve() -> Layers:
    """Return the twelve layers, which stand in nothing."""
    return dict.fromkeys(TWELVE, ())


def networks() -> Layers:
    """Return every distinct convolution of the networks; layers that are fully connected are none."""
    from npconv.networks import NETWORKS

    return standing(
        (Layer(layer.geometry), (name,))
        for name in NAMES
        for layer in NETWORKS[name]().layers
        if not layer.fully_connected
    )


def sweeps() -> Layers:
    """Return layers that differ in one size: channels, groups, image size or batch."""
    return standing((layer, (name,)) for name, layers in SWEEPS.items() for layer in layers)


SETS: dict[str, Callable[[], Layers]] = {"twelve": twelve, "networks": networks, "sweeps": sweeps}


def standing(pairs: Iterable[tuple[Layer, tuple[str, ...]]]) -> Layers:
    """Return each distinct layer once, with all that it stands in."""
    found: dict[Layer, tuple[str, ...]] = {}
    for layer, names in pairs:
        found[layer] = tuple(dict.fromkeys([*found.get(layer, ()), *names]))
    return found


def of_batches(layers: Layers, batches: Iterable[int]) -> Layers:
    """Return each layer for each number of images."""
    return standing((layer.of_batch(N), names) for N in batches for layer, names in layers.items())


def containing(layers: Layers, words: str) -> Layers:
    """Return the layers whose name or class, or a network of which, contains some words."""
    return {
        layer: names
        for layer, names in layers.items()
        if any(words in text for text in (layer.name, layer.kind, *names))
    }


def spread(layers: Layers, most: int = SPREAD) -> Layers:
    """Return a few layers of each class, from the cheapest on; the dearest would take most of the time."""
    found: dict[Layer, tuple[str, ...]] = {}
    for kind in KINDS:
        of_kind = sorted((layer for layer in layers if layer.kind == kind), key=lambda layer: layer.products)
        count = min(most, len(of_kind))
        picks = [of_kind[i * len(of_kind) // count] for i in range(count)]
        found.update((layer, layers[layer]) for layer in picks)
    return found
