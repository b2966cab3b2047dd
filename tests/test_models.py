"""Users' models where neither PyTorch nor ONNX is needed: what operators do to values, how a module is run, what a target is."""

from operator import attrgetter
from typing import Any

import pytest

import npconv as nc
from npconv.models.aten import Calls
from npconv.models.model import Listing, Value
from npconv.networks import Layer
from npconv.receptive import ReceptiveField, Window, layer_fields


class Tensor:
    """What has a shape; PyTorch's have more."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape


def told(*calls: tuple[Any, ...], x: Tensor, batch: int = 1) -> Listing:
    """Return what is listed when these operators are called: name, arguments, result."""
    listing = Listing(batch)
    account = Calls.onto(listing, {x: Value(x.shape, field=ReceptiveField() if len(x.shape) == 4 else None)})
    for name, arguments, result in calls:
        account.see(name, "", arguments, {}, result)
    return listing


def convolution(x: Tensor, weight: Tensor, y: Tensor, padding: int = 0) -> tuple[Any, ...]:
    """Return the call of a convolution without bias."""
    return "aten.convolution", (x, weight, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1), y


IMAGE, WEIGHT = Tensor(1, 3, 8, 8), Tensor(4, 3, 3, 3)
PLAIN = Layer("convolution", (1, 3, 8, 8), (4, 3, 3, 3))


def test_a_convolution_is_a_layer() -> None:
    listing = told(convolution(IMAGE, WEIGHT, Tensor(1, 4, 6, 6)), x=IMAGE)
    assert listing.layers == [PLAIN]
    assert [field and field.size for field in listing.fields] == [(3, 3)]


def test_the_same_weights_and_shapes_are_one_layer() -> None:
    square = Tensor(3, 3, 3, 3)
    first, second = Tensor(1, 3, 8, 8), Tensor(1, 3, 8, 8)
    listing = told(convolution(IMAGE, square, first, 1), convolution(first, square, second, 1), x=IMAGE)
    assert [(layer.times, layer.name) for layer in listing.layers] == [(2, "convolution")]
    assert listing.fields == [None]
    small = Tensor(1, 3, 6, 6)
    listing = told(convolution(IMAGE, square, small), convolution(small, square, Tensor(1, 3, 4, 4)), x=IMAGE)
    assert [layer.name for layer in listing.layers] == ["convolution", "convolution (2)"]
    net = listing.model("read", "two", 100)
    assert (net.parameters, net.shared_parameters, net.norm_parameters) == (81, 81, 19)


def test_weights_that_are_computed_are_told_apart_by_how() -> None:
    parts, again = [Tensor(4, 3, 3, 3), Tensor(4, 3, 3, 3)], [Tensor(4, 3, 3, 3), Tensor(4, 3, 3, 3)]
    whole, y = Tensor(8, 3, 3, 3), [Tensor(1, 4, 6, 6) for _ in range(4)]
    split = [("aten.split", (whole, 4), parts), ("aten.split", (whole, 4), again)]
    convolutions = [convolution(IMAGE, part, out) for part, out in zip((*parts, *again), y, strict=True)]
    listing = told(*split, *convolutions, x=IMAGE)
    assert [(layer.name, layer.times) for layer in listing.layers] == [("convolution", 2), ("convolution (2)", 2)]


@pytest.mark.parametrize(
    ("left", "right", "y", "expected"),
    [
        (Tensor(6, 5), Tensor(5, 4), Tensor(6, 4), ((2, 5, 1, 3), (4, 5, 1, 1), 1, False)),
        (Tensor(2, 5), Tensor(5, 4), Tensor(2, 4), ((2, 5, 1, 1), (4, 5, 1, 1), 1, True)),
        (Tensor(7, 5), Tensor(5, 4), Tensor(7, 4), ((1, 5, 1, 7), (4, 5, 1, 1), 1, False)),
        (Tensor(3, 2, 5), Tensor(3, 5, 4), Tensor(3, 2, 4), ((2, 15, 1, 1), (12, 5, 1, 1), 3, True)),
    ],
)
def test_products_with_a_constant(left: Tensor, right: Tensor, y: Tensor, expected: Any) -> None:
    name = "aten.bmm" if len(left.shape) == 3 else "aten.mm"
    (layer,) = told((name, (left, right), y), x=left, batch=2).layers
    assert (layer.x_shape, layer.weight_shape, layer.groups, layer.fully_connected) == expected


@pytest.mark.parametrize("name", ["aten.new_ones", "aten.zeros_like"])
def test_what_is_only_shaped_like_the_input_is_a_constant(name: str) -> None:
    x, made = Tensor(2, 2), Tensor(2, 2)
    listing = told((name, (x,), made), ("aten.mm", (x, made), Tensor(2, 2)), x=x)
    assert [layer.weight_shape for layer in listing.layers] == [(2, 2, 1, 1)]


def test_the_constant_may_stand_on_the_left() -> None:
    x = Tensor(5, 2)
    (layer,) = told(("aten.mm", (Tensor(4, 5), x), Tensor(4, 2)), x=x, batch=2).layers
    assert (layer.x_shape, layer.weight_shape) == ((2, 5, 1, 1), (4, 5, 1, 1))


@pytest.mark.parametrize(("added", "bias"), [(Tensor(4), True), (Tensor(2, 4), False), (Tensor(1), False)])
def test_what_is_added_to_a_product_may_be_a_bias(added: Tensor, bias: bool) -> None:
    x = Tensor(2, 5)
    assert told(("aten.addmm", (added, x, Tensor(5, 4)), Tensor(2, 4)), x=x).layers[0].bias is bias


def behind(*calls: tuple[Any, ...], image: Tensor = IMAGE) -> ReceptiveField | None:
    """Return the field of a 1x1 convolution behind some operators."""
    x = calls[-1][2][0] if isinstance(calls[-1][2], tuple) else calls[-1][2]
    N, C, H, W = x.shape
    return told(*calls, convolution(x, Tensor(2, C, 1, 1), Tensor(N, 2, H, W)), x=image).fields[-1]


@pytest.mark.parametrize(
    ("name", "arguments", "size", "window"),
    [
        ("aten.avg_pool2d", ([2, 2],), (4, 4), Window((2, 2), (2, 2))),
        ("aten.avg_pool2d", ([3], [2], [1], True), (4, 4), Window((3, 3), (2, 2), ((1, 1), (1, 1)))),
        ("aten.avg_pool2d", ([3, 3], [2, 2], 0, True), (4, 4), Window((3, 3), (2, 2), ((0, 1), (0, 1)))),
        ("aten.max_pool2d", ([2, 2], [1, 1], [0, 0], [3, 3]), (5, 5), Window((2, 2), dilation=(3, 3))),
        ("aten.relu", (), (8, 8), Window((1, 1))),
        ("aten.constant_pad_nd", ([1, 2], 0.0), (8, 11), Window((1, 1), padding=((0, 0), (1, 2)))),
    ],
)
def test_fields_go_through_what_lies_between_layers(name: str, arguments: Any, size: Any, window: Window) -> None:
    field = behind((name, (IMAGE, *arguments), Tensor(1, 3, *size)))
    expected = ReceptiveField().through(window)
    assert field is not None
    assert (field.size, field.stride, field.padding) == (expected.size, expected.stride, expected.padding)


@pytest.mark.parametrize(("name", "axes"), [("aten.transpose", (1, 2)), ("aten.permute", ([0, 2, 1, 3, 4],))])
def test_fields_go_through_a_shuffle_of_channels(name: str, axes: Any) -> None:
    x, split, turned = Tensor(1, 4, 8, 8), Tensor(1, 2, 2, 8, 8), Tensor(1, 2, 2, 8, 8)
    joined = "aten.view", (turned, [1, 4, 8, 8]), Tensor(1, 4, 8, 8)
    calls = ("aten.view", (x, [1, 2, 2, 8, 8]), split), (name, (split, *axes), turned), joined
    assert behind(*calls, image=x) is not None


def test_an_operator_that_returns_indices_too_is_pooling() -> None:
    field = behind(("aten.max_pool2d_with_indices", (IMAGE, [2, 2], [2, 2]), (Tensor(1, 3, 4, 4), Tensor(1, 3, 4, 4))))
    assert field is not None
    assert field.stride == (2, 2)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("aten.permute", ([0, 1, 3, 2],), (1, 3, 8, 8)),
        ("aten.transpose", (2, -1), (1, 3, 8, 8)),
        ("aten.upsample_nearest2d", ([16, 16],), (1, 3, 16, 16)),
        ("aten.constant_pad_nd", ([1, 1, 0, 0, 0, 0, 0, 0], 0.0), (1, 3, 8, 10)),
        ("aten.constant_pad_nd", ([-1, 1], 0.0), (1, 3, 8, 8)),
        ("aten.constant_pad_nd", ([1, 1], 2.0), (1, 3, 8, 10)),
    ],
)
def test_behind_what_moves_pixels_nothing_is_known(name: str, arguments: Any, shape: tuple[int, ...]) -> None:
    assert behind((name, (IMAGE, *arguments), Tensor(*shape))) is None


def test_pooling_behind_what_is_not_known_has_no_field() -> None:
    moved = Tensor(1, 3, 8, 8)
    pooled = "aten.avg_pool2d", (moved, [2, 2]), Tensor(1, 3, 4, 4)
    assert behind(("aten.flip", (IMAGE, [2]), moved), pooled) is None


def test_zeros_before_a_convolution_are_its_padding() -> None:
    padded = Tensor(1, 3, 9, 8)
    pad = "aten.constant_pad_nd", (IMAGE, [0, 0, 1, 0]), padded
    assert told(pad, convolution(padded, WEIGHT, Tensor(1, 4, 9, 8), 1), x=IMAGE).layers[0].padding == ((2, 1), (1, 1))


def test_fields_of_branches_are_united() -> None:
    padded, wide, narrow = Tensor(1, 3, 10, 10), Tensor(1, 4, 8, 8), Tensor(1, 4, 8, 8)
    field = behind(
        ("aten.constant_pad_nd", (IMAGE, [2, 0, 2, 0]), padded),
        convolution(padded, WEIGHT, wide),
        convolution(IMAGE, WEIGHT, narrow, 1),
        ("aten.cat", ([wide, narrow], 1), Tensor(1, 8, 8, 8)),
    )
    assert field is not None
    # From 2 before the output to 1 behind it.
    assert (field.size, field.padding) == ((4, 4), ((2, 1), (2, 1)))
    halved = "aten.avg_pool2d", (IMAGE, [1, 1], [2, 2]), Tensor(1, 3, 4, 4)
    pooled = "aten.avg_pool2d", (IMAGE, [2, 2], [1, 1]), Tensor(1, 3, 4, 4)
    assert behind(halved, pooled, ("aten.add", (halved[2], pooled[2]), Tensor(1, 3, 4, 4))) is None
    assert behind(("aten.mul", (IMAGE, Tensor(1, 3, 1, 1)), Tensor(1, 3, 8, 8))) == ReceptiveField(
        windows=(Window((1, 1)),)
    )


def test_an_average_over_all_pixels_is_a_window_over_them() -> None:
    flat, made = Tensor(1, 192), Tensor(1, 10)
    product = "aten.mm", (flat, Tensor(192, 10)), made
    fields = told(("aten.view", (IMAGE, [1, 192]), flat), product, x=IMAGE).fields
    assert fields[0] is not None
    assert fields[0].size == (8, 8)
    mean = "aten.mean", (IMAGE, [2, 3], True), Tensor(1, 3, 1, 1)
    squeezed = "aten.view", (mean[2], [1, 3]), Tensor(1, 3)
    fields = told(mean, squeezed, ("aten.mm", (squeezed[2], Tensor(3, 10)), made), x=IMAGE).fields
    assert fields[0] is not None
    assert fields[0].size == (8, 8)
    total = "aten.sum", (IMAGE,), Tensor()
    assert told(total, ("aten.mm", (Tensor(1, 1), Tensor(1, 1)), Tensor(1, 1)), x=IMAGE).uncounted


@pytest.mark.parametrize(
    ("calls", "uncounted"),
    [
        (
            [("torchvision.deform_conv2d", (IMAGE, WEIGHT), Tensor(1, 4, 6, 6))],
            {"torchvision.deform_conv2d": ["deform_conv2d"]},
        ),
        ([("aten.mkldnn_rnn_layer", (IMAGE,), [IMAGE, None])], {"aten.mkldnn_rnn_layer": ["mkldnn_rnn_layer"]}),
        (
            [("aten.bmm", (IMAGE, IMAGE), Tensor(1, 8, 8))],
            {"product of two matrices that depend on the input": ["bmm"]},
        ),
        ([("aten.lgamma", (IMAGE,), IMAGE), ("prim.device", (IMAGE,), None)], {}),
        (
            [convolution(IMAGE, IMAGE, Tensor(1, 1, 1, 1))],
            {"convolution with weights that depend on the input": ["convolution"]},
        ),
    ],
)
def test_what_is_not_counted_is_named(calls: Any, uncounted: dict[str, list[str]]) -> None:
    listing = told(*calls, x=IMAGE)
    assert (listing.uncounted, listing.layers) == (uncounted, [])


def test_a_layer_that_does_not_fit_is_named() -> None:
    listing = Listing()
    x, weight = Value((1, 4, 3, 3)), Value((4, 2, 2, 2), frozenset("w"))
    listing.convolution("up", x, weight, (1, 2, 6, 6), stride=(2, 2), transposed=True, output_padding=(2, 2))
    assert listing.uncounted == {"output_padding is (2, 2), but must be below the stride. Did you mean (0, 0)?": ["up"]}
    listing.convolution(
        "up", x, weight, (1, 2, 6, 6), stride=(2, 2), transposed=True, padding=((0, 2), (0, 1)), output_padding=(2, 1)
    )
    assert (listing.layers[0].padding, listing.layers[0].output_padding) == (((0, 0), (0, 0)), (0, 0))


def test_a_model_knows_its_fields() -> None:
    listing = told(convolution(IMAGE, WEIGHT, Tensor(1, 4, 6, 6)), x=IMAGE)
    model = listing.model("read", "small", 108)
    assert layer_fields(model) == model.fields == tuple(listing.fields)
    assert isinstance(model, nc.networks.Model)
    with pytest.raises(AttributeError, match=r"^module 'npconv\.networks' has no attribute 'unknown'$"):
        attrgetter("unknown")(nc.networks)
