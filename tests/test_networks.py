"""Published architectures: totals that follow from the papers' tables, figures in print, and shapes that fit together."""

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations_with_replacement, pairwise
from math import prod

import pytest

import npconv as nc
from npconv.arguments import Shape
from npconv.networks import NETWORKS, Layer, Network, Published, network
from npconv.networks.mobilenet import V1_PUBLISHED, mobilenet_v1
from npconv.networks.shufflenet import shufflenet_v1

BUILT = {name: build() for name, build in NETWORKS.items()}
CHAINS = [name for name in NETWORKS if name.startswith(("alexnet", "convnext", "mobilenet", "vgg"))]

# Products, those of convolutions alone, parameters with and without those of normalisations.
TOTALS = {
    "alexnet": (724_406_816, 665_784_864, 60_965_224, 60_965_224),
    "alexnet-one-tower": (714_188_480, 655_566_528, 61_100_840, 61_100_840),
    "alexnet-ungrouped": (1_135_256_096, 1_076_634_144, 62_378_344, 62_378_344),
    "convnext-t": (4_455_531_264, 4_454_763_264, 28_589_128, 28_566_184),
    "efficientnet-b0": (385_814_752, 384_534_752, 5_288_548, 5_246_532),
    "lite-hrnet-18": (242_345_088, 242_345_088, 1_130_769, 1_098_369),
    "lite-hrnet-30": (386_103_648, 386_103_648, 1_763_717, 1_711_509),
    "mobilenet-v1": (568_740_352, 567_716_352, 4_231_976, 4_210_088),
    "mobilenet-v1-0.5-160": (76_524_800, 76_012_800, 1_331_592, 1_320_648),
    "mobilenet-v1-full": (4_867_293_184, 4_866_269_184, 29_294_088, 29_282_120),
    "mobilenet-v2": (300_774_272, 299_494_272, 3_504_872, 3_470_760),
    "resnet-50": (4_089_184_256, 4_087_136_256, 25_557_032, 25_503_912),
    "resnext-50-32x4d": (4_230_479_872, 4_228_431_872, 25_028_904, 24_960_680),
    "resnext-101-32x8d": (16_414_015_488, 16_411_967_488, 88_791_336, 88_588_456),
    "resnext-101-64x4d": (15_460_270_080, 15_458_222_080, 83_455_272, 83_252_392),
    "shufflenet-v1-g1": (143_078_976, 142_502_976, 1_531_936, 1_517_248),
    "shufflenet-v1-g2": (140_836_512, 140_036_512, 1_733_848, 1_713_448),
    "shufflenet-v1-g3": (137_460_672, 136_500_672, 1_865_728, 1_841_248),
    "shufflenet-v1-g4": (134_339_776, 133_251_776, 1_968_344, 1_940_600),
    "shufflenet-v1-g8": (138_365_952, 136_829_952, 2_434_768, 2_395_600),
    "shufflenet-v2": (145_814_296, 144_790_296, 2_278_760, 2_262_580),
    "shufflenet-v2-0.5": (40_476_448, 39_452_448, 1_365_792, 1_357_840),
    "shufflenet-v2-1.5": (298_970_656, 297_946_656, 3_506_720, 3_483_280),
    "shufflenet-v2-2": (590_783_000, 588_735_000, 7_402_600, 7_368_884),
    "vgg-16": (15_470_264_320, 15_346_630_656, 138_357_544, 138_357_544),
    "xception": (8_357_403_496, 8_355_355_496, 22_855_952, 22_801_424),
}
# Counted by other rules, which the records tell.
NOT_REPRODUCED = {
    ("lite-hrnet-18", "205.2 Mi"),
    ("lite-hrnet-30", "319.2 Mi"),
    ("mobilenet-v1-0.75-224", "317 M"),
    ("mobilenet-v1-0.75-192", "233 M"),
    ("mobilenet-v1-0.75-160", "162 M"),
    ("mobilenet-v1-0.75-128", "104 M"),
    ("mobilenet-v1-0.25-192", "34 M"),
}
# Printed for some widths and groups alone.
UNPUBLISHED = {f"shufflenet-v1-g{groups}-{width}" for groups in (1, 2, 3, 4, 8) for width in (0.25, 0.5, 1.5, 2)} - {
    f"shufflenet-v1-g{groups}-{width}" for groups in (3, 8) for width in (0.5, 1.5, 2)
}

