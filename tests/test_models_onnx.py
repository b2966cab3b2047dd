"""ONNX files as networks: every form of the operators that are layers, what is not counted, and files that are refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npconv.models.model import Model
from npconv.models.onnx_file import from_onnx
from npconv.networks import Layer

onnx: Any = pytest.importorskip("onnx")
node, FLOAT = onnx.helper.make_node, onnx.TensorProto.FLOAT

Shape = Sequence[int | str]


def saved(
    folder: Path,
    nodes: list[Any],
    inputs: dict[str, Shape],
    weights: Mapping[str, Sequence[int] | np.ndarray[Any, Any]] | None = None,
    **options: Any,
) -> Path:
    """Write a graph whose output is y; a weight is an array, or the shape of one of ones."""
    tensors = [
        onnx.numpy_helper.from_array(each if isinstance(each, np.ndarray) else np.ones(each, np.float32), name)
        for name, each in (weights or {}).items()
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [onnx.helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [onnx.helper.make_tensor_value_info("y", FLOAT, None)],
        tensors,
    )
    domains = {each.domain for each in nodes} - {""}
    opsets = [onnx.helper.make_opsetid("", 17), *(onnx.helper.make_opsetid(domain, 1) for domain in domains)]
    path = folder / "small.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, **options), path)
    return path


def read(folder: Path, nodes: list[Any], inputs: dict[str, Shape], weights: Any = None) -> Model:
    """Return a graph as a network."""
    return from_onnx(saved(folder, nodes, inputs, weights))


def test_a_chain_is_read_layer_by_layer(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], "first", strides=[2, 2], pads=[1, 0, 1, 2]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"]),
        node("Relu", ["n1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2"], ["c2"], group=4, dilations=[1, 2]),
        node("GlobalAveragePool", ["c2"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w3", "b3"], ["y"], "last", transB=1),
    ]
    weights = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (4, 2, 3, 3), "w3": (5, 4), "b3": (5,)}
    weights |= dict.fromkeys(("scale", "shift", "mean", "variance"), (8,))
    net = read(tmp_path, nodes, {"x": ("N", 3, 17, 22)}, weights)
    assert net.name == "small"
    assert net.layers == (
        Layer("first", (1, 3, 17, 22), (8, 3, 3, 3), (2, 2), ((1, 1), (0, 2)), bias=True),
        Layer("c2", (1, 8, 4, 5), (4, 2, 3, 3), dilation=(1, 2), groups=4),
        Layer("last", (1, 4, 1, 1), (5, 4, 1, 1), bias=True, fully_connected=True),
    )
    assert net.products == 9 * 11 * 8 * 27 + 2 * 1 * 4 * 18 + 5 * 4
    # The running mean and variance are not learned.
    assert (net.parameters, net.norm_parameters) == (8 * 27 + 8 + 4 * 18 + 5 * 4 + 5, 16)
    # 3 + 2*1 for pooling at a stride of 2; then 4*(2, 4), and all 2 rows of what is left.
    assert [field and field.size for field in net.fields] == [(3, 3), (5 + 8, 5 + 16), (13 + 4, 21)]
    assert net.uncounted == ()


@pytest.mark.parametrize(
    ("word", "padding", "size"),
    [
        ("SAME_UPPER", ((0, 1), (1, 1)), (4, 5)),
        ("SAME_LOWER", ((1, 0), (1, 1)), (4, 5)),
        ("VALID", ((0, 0), (0, 0)), (3, 4)),
    ],
)
def test_padding_by_a_word(tmp_path: Path, word: str, padding: Any, size: tuple[int, int]) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], auto_pad=word, strides=[2, 2])]
    (layer,) = read(tmp_path, nodes, {"x": (1, 2, 8, 9)}, {"w": (3, 2, 3, 3)}).layers
    assert (layer.padding, layer.y_shape[2:]) == (padding, size)


@pytest.mark.parametrize(
    ("attributes", "padding", "extra", "size"),
    [
        ({"pads": [1, 0, 0, 1], "output_padding": [0, 1]}, ((1, 0), (0, 1)), (0, 1), (8, 11)),
        ({"auto_pad": "VALID"}, ((0, 0), (0, 0)), (0, 0), (9, 11)),
        ({"auto_pad": "SAME_UPPER"}, ((0, 1), (0, 1)), (0, 0), (8, 10)),
        ({"auto_pad": "SAME_LOWER"}, ((1, 0), (1, 0)), (0, 0), (8, 10)),
        ({"output_shape": [7, 12], "auto_pad": "SAME_UPPER"}, ((1, 1), (0, 0)), (0, 1), (7, 12)),
    ],
)
def test_transposed_layers(
    tmp_path: Path, attributes: Any, padding: Any, extra: tuple[int, int], size: tuple[int, int]
) -> None:
    nodes = [node("ConvTranspose", ["x", "w", "b"], ["y"], strides=[2, 2], group=2, **attributes)]
    (layer,) = read(tmp_path, nodes, {"x": (2, 4, 4, 5)}, {"w": (4, 3, 3, 3), "b": (6,)}).layers
    assert layer == Layer(
        "y", (2, 4, 4, 5), (4, 3, 3, 3), (2, 2), padding, groups=2, bias=True, transposed=True, output_padding=extra
    )
    assert layer.y_shape == (2, 6, *size)
    assert layer.counts.dense_mul == 2 * 4 * 4 * 5 * 3 * 9


def test_convolutions_along_one_axis(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[2, 0]), node("ConvTranspose", ["c", "v"], ["y"], strides=[3])]
    conv, up = read(tmp_path, nodes, {"x": (1, 2, 9)}, {"w": (3, 2, 3), "v": (3, 2, 4)}).layers
    assert conv == Layer("c", (1, 2, 1, 9), (3, 2, 1, 3), padding=((0, 0), (2, 0)))
    assert up == Layer("y", (1, 3, 1, 9), (3, 2, 1, 4), stride=(1, 3), transposed=True)


@pytest.mark.parametrize(
    ("nodes", "x", "weights", "expected"),
    [
        ([node("MatMul", ["x", "w"], ["y"])], (2, 7, 6), {"w": (6, 5)}, ((2, 6, 1, 7), (5, 6, 1, 1), 1, False)),
        ([node("MatMul", ["w", "x"], ["y"])], (2, 6, 7), {"w": (5, 6)}, ((2, 6, 1, 7), (5, 6, 1, 1), 1, False)),
        ([node("MatMul", ["x", "w"], ["y"])], (2, 7, 6), {"w": (6,)}, ((2, 6, 1, 7), (1, 6, 1, 1), 1, False)),
        ([node("MatMul", ["w", "x"], ["y"])], (2, 6, 7), {"w": (6,)}, ((2, 6, 1, 7), (1, 6, 1, 1), 1, False)),
        ([node("MatMul", ["x", "w"], ["y"])], (3, 4, 7, 6), {"w": (4, 6, 5)}, ((3, 24, 1, 7), (20, 6, 1, 1), 4, False)),
        ([node("Gemm", ["x", "w"], ["y"], transA=1)], (6, 3), {"w": (6, 5)}, ((1, 6, 1, 3), (5, 6, 1, 1), 1, False)),
        (
            [node("Gemm", ["w", "x"], ["y"], transA=1, transB=1)],
            (3, 6),
            {"w": (6, 5)},
            ((3, 6, 1, 1), (5, 6, 1, 1), 1, False),
        ),
        (
            [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])],
            (2, 6),
            {"w": (6, 5), "b": (5,)},
            ((2, 6, 1, 1), (5, 6, 1, 1), 1, True),
        ),
        (
            [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "x"], ["y"])],
            (2, 6),
            {"w": (6, 6)},
            ((2, 6, 1, 1), (6, 6, 1, 1), 1, False),
        ),
        (
            [node("Transpose", ["w"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])],
            (2, 6),
            {"w": (5, 6)},
            ((2, 6, 1, 1), (5, 6, 1, 1), 1, False),
        ),
    ],
)
def test_products_with_a_constant_matrix(tmp_path: Path, nodes: Any, x: Any, weights: Any, expected: Any) -> None:
    (layer,) = read(tmp_path, nodes, {"x": x}, weights).layers
    assert (layer.x_shape, layer.weight_shape, layer.groups, layer.bias) == expected


def test_quantised_operators(tmp_path: Path) -> None:
    small = {"s": np.float32(1), "z": np.uint8(0)}
    weights = {"w": np.ones((4, 3, 3, 3), np.uint8), "b": np.ones(4, np.int32), "m": np.ones((4 * 36, 5), np.uint8)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z", "b"], ["c"]),
        node("Reshape", ["c", "two"], ["f"]),
        node("QLinearMatMul", ["f", "s", "z", "m", "s", "z", "s", "z"], ["l"]),
        node("MatMulInteger", ["f", "m"], ["i"]),
        node("ConvInteger", ["q", "w"], ["j"]),
        node("Cast", ["j"], ["y"], to=FLOAT),
    ]
    arrays = {name: np.asarray(each) for name, each in (small | weights).items()} | {"two": np.array([1, 144])}
    net = read(tmp_path, nodes, {"x": (1, 3, 8, 8)}, arrays)
    # The two products have the same matrix, and so do the two convolutions, of which one has a bias.
    assert [(layer.name, layer.times, layer.bias) for layer in net.layers] == [
        ("c", 1, True),
        ("l", 2, False),
        ("j", 1, False),
    ]
    assert net.parameters == 4 * 27 + 4 + 144 * 5


@pytest.mark.parametrize(
    ("attributes", "inputs", "padding"),
    [
        ({}, ["pads"], ((1, 3), (2, 4))),
        ({}, ["pads", "zero"], ((1, 3), (2, 4))),
        ({}, ["pads", "one"], ((0, 0), (0, 0))),
        ({"mode": "reflect"}, ["pads"], ((0, 0), (0, 0))),
        ({}, ["channels"], ((0, 0), (0, 0))),
        ({}, ["negative"], ((0, 0), (0, 0))),
    ],
)
def test_zeros_around_an_image_are_padding(tmp_path: Path, attributes: Any, inputs: list[str], padding: Any) -> None:
    weights: dict[str, Any] = {
        "w": (3, 2, 3, 3),
        "v": (3, 3, 3, 3),
        "zero": np.zeros(1, np.float32),
        "one": np.ones(1, np.float32),
    }
    weights |= {
        "pads": np.array([0, 0, 1, 2, 0, 0, 3, 4]),
        "channels": np.array([0, 1, 1, 2, 0, 0, 3, 4]),
        "negative": np.array([0, 0, 1, 2, 0, 0, -1, 4]),
    }
    weights = {
        name: each for name, each in weights.items() if name in {"w" if inputs != ["channels"] else "v", *inputs}
    }
    nodes = [
        node("Pad", ["x", *inputs], ["p"], **attributes),
        node("Conv", ["p", "w" if "w" in weights else "v"], ["y"]),
    ]
    (layer,) = read(tmp_path, nodes, {"x": (1, 2, 8, 8)}, weights).layers
    assert layer.padding == padding


def test_zeros_along_one_axis_and_around_vectors(tmp_path: Path) -> None:
    nodes = [node("Pad", ["x", "pads"], ["p"]), node("Conv", ["p", "w"], ["y"])]
    weights = {"pads": np.array([0, 0, 2, 0, 0, 1]), "w": (3, 2, 3)}
    assert read(tmp_path, nodes, {"x": (1, 2, 8)}, weights).layers[0].padding == ((0, 0), (2, 1))
    nodes = [node("Pad", ["x", "pads"], ["p"]), node("MatMul", ["p", "w"], ["y"])]
    assert read(tmp_path, nodes, {"x": (1, 2)}, {"pads": np.array([0, 0, 0, 1]), "w": (3, 4)}).layers[0].x_shape[1] == 3


@pytest.mark.parametrize(
    ("nodes", "weights", "missed"),
    [
        ([node("Conv", ["x", "v"], ["z"])], {}, "convolution with weights that depend on the input in z"),
        ([node("MatMul", ["x", "v"], ["z"], "both")], {}, "product of two matrices that depend on the input in both"),
        ([node("MatMul", ["w", "w"], ["z"])], {}, "product of constants alone in z"),
        ([node("Einsum", ["x", "v"], ["z"], equation="nchw,nchw->n")], {}, "Einsum in z"),
        ([node("Fused", ["x"], ["z"], domain="com.stranger")], {}, "com.stranger.Fused in z"),
        ([node("Einsum", ["x"], [f"z{i}"], equation="nchw->n") for i in range(3)], {}, "Einsum in z0 and 2 more"),
        (
            [node("Unsqueeze", ["x", "two"], ["u"]), node("Conv", ["u", "w3"], ["z"])],
            {"two": np.array([2]), "w3": (4, 4, 1, 1, 1)},
            "3-D convolution in z",
        ),
        ([node("Conv", ["x", "w1"], ["z"], pads=[-1, 0, 0, 0])], {"w1": (4, 4, 1, 1)}, "padding at the top is -1"),
    ],
)
def test_what_is_not_counted_is_named(tmp_path: Path, nodes: list[Any], weights: Any, missed: str) -> None:
    nodes = [node("Relu", ["x"], ["v"]), *nodes, node("Conv", ["x", "w"], ["y"])]
    net = read(tmp_path, nodes, {"x": (4, 4, 4, 4)}, {"w": (4, 4, 1, 1)} | weights)
    assert [layer.name for layer in net.layers] == ["y"]
    assert len(net.uncounted) == 1
    assert net.uncounted[0].startswith(missed)


def test_functions_of_the_file_are_looked_into(tmp_path: Path) -> None:
    opset = [onnx.helper.make_opsetid("", 17)]
    block = onnx.helper.make_function("own", "Block", ["a", "b"], ["c"], [node("Conv", ["a", "b"], ["c"])], opset)
    nodes = [node("Block", ["x", "w"], ["y"], domain="own")]
    net = from_onnx(saved(tmp_path, nodes, {"x": (1, 3, 8, 8)}, {"w": (4, 3, 3, 3)}, functions=[block]))
    assert [layer.weight_shape for layer in net.layers] == [(4, 3, 3, 3)]
    assert net.uncounted == ()


def test_constants_of_nodes_are_weights_too(tmp_path: Path) -> None:
    value = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    nodes = [node("Constant", [], ["w"], value=value), node("Conv", ["x", "w"], ["y"])]
    assert read(tmp_path, nodes, {"x": (1, 3, 8, 8)}).parameters == 4 * 27


def test_pooling_behind_which_nothing_is_known_has_no_field(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
        node("MaxPool", ["t"], ["p"], kernel_shape=[2, 2]),
        node("Conv", ["p", "w"], ["y"]),
    ]
    assert read(tmp_path, nodes, {"x": (1, 3, 8, 8)}, {"w": (4, 3, 3, 3)}).fields == (None,)


def test_a_last_window_may_go_on_behind_the_image(tmp_path: Path) -> None:
    nodes = [
        node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Conv", ["p", "w"], ["y"]),
    ]
    (field,) = read(tmp_path, nodes, {"x": (1, 3, 8, 7)}, {"w": (4, 3, 1, 1)}).fields
    assert field is not None
    assert field.padding == ((0, 1), (0, 0))


CONV = [node("Conv", ["x", "w"], ["y"], "conv")]
WEIGHT = {"w": (4, 3, 3, 3)}


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), {"x": (2, 3, 8, 8)}])
def test_open_shapes_are_given(tmp_path: Path, shape: Any) -> None:
    path = saved(tmp_path, CONV, {"x": ("N", 3, "H", "W")}, WEIGHT)
    assert from_onnx(path, input_shape=shape).layers[0].x_shape == (2, 3, 8, 8)


@pytest.mark.parametrize("shape", [None, (1, 3, 8), (1, 3, 8, "W"), 8, {"z": (1, 3, 8, 8)}])
def test_open_shapes_are_asked_for(tmp_path: Path, shape: Any) -> None:
    path = saved(tmp_path, CONV, {"x": ("N", 3, "H", "W")}, WEIGHT)
    with pytest.raises(
        ValueError,
        match=r"^from_onnx: input 'x' has the shape \('N', 3, 'H', 'W'\) in the file, .* mean input_shape=\(1, 3, 2",
    ):
        from_onnx(path, input_shape=shape)


def test_shapes_that_the_file_computes_are_computed(tmp_path: Path) -> None:
    # Half of the channels, and twice the height: as a file has it that was traced with a batch of any size.
    weights: dict[str, Any] = {"w": (4, 2, 3, 3), "zero": np.array([0]), "one": np.array([1])}
    two = onnx.numpy_helper.from_array(np.array([2]), "two")
    large = onnx.numpy_helper.from_array(np.ones((20, 4, 1, 1), np.float32), "v")
    nodes = [
        node("Constant", [], ["two"], value=two),
        node("Constant", [], ["v"], value=large),
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["c"]),
        node("Div", ["c", "two"], ["half"]),
        node("Slice", ["x", "zero", "half", "one"], ["h"]),
        node("Conv", ["h", "w"], ["a"]),
        node("Shape", ["a"], ["first"], end=2),
        node("Shape", ["a"], ["last"], start=2),
        node("Mul", ["last", "two"], ["twice"]),
        node("Concat", ["first", "twice"], ["sizes"], axis=0),
        node("Resize", ["a", "", "", "sizes"], ["r"]),
        node("Conv", ["r", "v"], ["y"]),
    ]
    net = read(tmp_path, nodes, {"x": ("N", 4, 8, 9)}, weights)
    assert [layer.x_shape for layer in net.layers] == [(1, 2, 8, 9), (1, 4, 12, 14)]


def test_channels_may_be_shuffled_and_images_resized(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "split"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["b", "joined"], ["c"]),
        node("Conv", ["c", "w"], ["d"]),
        node("Resize", ["d", "", "scales"], ["e"]),
        node("Conv", ["e", "v"], ["y"]),
    ]
    weights: dict[str, Any] = {"w": (4, 4, 3, 3), "v": (4, 4, 5, 5), "scales": np.array([1, 1, 2, 2], np.float32)}
    weights |= {"split": np.array([1, 2, 2, 8, 8]), "joined": np.array([1, 4, 8, 8])}
    net = read(tmp_path, nodes, {"x": (1, 4, 8, 8)}, weights)
    assert [field and field.size for field in net.fields] == [(3, 3), None]
    assert (net.layers[1].x_shape, net.trainable_parameters) == ((1, 4, 12, 12), 4 * 4 * (9 + 25))


def test_large_constants_are_not_computed_with(tmp_path: Path) -> None:
    weights: dict[str, Any] = {"many": np.array([7, 20]), "w": (7, 3), "v": (3, 4)}
    nodes = [
        node("ConstantOfShape", ["many"], ["zeros"]),
        node("NonZero", ["zeros"], ["n"]),
        node("MatMul", ["x", "w"], ["m"]),
        node("MatMul", ["m", "v"], ["y"]),
    ]
    net = read(tmp_path, nodes, {"x": (5, 7)}, weights)
    assert [layer.weight_shape[:2] for layer in net.layers] == [(3, 7), (4, 3)]


def test_shapes_that_nobody_knows_are_named(tmp_path: Path) -> None:
    nodes = [
        node("NonZero", ["x"], ["n"]),
        node("Cast", ["n"], ["f"], to=FLOAT),
        node("MatMul", ["f", "w"], ["y"], "product"),
    ]
    path = saved(tmp_path, nodes, {"x": (5,)}, {"w": (6, 7)})
    with pytest.raises(
        ValueError, match=r"^from_onnx: .* of the shape of '.*', but MatMul 'product' cannot be counted without it"
    ):
        from_onnx(path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a graph")
    with pytest.raises(ValueError, match=r"^from_onnx: .*text\.onnx is no ONNX file, .*\. Did you mean another file\?"):
        from_onnx(path)
    path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"^from_onnx: text has no convolution and no product with a constant matrix\. Did"
    ):
        from_onnx(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.onnx"):
        from_onnx(tmp_path / "missing.onnx")


def test_kernels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path, CONV, {"x": (1, 3, 8, 8)}, WEIGHT)
    with pytest.raises(
        ValueError, match=r"^from_onnx: .* that can be counted, only the padded height is .* but the kernel spans"
    ):
        from_onnx(path, input_shape=(1, 3, 2, 2))


def test_what_onnx_says_of_shapes_is_told(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        [node("Add", ["x", "b"], ["a"]), node("MatMul", ["a", "w"], ["y"])],
        {"x": (2, 5)},
        {"b": (4,), "w": (5, 3)},
    )
    with pytest.raises(
        ValueError, match=r"^from_onnx: nothing is known of the shape of 'y', but MatMul 'y' .* ONNX says: .*Add"
    ):
        from_onnx(path)
