"""PyTorch modules as networks, held to PyTorch's own count of their operations, module by module."""

import doctest
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from npconv.models.model import Model
from npconv.models.torch_module import from_torch
from npconv.networks import Layer
from npconv.receptive import layer_fields

torch: Any = pytest.importorskip("torch")
flop_counter: Any = pytest.importorskip("torch.utils.flop_counter")
MODULES: dict[str, Any] = pytest.importorskip("torch_modules").MODULES

# What is in no layer, and why.
UNCOUNTED = {
    "attention": {"aten._scaled_dot_product_flash_attention_for_cpu", "aten.mkldnn_rnn_layer", "3-D convolution"},
    "dynamic": {"convolution with weights that depend on the input"},
    "grouped": {"product of constants alone"},
    "orthogonal": {"product of constants alone"},
    "outgrown": {"output_padding is (2, 0), but must be below the stride. Did you mean (0, 0)?"},
}
each_module = pytest.mark.parametrize("name", MODULES)
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")


def read(name: str) -> Model:
    """Return a module as a network."""
    module, shapes = MODULES[name]
    return from_torch(module, *shapes)


def products_of_pytorch(name: str) -> dict[str, int]:
    """Return what PyTorch counts in each of its modules: two operations for each product."""
    module, shapes = MODULES[name]
    torch.backends.mha.set_fastpath_enabled(False)
    with flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(*(torch.zeros(shape) for shape in shapes))
    torch.backends.mha.set_fastpath_enabled(True)
    top = type(module).__name__
    return {
        place.removeprefix(top).removeprefix("."): sum(flops.values()) // 2
        for place, flops in counter.get_flop_counts().items()
    }


@each_module
def test_products_are_those_that_pytorch_counts(name: str) -> None:
    net, expected = read(name), products_of_pytorch(name)
    found: Counter[str] = Counter()
    for layer in net.layers:
        found[layer.name.partition(" (")[0]] += layer.counts.dense_mul
    if not net.uncounted:
        assert net.products == expected["Global"]
    # A layer outside of all modules but the outermost has the name of its operator.
    missed = [text.rpartition(" in ")[2].partition(" and ")[0] for text in net.uncounted]
    whole = [place for place in found if place in expected and not any(m.startswith(place) for m in missed)]
    assert whole or name in {"functional", "grouped"}
    assert {place: found[place] for place in whole} == {place: expected[place] for place in whole}


@each_module
def test_what_is_not_counted_is_named(name: str) -> None:
    assert {text.rpartition(" in ")[0] for text in read(name).uncounted} == UNCOUNTED.get(name, set())


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"orthogonal"}))
def test_parameters_are_those_of_the_module(name: str) -> None:
    net = read(name)
    total = sum(parameter.numel() for parameter in MODULES[name].module.parameters())
    assert net.trainable_parameters == total
    assert 0 < net.parameters <= total


def test_layers_have_names_shapes_and_options() -> None:
    (conv, up, again) = read("one axis").layers
    assert conv == Layer("0", (2, 4, 1, 20), (6, 2, 1, 3), (1, 2), ((0, 0), (1, 1)), groups=2, bias=True)
    assert up == Layer("1", (2, 6, 1, 10), (6, 4, 1, 4), (1, 2), ((0, 0), (1, 1)), bias=True, transposed=True)
    # The zeros of the module before it are padding.
    assert again == Layer("3", (2, 4, 1, 20), (4, 4, 1, 3), (1, 1), ((0, 0), (2, 0)), (1, 2), bias=True)
    assert again.y_shape == (2, 4, 1, 18)
    assert [layer.name for layer in read("functional").layers] == ["convolution", "mm", "mm (2)"]


def test_zeros_that_a_function_puts_around_an_image_are_padding() -> None:
    even, after, mirrored = read("padded").layers
    assert (even.x_shape, even.padding) == ((1, 3, 11, 9), ((1, 2), (1, 2)))
    assert (after.x_shape, after.padding) == ((1, 4, 11, 9), ((2, 3), (1, 2)))
    assert mirrored.padding == ((0, 0), (0, 0))


