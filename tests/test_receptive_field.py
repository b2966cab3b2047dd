"""Receptive fields: published values, what a probe of one changed pixel finds, and what is refused."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npconv as nc
from npconv.networks import Layer, network
from npconv.receptive import LayerLike, layer_fields

CONV3: dict[str, Any] = {"kernel_size": 3, "padding": "same"}
POOL2: dict[str, Any] = {"kernel_size": 2, "stride": 2}
POOL3: dict[str, Any] = {"kernel_size": 3, "stride": 2}

VGG_16 = [*[CONV3, CONV3, POOL2] * 2, *[CONV3, CONV3, CONV3, POOL2] * 3]
# The AlexNet of TensorFlow's model garden, whose first convolution and pooling are not padded.
ALEXNET_V2 = [
    {"kernel_size": 11, "stride": 4},
    POOL3,
    {"kernel_size": 5, "padding": "same"},
    POOL3,
    *[CONV3] * 3,
    POOL3,
]

Stack = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("layers", "size", "stride", "padding"),
    [
        (VGG_16, 212, 32, 90),
        (ALEXNET_V2, 195, 32, 64),
        (network("mobilenet-v1").layers[:-1], 315, 32, 126),
    ],
    ids=["VGG16", "AlexNet-v2", "MobileNetV1"],
)
def test_published_fields(layers: Any, size: int, stride: int, padding: int) -> None:
    # Araujo, Norris and Sim (2019), Distill, the table of architectures; padding is that before the image.
    field = nc.receptive_field(layers, image_size=224)
    assert (field.size, field.stride, field.offset) == ((size, size), (stride, stride), (-padding, -padding))


def test_the_formula_sums_what_each_window_adds() -> None:
    layers: Stack = [{"kernel_size": (3, 5), "stride": (2, 3)}, {"kernel_size": 3, "dilation": (4, 1)}, POOL2]
    field = nc.receptive_field(layers)
    assert field.size == (1 + 2 + 4 * 2 * 2 + 1 * 2, 1 + 4 + 2 * 3 + 1 * 3)
    assert field.stride == (4, 6)


def test_no_layers_see_one_pixel() -> None:
    field = nc.receptive_field([])
    assert (field.size, field.stride, field.padding) == ((1, 1), (1, 1), ((0, 0), (0, 0)))
    assert field.region(3, 5) == (range(3, 4), range(5, 6))


def response(layers: Stack, H: int, W: int) -> np.ndarray[Any, Any]:
    """Return which outputs change with which pixel, (H, W, OH, OW): each pixel in turn is 1 in an image of zeros.

    No weight is zero or negative, so nothing cancels.
    """
    images = np.eye(H * W, dtype=np.uint8).reshape(H * W, H, W)
    for layer in layers:
        (kh, kw), (sh, sw), (dh, dw) = layer["kernel_size"], layer["stride"], layer["dilation"]
        padded = np.pad(images, ((0, 0), *layer["padding"]))
        OH, OW = (
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(padded.shape[1:], (kh, kw), (sh, sw), (dh, dw), strict=True)
        )
        taps = (
            padded[:, i * dh :, j * dw :][:, : (OH - 1) * sh + 1 : sh, : (OW - 1) * sw + 1 : sw]
            for i, j in product(range(kh), range(kw))
        )
        images = np.minimum(1, sum(taps))
    return images.reshape(H, W, *images.shape[1:]) > 0


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Stack, tuple[int, int]]:
    """Draw layers and the size of an image for them, from the last output back, so that all of them fit.

    Rows and columns differ in everything. Padding may be wider than the window, and the last cells may be skipped.
    """
    layers: Stack = []
    size = [draw(st.integers(1, 3)) for _ in range(2)]
    for _ in range(draw(st.integers(1, 4))):
        if size[0] * size[1] > 100:
            break
        layer: dict[str, list[Any]] = {"kernel_size": [], "stride": [], "padding": [], "dilation": []}
        for axis in range(2):
            k, s, d = (
                draw(st.sampled_from((1, 2, 3, 4))),
                draw(st.sampled_from((1, 1, 2, 3))),
                draw(st.sampled_from((1, 1, 2, 3))),
            )
            p0, p1 = draw(st.sampled_from((0, 0, 1, 2, 5))), draw(st.sampled_from((0, 0, 1, 2, 5)))
            skipped = draw(st.integers(0, s - 1))
            size[axis] = max(1, (size[axis] - 1) * s + d * (k - 1) + 1 + skipped - p0 - p1)
            for option, value in zip(layer, (k, s, (p0, p1), d), strict=True):
                layer[option].append(value)
        layers.insert(0, {option: tuple(values) for option, values in layer.items()})
    return layers, (size[0], size[1])


def inside(size: tuple[int, int], rows: Sequence[int], columns: Sequence[int]) -> np.ndarray[Any, Any]:
    """Return where an image of this size has one of these rows and one of these columns."""
    image = np.zeros(size, bool)
    for row in rows:
        image[row, list(columns)] = True
    return image


def outputs(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the places of all outputs."""
    yield from product(range(shape[0]), range(shape[1]))


