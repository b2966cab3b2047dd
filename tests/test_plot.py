"""Pictures: what is drawn is what was counted, every axis says what it shows, and nothing is told by colour alone."""

import sys
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

import npconv as nc
from npconv import plot
from npconv.conventions import CONVENTIONS, Facts
from npconv.networks import Layer, Network
from npconv.plot import style
from npconv.plot.connectivity import ways_through
from npconv.plot.conventions import LOOKS, made_of
from npconv.plot.multiplications import SPENT as MEANINGS

SPENT = nc.OpCount(mul=60, padding_mul=20, idle_mul=15, transform_mul=5)
PADDED = Layer("padded", (1, 2, 3, 3), (2, 2, 3, 3), padding=((1, 1), (1, 1)), bias=True)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def texts(ax: Any) -> list[str]:
    """Return all that is written inside a picture."""
    return [text.get_text() for text in ax.texts]


def frames(ax: Any) -> list[tuple[float, ...]]:
    """Return the unfilled rectangles of a picture: left, top, width, height."""
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    return [(*box.get_xy(), box.get_width(), box.get_height()) for box in boxes]


def brightness(colour: str) -> float:
    """Return how bright a colour is in a grey print, from 0 to 1."""
    return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))


def drawings() -> dict[str, Any]:
    """Return what draws each kind of picture, by name."""
    return {
        "multiplications": lambda **options: plot.multiplications({"a": SPENT}, **options),
        "connectivity": lambda **options: plot.connectivity(4, 2, **options),
        "conventions": lambda **options: plot.conventions(PADDED, **options),
        "receptive_field": lambda **options: plot.receptive_field([PADDED], **options),
    }


def test_every_picture_is_tried() -> None:
    assert sorted(drawings()) == plot.__all__


@pytest.mark.parametrize("name", plot.__all__)
def test_axes_are_taken_and_returned(name: str) -> None:
    _, (ax, other) = plt.subplots(1, 2)
    assert drawings()[name](ax=ax) is ax
    assert not other.has_data()
    own = drawings()[name]()
    assert own.figure is not ax.figure
    for drawn in (ax, own):
        assert drawn.get_xlabel()
        assert drawn.get_title(loc="left")
        assert drawn.get_ylabel() or all(label.get_text() for label in drawn.get_yticklabels())


@pytest.mark.parametrize("name", plot.__all__)
def test_a_missing_matplotlib_is_named_with_the_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "npconv\[plot\]"'):
        drawings()[name]()


@pytest.mark.parametrize("looks", [[look[2:] for look in MEANINGS], [*LOOKS.values()]])
def test_nothing_is_told_by_colour_alone(looks: list[tuple[str, str]]) -> None:
    for (colour, hatch), (other_colour, other_hatch) in combinations(looks, 2):
        assert hatch != other_hatch or abs(brightness(colour) - brightness(other_colour)) > 0.2


def test_text_can_be_read_on_every_colour() -> None:
    for colour in style.COLOURS:
        assert abs(brightness(style.ink_on(colour)) - brightness(colour)) > 0.3


def test_bars_hold_the_shares_of_the_counts() -> None:
    ax: Any = plot.multiplications({"one": SPENT, "two": nc.OpCount(mul=3, padding_mul=1), "none": nc.OpCount()})
    widths = [[float(bar.get_width()) for bar in bars] for bars in ax.containers]
    assert widths == [[60, 75, 0], [20, 25, 0], [15, 0, 0], [5, 0, 0]]
    begins = [[float(bar.get_x()) for bar in bars] for bars in ax.containers]
    assert begins == [[0, 0, 0], [60, 75, 0], [80, 100, 0], [95, 100, 0]]
    assert texts(ax) == ["100", "4", "0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two", "none"]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["useful", "on padding", "in idle lanes", "in transforms"]
    assert ax.get_title(loc="left") == "104 products, 60.6% of them useful"


def test_a_network_is_drawn_by_its_closed_forms() -> None:
    net = nc.networks.network("mobilenet-v1")
    ax = plot.multiplications(net)
    useful, padding = ax.containers
    for bar, rest, layer in zip(useful, padding, net.layers, strict=True):
        assert bar.get_width() == pytest.approx(100 * layer.counts.utilisation, rel=1e-12)
        assert bar.get_width() + rest.get_width() == pytest.approx(100, rel=1e-12)
    assert texts(ax)[0] == "10.8 M"
    # The first layer is above.
    top, bottom = ax.get_ylim()
    assert top > bottom