def test_shared_modules_run_more_than_once() -> None:
    net = read("shared")
    assert [(layer.name, layer.times, layer.x_shape[2:]) for layer in net.layers] == [
        ("twice", 2, (12, 10)),
        ("head", 1, (12, 10)),
        ("head (2)", 1, (6, 5)),
    ]
    assert net.shared_parameters == net.layers[1].parameters == net.layers[2].parameters


def test_vectors_are_pixels_of_one_image() -> None:
    first, second = read("vectors").layers
    assert (first.x_shape, first.weight_shape, first.bias, first.fully_connected) == (
        (2, 6, 1, 7),
        (5, 6, 1, 1),
        True,
        False,
    )
    assert (second.bias, second.y_shape) == (False, (2, 4, 1, 7))
    assert read("depthwise").layers[-1].fully_connected
    assert read("grouped").layers[0] == Layer("bmm", (3, 20, 1, 1), (28, 5, 1, 1), groups=4, fully_connected=True)


def seen_by(module: Any, shape: tuple[int, ...], oh: int, ow: int) -> tuple[range, range]:
    """Return the rows and columns from the first pixel with a derivative to the last."""
    x = torch.rand(shape, requires_grad=True)
    y = module(x)
    y[0, :, oh, ow].sum().backward()
    rows, columns = np.nonzero(x.grad.abs().sum((0, 1)).numpy())
    return range(rows.min(), rows.max() + 1), range(columns.min(), columns.max() + 1)


def test_fields_of_branches_are_those_of_derivatives() -> None:
    module = torch.nn.Sequential(MODULES["residual"].module, torch.nn.Conv2d(4, 2, 2)).eval()
    module[0].pool = torch.nn.AvgPool2d(3, 2, 1)
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1)
    shape = (1, 3, 97, 95)
    field = layer_fields(from_torch(module, shape))[-1]
    assert field is not None
    for place in ((8, 8), (9, 11)):
        assert field.region(*place) == seen_by(module, shape, *place)


def test_a_module_is_left_as_it_was() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout())
    module.train()
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    from_torch(module, torch.ones(2, 3, 8, 8))
    assert [part.training for part in module.modules()] == [True, True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in module.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_modules_without_storage_are_read_too() -> None:
    with torch.device("meta"):
        module = torch.nn.Conv2d(1024, 4096, 3)
    assert from_torch(module, (1, 1024, 512, 512)).products == 510 * 510 * 4096 * 1024 * 9


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_are_read_without_the_names_of_their_parts() -> None:
    parts = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3))
    net = from_torch(torch.jit.script(parts), (1, 3, 16, 16))
    assert net.products == 14 * 14 * 4 * 27 + 12 * 12 * 4 * 36
    assert [layer.name for layer in net.layers] == ["convolution", "convolution (2)"]


def test_what_is_refused() -> None:
    module = torch.nn.Conv2d(3, 4, 3)
    with pytest.raises(
        TypeError, match=r"^from_torch: module is a type, but must be a torch\.nn\.Module\. Did you mean"
    ):
        from_torch(torch.nn.Conv2d, (1, 3, 8, 8))
    with pytest.raises(
        ValueError, match=r"^from_torch: the forward pass of Conv2d failed: RuntimeError: .* other inputs\?"
    ):
        from_torch(module, (1, 4, 8, 8))
    with pytest.raises(
        ValueError, match=r"^from_torch: ReLU has no convolution and no product with a constant matrix\. Did"
    ):
        from_torch(torch.nn.ReLU(), (1, 4, 8, 8))
    with pytest.raises(ValueError, match=r"that can be counted, only 3-D convolution in convolution\. Did you mean"):
        from_torch(torch.nn.Conv3d(1, 2, 3), (1, 1, 8, 8, 8))


def test_the_example_of_the_docstring_prints_what_it_shows() -> None:
    text = str(from_torch.__doc__).replace("# doctest: +SKIP", "")
    assert doctest.DocTestRunner().run(doctest.DocTestParser().get_doctest(text, {}, "from_torch", None, 0)).failed == 0


def test_import_of_the_reader_leaves_pytorch_alone() -> None:
    program = "import sys, npconv; npconv.networks.from_torch; npconv.networks.from_onnx; print({'torch', 'onnx'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