each_network = pytest.mark.parametrize("net", BUILT.values(), ids=BUILT)


def share(net: Network, chosen: Callable[[Layer], bool]) -> float:
    """Return the percentage of a network's products that some of its layers make."""
    return round(100 * sum(layer.counts.dense_mul for layer in net.layers if chosen(layer)) / net.products, 2)


def test_every_network_has_its_totals() -> None:
    families = ("mobilenet-v1-0", "mobilenet-v1-1", "shufflenet-v1-g")
    assert set(TOTALS) <= set(BUILT)
    assert all(name.startswith(families) for name in set(BUILT) - set(TOTALS))


@pytest.mark.parametrize("name", TOTALS)
def test_totals_follow_from_the_tables(name: str) -> None:
    net = BUILT[name]
    totals = net.products, net.convolution_products, net.trainable_parameters, net.parameters
    assert totals == TOTALS[net.name]


@each_network
def test_published_figures_are_reproduced(net: Network) -> None:
    assert net.published or net.name in UNPUBLISHED
    failed = {(net.name, figure.figure) for figure in net.published if not net.reproduces(figure)}
    assert failed == {known for known in NOT_REPRODUCED if known[0] == net.name}


@pytest.mark.parametrize(("width", "resolution"), V1_PUBLISHED)
def test_mobilenets_of_every_width_and_resolution(width: float, resolution: int) -> None:
    net = mobilenet_v1(width, resolution)
    printed = [figure for figure in net.published if "1704.04861" in figure.source]
    assert len(printed) == 2
    assert all(map(net.reproduces, printed))


def test_mobilenets_that_nobody_released_have_no_figures() -> None:
    net = mobilenet_v1(0.6, 96)
    assert (net.name, net.published, net.layers[0].weight_shape[0]) == ("mobilenet-v1-0.6-96", (), 19)


def test_families_are_there_in_all_sizes() -> None:
    widths, groups = ("0.25", "0.5", "0.75", "1"), (1, 2, 3, 4, 8)
    mobile = {f"mobilenet-v1-{width}-{side}" for width in widths for side in (128, 160, 192, 224)}
    shuffle = {f"shufflenet-v1-g{g}{width}" for g in groups for width in ("-0.25", "-0.5", "", "-1.5", "-2")}
    assert mobile - {"mobilenet-v1-1-224"} | shuffle < set(NETWORKS)
    assert len(NETWORKS) == len(mobile) + len(shuffle) + 19


def test_released_mobilenets_leave_out_the_first_convolution_at_one_width() -> None:
    for side, figure in ((224, "317 M"), (192, "233 M"), (160, "162 M"), (128, "104 M")):
        net = network(f"mobilenet-v1-0.75-{side}")
        released = next(printed for printed in net.published if printed.figure == figure)
        assert released.note == "without the first convolution"
        assert round((net.products - net.layers[0].counts.dense_mul) / 1e6) * 1_000_000 == released.value


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.25, 0.5, 1.5, 2])
def test_shufflenets_have_the_channels_of_the_table_by_width(groups: int, width: float) -> None:
    net = shufflenet_v1(groups, width)
    table = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}[groups] * width
    for layer in net.layers:
        stage, _, step = layer.name[len("stage") :].replace(".1.", ".").partition(".")
        if step == "depthwise":
            # A quarter of the stage's channels, or the next number that splits into groups.
            assert 0 <= layer.x_shape[1] - (table * 2 ** (int(stage) - 2)) // 4 < groups
        elif layer.fully_connected:
            assert layer.x_shape[1] == table * 4