@given(stacks())
def test_pixels_are_those_that_a_probe_finds(drawn: tuple[Stack, tuple[int, int]]) -> None:
    layers, size = drawn
    field = nc.receptive_field(layers, image_size=size)
    changed = response(layers, *size)
    for oh, ow in outputs(changed.shape[2:]):
        found = changed[:, :, oh, ow]
        assert np.array_equal(found, inside(size, *field.pixels(oh, ow)))
        hull = [range(cells.min(), cells.max() + 1) if cells.size else range(0) for cells in np.nonzero(found)]
        assert np.array_equal(inside(size, *hull), inside(size, *field.region(oh, ow, clip=True)))
    with pytest.raises(ValueError, match="there is no output"):
        field.region(changed.shape[2], 0)


@given(stacks())
def test_size_stride_and_padding_are_those_that_a_probe_finds(drawn: tuple[Stack, tuple[int, int]]) -> None:
    # With the padding of the whole stack put around the image, no window needs its own: the probe sees all of a field.
    layers, size = drawn
    field = nc.receptive_field(layers, image_size=size)
    assert field == nc.receptive_field(layers, image_size=size)
    for axis in range(2):
        along: Stack = [
            {option: (values[axis], ((0, 0) if option == "padding" else 1)) for option, values in layer.items()}
            | {"padding": ((0, 0), (0, 0))}
            for layer in layers
        ]
        before, after = field.padding[axis]
        changed = response(along, before + size[axis] + after, 1)[:, 0, :, 0]
        assert changed.shape[1] == field.sizes[-1][axis]
        for o in range(changed.shape[1]):
            cells = np.nonzero(changed[:, o])[0] - before
            place = (o, 0) if axis == 0 else (0, o)
            assert field.region(*place)[axis] == range(cells[0], cells[-1] + 1)


def test_an_image_that_is_cut_off_is_not_what_inner_padding_hides() -> None:
    # Windows of 3 begin at rows 0 and 4 of 10. The second layer reads zero behind them, not what a window at 8 would hold.
    field = nc.receptive_field([{"kernel_size": 3, "stride": 4}, {"kernel_size": 3, "padding": 1}], image_size=10)
    assert field.region(1, 1) == (range(-4 + 4, 7 + 4), range(-4 + 4, 7 + 4))
    assert field.region(1, 1, clip=True) == (range(7), range(7))


def test_layers_of_a_network_are_followed() -> None:
    net = network("convnext-t")
    field = nc.receptive_field(net)
    # The classifier takes the average over all that is left: the whole image.
    assert field.region(0, 0, clip=True) == (range(224), range(224))
    fields = layer_fields(net)
    assert None not in fields
    assert fields[-1] == field
    sizes = [each.size[0] for each in fields if each]
    assert sizes == sorted(sizes)


def test_a_fully_connected_layer_is_a_window_over_all() -> None:
    # VGG16 as it was used on larger images: its first fully connected layer is 7x7, and sees 404 pixels.
    layers: list[LayerLike] = [
        *VGG_16[:-1],
        POOL2,
        Layer("fc6", (1, 512 * 49, 1, 1), (4096, 512 * 49, 1, 1), fully_connected=True),
    ]
    assert nc.receptive_field(layers, image_size=224).size == (212 + 6 * 32, 212 + 6 * 32)
    one = Layer("one", (1, 4, 3, 5), (2, 4, 1, 1)), Layer("all", (1, 30, 1, 1), (7, 30, 1, 1))
    assert nc.receptive_field(one).size == (3, 5)
    assert nc.receptive_field([*one, Layer("last", (1, 7, 1, 1), (9, 7, 1, 1))]).size == (3, 5)