@pytest.mark.parametrize("wrong", [3, [SPENT], {"a": 3}])
def test_counts_have_to_be_counts(wrong: Any) -> None:
    with pytest.raises(TypeError, match="multiplications: counts is no mapping from names to OpCount"):
        plot.multiplications(wrong)


def test_there_have_to_be_counts() -> None:
    with pytest.raises(ValueError, match="multiplications: there are no counts"):
        plot.multiplications({})


def followed(channels: int, groups: int, layers: int, *, shuffled: bool) -> list[list[int]]:
    """Follow each input channel through the layers, by what groups and shuffles are defined to be."""
    depth = channels // groups
    ways = [[int(i == j) for j in range(channels)] for i in range(channels)]
    for layer in range(layers):
        if shuffled and layer:
            # Channel j of group i goes to place j*g + i.
            ways = [ways[place % groups * depth + place // groups] for place in range(channels)]
        ways = [
            [sum(ways[k][c] for k in range(o // depth * depth, (o // depth + 1) * depth)) for c in range(channels)]
            for o in range(channels)
        ]
    return ways


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("channels", "groups", "layers"), [(6, 1, 1), (6, 6, 2), (16, 4, 2), (12, 4, 3), (18, 3, 2)])
def test_channels_are_connected_as_they_are(channels: int, groups: int, layers: int, shuffled: bool) -> None:
    ways = followed(channels, groups, layers, shuffled=shuffled)
    assert ways_through(channels, groups, layers, shuffled=shuffled).tolist() == ways
    ax = plot.connectivity(channels, groups, layers=layers, shuffled=shuffled)
    (image,) = ax.images
    cells = np.asarray(image.get_array())
    empty = np.asarray(to_rgb(style.FAINT))
    depth = channels // groups
    for o in range(channels):
        for c in range(channels):
            expected = to_rgb(style.COLOURS[c // depth % len(style.COLOURS)]) if ways[o][c] else empty
            np.testing.assert_array_equal(cells[o, c], expected)
    written = [str(number) for row in ways for number in row if number]
    assert texts(ax) == (written if channels <= 16 else [])
    seen = sum(map(bool, ways[0]))
    title = ax.get_title(loc="left")
    assert title.endswith(f"each output depends on {seen} of {channels} inputs")
    assert title.startswith("1 layer of 1 groups" if layers == 1 else f"{layers} layers of {groups} groups")


def test_a_shuffle_joins_what_groups_keep_apart() -> None:
    titles = [plot.connectivity(16, 4, layers=2, shuffled=shuffled).get_title(loc="left") for shuffled in (False, True)]
    assert titles == [
        "2 layers of 4 groups:\neach output depends on 4 of 16 inputs",
        "2 layers of 4 groups, shuffled between:\neach output depends on 16 of 16 inputs",
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((7, 2), ValueError, "7 channels, which cannot be split evenly into 2 groups. Did you mean channels=8?"),
        ((0, 1), ValueError, "channels is 0"),
        ((4, 0), ValueError, "groups is 0"),
        ((4.0, 2), TypeError, "channels is 4.0"),
    ],
)
def test_channels_that_cannot_be_grouped(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^connectivity: .*{message}"):
        plot.connectivity(*arguments)


def test_answers_are_those_of_the_tools() -> None:
    seen = Facts.of_layer(PADDED)
    ax: Any = plot.conventions(PADDED)
    widths = [int(bar.get_width()) for bar in ax.patches]
    assert widths == sorted(set(widths))
    printed = {
        name: convention.rule(seen) for name, convention in CONVENTIONS.items() if "mistake" not in convention.unit.name
    }
    labels = [label.get_text().replace("\n", " ").split(", ") for label in ax.get_yticklabels()]
    assert {name: width for width, names in zip(widths, labels, strict=True) for name in names} == printed
    # 7*7 of 9*9 taps are on the image, and 18 outputs have a bias.
    assert texts(ax) == [
        " 196 = useful",
        " 324 = dense",
        " 342 = dense + biases",
        " 392 = 2 x useful",
        " 410 = 2 x useful + biases",
        " 648 = 2 x dense",
        " 666 = 2 x dense + biases",
    ]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["made of useful products", "made of dense products"]


def test_tools_that_are_mistaken_are_said_to_be() -> None:
    up = Layer("up", (1, 4, 5, 5), (4, 2, 2, 2), stride=(2, 2), transposed=True)
    ax: Any = plot.conventions(up)
    assert " 3,200" in texts(ax)
    assert made_of(3200, Facts.of_layer(up)) == ("", "")
    assert "neither: mistaken about this layer" in [text.get_text() for text in ax.get_legend().get_texts()]
    plain = Layer("plain", (1, 2, 3, 3), (4, 2, 3, 3))
    assert texts(plot.conventions(plain)) == [" 72 = dense", " 140 = dense + additions", " 144 = 2 x dense"]


def test_tools_that_count_one_image_are_not_mistaken() -> None:
    batch = Layer("batch", (3, 2, 3, 3), (4, 2, 3, 3))
    ax: Any = plot.conventions(batch)
    assert texts(ax) == [" 72 = dense, for one image", " 216 = dense", " 420 = dense + additions", " 432 = 2 x dense"]
    assert ax.get_yticklabels()[0].get_text() == "ptflops"
    # Nothing to count, and one tool that stops with an error at an image without a batch.
    assert texts(plot.conventions(Layer("empty", (0, 2, 3, 3), (4, 2, 3, 3)))) == [" 0 = dense"]
    labels = [label.get_text() for label in plot.conventions(Facts.of_call((2, 3, 3), (4, 2, 3, 3))).get_yticklabels()]
    assert "calflops" not in "".join(labels)


def test_a_convention_needs_a_layer() -> None:
    wrong: Any = SPENT
    with pytest.raises(TypeError, match="conventions: layer is OpCount"):
        plot.conventions(wrong)


def test_frames_are_the_fields_of_the_layers() -> None:
    layers: list[dict[str, Any]] = [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (1, 5)},
    ]
    ax = plot.receptive_field(layers, image_size=(15, 21), output=(1, 0))
    whole = nc.receptive_field(layers, image_size=(15, 21))
    rows, columns = whole.region(1, 0)
    assert frames(ax)[0] == (columns[0] - 0.5, rows[0] - 0.5, len(columns), len(rows)) == (-2.5, -0.5, 13, 5)
    # The others lie around its middle, row 2 and column 3.5.
    assert frames(ax)[1:] == [(1.5, -0.5, 5, 5), (2.5, 0.5, 3, 3)]
    assert ax.get_title(loc="left") == "output (1, 0) depends on 55 pixels, within 5x13"
    assert texts(ax)[:2] == ["padding", "layer 3: 5x13"]


def test_filled_pixels_are_those_that_matter() -> None:
    layers = [{"kernel_size": 3, "dilation": 3, "padding": 3}]
    ax = plot.receptive_field(layers, image_size=8, output=(0, 4))
    filled = np.asarray(ax.images[0].get_array())[..., 3] > 0
    assert filled.shape == (8, 8)
    assert np.argwhere(filled).tolist() == [[0, 1], [0, 4], [0, 7], [3, 1], [3, 4], [3, 7]]


def test_layers_that_see_the_same_have_one_frame_and_the_first_name() -> None:
    net = nc.networks.network("mobilenet-v1")
    ax = plot.receptive_field(net.layers[:5], image=np.zeros((20, 30)))
    assert len(frames(ax)) == 3
    assert [text.partition(":")[0] for text in texts(ax)] == []
    # Where padding lies behind the image alone, before it alone, and nowhere.
    for output, said in (((2, 2), True), ((0, 0), True), ((1, 1), False)):
        one = plot.receptive_field([{"kernel_size": 3, "padding": 1}], image_size=3, output=output)
        assert ("padding" in texts(one)) == said


def test_a_field_needs_the_size_of_the_image_and_an_output() -> None:
    with pytest.raises(ValueError, match=r"Did you mean receptive_field\(layers, image_size=\(H, W\)\)"):
        plot.receptive_field([{"kernel_size": 3}])
    with pytest.raises(ValueError, match=r"there is no output \(9, 9\)"):
        plot.receptive_field([{"kernel_size": 3}], image_size=5, output=9)
    with pytest.raises(ValueError, match="Layers side by side are no chain"):
        plot.receptive_field(nc.networks.network("resnet-50"))


def test_networks_are_followed_to_their_end() -> None:
    net = Network("two", (Layer("one", (1, 1, 9, 9), (1, 1, 3, 3)), Layer("two", (1, 1, 7, 7), (1, 1, 3, 3))))
    ax = plot.receptive_field(net)
    assert ax.get_title(loc="left") == "output (2, 2) depends on 25 pixels, within 5x5"
    assert texts(ax) == ["two: 5", "one: 3"]