def test_elements_behind_layers_are_those_of_their_outputs() -> None:
    outputs = {name: sum(prod(layer.y_shape) for layer in net.layers) for name, net in BUILT.items()}
    for name in ("mobilenet-v1", "mobilenet-v1-full"):
        # A batch norm and a ReLU behind every convolution.
        assert BUILT[name].norm_elements == BUILT[name].activation_elements == outputs[name] - 1000
    assert BUILT["vgg-16"].norm_elements == 0
    assert BUILT["vgg-16"].activation_elements == outputs["vgg-16"] - 1000
    # Nothing follows a shortcut but the sum, and the activation of that stands for the last convolution's.
    net = BUILT["resnet-50"]
    shortcuts = sum(prod(layer.y_shape) for layer in net.layers if layer.name.endswith("shortcut"))
    assert net.norm_elements == outputs["resnet-50"] - 1000
    assert net.activation_elements == net.norm_elements - shortcuts


def test_mobilenet_spends_its_products_on_pointwise_layers() -> None:
    # Table 2 prints 1.19 for the first layer; with it the column sums to 99.29, with 1.91 to 100.01.
    net = network("mobilenet-v1")
    assert share(net, lambda layer: layer.name.endswith("pointwise")) == 94.86
    assert share(net, lambda layer: layer.name.endswith("depthwise")) == 3.06
    assert share(net, lambda layer: layer.name == "conv1") == 1.91
    assert share(net, lambda layer: layer.fully_connected) == 0.18


def test_shufflenets_of_other_widths() -> None:
    net = shufflenet_v1(8, 0.5)
    assert (net.name, [figure.figure for figure in net.published]) == ("shufflenet-v1-g8-0.5", ["40 M", "1.0 M"])
    # What joins the average of 16 channels in the first unit is 192 - 16 = 176 of 8 groups.
    assert [layer.weight_shape for layer in net.layers[:4]] == [
        (16, 3, 3, 3),
        (48, 16, 1, 1),
        (48, 1, 3, 3),
        (176, 6, 1, 1),
    ]