def test_a_layer_without_the_size_of_its_image() -> None:
    field = nc.receptive_field([POOL2, Layer("conv", (1, 4, 9, 9), (2, 4, 3, 3))])
    assert (field.size, field.sizes) == ((6, 6), ())
    assert nc.receptive_field([{"kernel_size": 3, "padding": "valid"}]).offset == (0, 0)


def test_layers_that_are_no_chain_have_no_field() -> None:
    fields = layer_fields(network("vgg-16"))
    # Pooling behind the second layer is not in the table.
    assert [field and field.size for field in fields] == [(3, 3), (5, 5), *[None] * 14]
    assert layer_fields([]) == ()


CONV = Layer("conv", (1, 4, 8, 8), (6, 4, 3, 3), padding=((1, 1), (1, 1)))
UP = Layer("up", (1, 6, 8, 8), (6, 4, 2, 2), stride=(2, 2), transposed=True)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([3], TypeError, r"receptive_field: 3 is no layer, .* a Layer or a mapping. Did you mean"),
        (3, TypeError, r"receptive_field: 3 is no layer"),
        ("vgg-16", TypeError, r"receptive_field: 'vgg-16' is no layer"),
        (
            [POOL2, {"kernel": 3}],
            ValueError,
            r"receptive_field, layers\[1\]: there is no option 'kernel'\. Did you mean",
        ),
        ([{"stride": 2}], ValueError, r"receptive_field, layers\[0\]: kernel_size is missing\. Did you mean"),
        ([{"kernel_size": 0}], ValueError, r"receptive_field, layers\[0\]: kernel_size is 0, but must be at least 1"),
        ([{"kernel_size": 2.5}], TypeError, r"receptive_field, layers\[0\]: kernel_size is 2\.5 .* must be an integer"),
        ([{"kernel_size": 3, "padding": -1}], ValueError, r"padding at the top is -1"),
        ([CONV3], ValueError, r"layers\[0\]: padding 'same' depends on the size .* image_size=\(H, W\)"),
        (
            [CONV, CONV],
            ValueError,
            r"conv takes 4 channels of 8x8 pixels, but what is before it leaves 6 of 8x8\. Did you",
        ),
        ([POOL2, CONV, CONV], ValueError, r"conv takes 4 channels of 8x8 pixels, but what is before it leaves 6\. Did"),
        ([CONV, UP], ValueError, r"receptive_field: up is a transposed convolution, .* Did you mean the layers before"),
    ],
)
def test_what_is_refused(layers: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"(?s)^.*{message}"):
        nc.receptive_field(layers)


def test_windows_that_do_not_fit_are_refused_where_sizes_are_known() -> None:
    layers = [POOL2, {"kernel_size": 5}]
    assert nc.receptive_field(layers).size == (10, 10)
    with pytest.raises(
        ValueError, match=r"^receptive_field, layers\[1\]: the padded height is .* = 4, but the kernel spans"
    ):
        nc.receptive_field(layers, image_size=8)
    with pytest.raises(ValueError, match=r"^receptive_field: image_size is 0, but must be at least 1"):
        nc.receptive_field(layers, image_size=0)


def test_outputs_that_are_not_there_are_refused() -> None:
    field = nc.receptive_field([POOL2], image_size=(8, 6))
    with pytest.raises(ValueError, match=r"^ReceptiveField: there is no output \(0, 3\), as the last is \(3, 2\)"):
        field.region(0, 3)
    with pytest.raises(ValueError, match=r"^ReceptiveField: oh is -1, but must be at least 0"):
        field.pixels(-1, 0)
    with pytest.raises(ValueError, match=r"^ReceptiveField: the size of the image is not known\. Did you mean"):
        nc.receptive_field([POOL2]).region(0, 0, clip=True)


def test_import_leaves_numpy_alone() -> None:
    program = "import sys, npconv; npconv.receptive_field([]); print({'numpy', 'numba'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