def test_layers_that_run_twice_count_twice() -> None:
    net = network("lite-hrnet-18")
    twice = [layer for layer in net.layers if layer.times == 2]
    assert len(twice) == 52
    assert all(".fuse.1to" in layer.name for layer in twice)
    assert sum(layer.counts.dense_mul // layer.times for layer in net.layers) == 198_626_688
    assert twice[0].counts == 2 * nc.count_conv2d((1, 40, 64, 48), (40, 1, 3, 3), stride=2, padding=1, groups=40)
    assert {layer.times for other in BUILT.values() if "lite" not in other.name for layer in other.layers} == {1}


def pooled(shape: Shape) -> set[Shape]:
    """Return the shapes that no pooling, pooling to half a side, rounded up or down, and an average over all leave."""
    N, C, H, W = shape
    return {shape, (N, C, -(-H // 2), -(-W // 2)), (N, C, H // 2, W // 2), (N, C, 1, 1)}


def fits(layer: Layer, made: set[Shape]) -> bool:
    """Return whether the input of a layer is one shape of those made, two of them joined, or a half of that."""
    N, C, H, W = layer.x_shape
    if layer.fully_connected:
        return any(c * h * w == C for _, c, h, w in made)
    if ".across." in layer.name and layer.name.endswith("squeeze"):
        # Lite-HRNet joins halves of all its branches, each pooled to the smallest.
        return C in {20 + 40, 20 + 40 + 80, 20 + 40 + 80 + 160} and any((h, w) == (H, W) for _, _, h, w in made)
    channels = [c for n, c, h, w in made if (n, h, w) == (N, H, W)]
    joined = {a + b for a, b in combinations_with_replacement(channels, 2)}
    return bool({C, 2 * C} & (joined | set(channels)))


@each_network
def test_every_input_is_made_of_earlier_outputs(net: Network) -> None:
    first, *rest = net.layers
    assert first.x_shape[:2] == (1, 3)
    made = pooled(first.y_shape)
    for layer in rest:
        assert fits(layer, made), layer.name
        made |= pooled(layer.x_shape) | pooled(layer.y_shape)


@pytest.mark.parametrize("name", CHAINS)
def test_networks_without_branches_are_one_chain(name: str) -> None:
    layers = BUILT[name].layers
    for before, after in pairwise(layers):
        if after.fully_connected:
            assert any(c * h * w == after.x_shape[1] for _, c, h, w in pooled(before.y_shape))
        else:
            assert after.x_shape in pooled(before.y_shape)


@each_network
def test_layers_are_valid_and_told_apart(net: Network) -> None:
    names = [layer.name for layer in net.layers]
    assert len(set(names)) == len(names)
    for layer in net.layers:
        geometry = layer.geometry
        options = geometry.stride, geometry.padding, geometry.dilation, geometry.groups
        assert options == (layer.stride, layer.padding, layer.dilation, layer.groups)
        assert (geometry.x_shape, geometry.weight_shape) == (layer.x_shape, layer.weight_shape)
        assert layer.y_shape[2:] == (1, 1) or not layer.fully_connected


@each_network
def test_totals_are_sums_of_layers(net: Network) -> None:
    assert net.counts == sum(layer.counts for layer in net.layers)
    assert net.counts.idle_mul == net.counts.moved == 0
    weights = sum(layer.weight_shape[0] * layer.geometry.K for layer in net.layers)
    biases = sum(layer.weight_shape[0] for layer in net.layers if layer.bias)
    assert net.parameters == weights + biases


@pytest.mark.parametrize("name", NETWORKS)
def test_names_are_keys(name: str) -> None:
    assert network(name).name == name
    assert network(name) == BUILT[name]


@pytest.mark.parametrize(
    ("name", "nearest"), [("resnet50", "resnet-50"), ("ShuffleNet-V1-G3", "shufflenet-v1-g3"), ("VGG", "vgg-16")]
)
def test_unknown_names_are_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"^network: there is no network '{name}'\. Did you mean .*'{nearest}'"):
        network(name)


@pytest.mark.parametrize(
    ("figure", "value", "digit"),
    [
        ("4.2 G", 4_200_000_000, 100_000_000),
        ("569 M", 569_000_000, 1_000_000),
        ("0.39 G", 390_000_000, 10_000_000),
        ("25,028,904", 25_028_904, 1),
        ("3 Mi", 3 * 2**20, 2**20),
    ],
)
def test_figures_are_read_as_printed(figure: str, value: int, digit: int) -> None:
    published = Published(figure, "products", "a table")
    assert (published.value, published.digit) == (value, digit)


def test_rounded_and_cut_figures_are_reproduced_and_no_others() -> None:
    net = network("resnet-50")
    told = [Published(f"{m} M", "trainable_parameters", "a table") for m in ("25.4", "25.5", "25.6", "25.7")]
    assert list(map(net.reproduces, told)) == [False, True, True, False]
    assert net.reproduces(Published("25,557,032", "trainable_parameters", "a table"))
    assert not net.reproduces(Published("25,557,031", "trainable_parameters", "a table"))


def test_import_leaves_numpy_alone() -> None:
    program = "import sys, npconv.networks; print({'numpy', 'numba', 'difflib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_all_networks_in_one_table() -> None:
    rows = {row.name: row for row in nc.networks.totals()}
    assert list(rows) == list(NETWORKS)
    for name, net in BUILT.items():
        row = rows[name]
        assert (row.layers, row.products, row.additions) == (len(net.layers), net.products, net.counts.dense_add)
        assert (row.useful_products, row.convolution_products) == (net.counts.mul, net.convolution_products)
        assert (row.parameters, row.trainable_parameters) == (net.parameters, net.trainable_parameters)
        told = zip(row.published, row.reproduced, strict=True)
        assert [figure.figure for figure, ok in told if not ok] == [f for n, f in sorted(NOT_REPRODUCED) if n == name]


def test_networks_have_no_other_names() -> None:
    with pytest.raises(AttributeError, match=r"^module 'npconv\.networks' has no attribute 'runs'"):
        _ = nc.networks.runs
