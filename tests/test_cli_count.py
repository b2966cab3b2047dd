"""`npconv count`: a network layer by layer, for people and for programs."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import npconv as nc
from command_line import piped, pretend_terminal, refused
from npconv import cli, layer_table
from npconv.networks import Layer, Network, Published

ONE = Layer("one", (2, 4, 5, 5), (4, 4, 1, 1))


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run the command and return what it prints, read as JSON."""
    assert cli.main(["count", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_a_layer_worked_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    layers = as_json(capsys, "mobilenet-v1")["layers"]
    assert len(layers) == 28
    # 32 filters of 3x3x3 over 225x225 padded pixels in steps of 2; padding "same" is one row below and a column at the right.
    first = layers[0]
    assert (first["x_shape"], first["y_shape"]) == ([1, 3, 224, 224], [1, 32, 112, 112])
    assert (first["padding"], first["stride"], first["groups"], first["parameters"]) == (
        [[0, 1], [0, 1]],
        [2, 2],
        1,
        864,
    )
    # Of 3*112 pairs (output, tap) along an axis one meets the padding, the last tap of the last output.
    assert first["mul"] == 32 * 3 * 335 * 335
    assert first["mul"] + first["padding_mul"] == 32 * 3 * 336 * 336
    assert first["add"] == 32 * (3 * 335 * 335 - 112 * 112)
    assert first["bytes"] == 4 * (3 * 224 * 224 + 864 + 32 * 112 * 112)
    operations = sum(first[name] for name in ("mul", "add", "padding_mul", "padding_add"))
    assert first["intensity"] == operations / first["bytes"]
    assert [layer["receptive_field"] for layer in layers[:4]] == [[3, 3], [7, 7], [7, 7], [11, 11]]
    assert first["method"] is first["idle_mul"] is None


def test_totals_are_those_of_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    told, net = as_json(capsys, "lite-hrnet-18"), nc.networks.network("lite-hrnet-18")
    totals = told["totals"]
    for name in ("mul", "add", "padding_mul", "padding_add"):
        assert totals[name] == sum(layer[name] for layer in told["layers"]) == getattr(net.counts, name)
    assert totals["products"] == net.products
    assert totals["trainable_parameters"] == net.trainable_parameters
    assert sum(layer["parameters"] for layer in told["layers"]) == totals["parameters"]
    # Layers that run twice move their elements twice.
    twice = [layer for layer in told["layers"] if layer["times"] == 2]
    assert twice
    for layer in twice:
        assert layer["bytes"] > 2 * 4 * (np.prod(layer["x_shape"]) + np.prod(layer["y_shape"]))
    # Branches side by side are no chain.
    assert told["layers"][-1]["receptive_field"] is None
    assert {figure["figure"] for figure in told["published"]} == {figure.figure for figure in net.published}


def test_text_shows_layers_totals_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["count", "mobilenet-v1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mobilenet-v1: 28 layers, for 1 image of 3x224x224"
    heads = "layer input weight groups stride output parameters products padding additions bytes op/byte field"
    assert lines[1].split() == heads.split()
    depthwise = "conv2.depthwise 1x32x112x112 32x1x3x3 32 1 1x32x112x112 288 3,612,672 1.2% 3,211,264 3,212,416 2.1 7"
    assert lines[3].split() == depthwise.split()
    assert lines[4].split()[8] == "0%"
    assert lines[30].split()[:4] == ["total", "4,210,088", "568,740,352", "0.2%"]
    assert lines[31:33] == [
        "without fully connected layers: 567,716,352 products",
        "with normalisations: 4,231,976 parameters",
    ]
    assert "569 M     568,740,352  products              arXiv:1704.04861, Table 6" in lines


def test_nothing_is_said_where_there_is_nothing_to_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["count", "lite-hrnet-18"])
    assert "runs" in capsys.readouterr().out.splitlines()[1].split()
    net = Network("own", (ONE,))
    monkeypatch.setitem(nc.networks.NETWORKS, "own", lambda: net)
    cli.main(["count", "own"])
    heading, heads, *lines = capsys.readouterr().out.splitlines()
    assert heading == "own: 1 layer, for 2 images of 4x5x5"
    assert "runs" not in heads.split()
    # The layer and the total.
    assert [line.split()[0] for line in lines] == ["one", "total"]


def test_a_plan_says_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    layers = as_json(capsys, "mobilenet-v1", "--plan")["layers"]
    for told in layers[:4]:
        weight = np.zeros(told["weight_shape"], np.float32)
        options = {name: told[name] for name in ("stride", "padding", "dilation", "groups")}
        plan = nc.plan_conv2d(told["x_shape"], weight, **options)
        assert told["method"] == plan.method
        assert (told["idle_mul"], told["idle_add"]) == (plan.counts.idle_mul, plan.counts.idle_add)


def test_the_text_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["count", "mobilenet-v1", "--plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[-2:] == ["method", "utilised"]
    assert lines[2].split()[-1].endswith("%")
    assert lines[30].split()[-1].endswith("%")


def test_transposed_layers_have_no_plan() -> None:
    up = Layer("up", (1, 4, 5, 5), (4, 2, 2, 2), stride=(2, 2), transposed=True, times=3)
    net = Network("own", (up, replace(ONE, x_shape=(1, 4, 7, 7))))
    line, other = layer_table.lines(net, planned=True)
    assert line.method == ""
    assert line.counts == up.counts
    assert line.field is None
    assert layer_table.rows(Network("up", (up,)), [line])[0][-1] == "op/byte"
    # The total is that of layers with a plan.
    *_, total = layer_table.rows(net, [line, other])
    assert total[-1] == f"{other.counts.utilisation:.1%}"


def test_csv_has_a_line_for_each_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["count", "resnext-50-32x4d", "--csv"]) == 0
    lines = [*csv.DictReader(StringIO(capsys.readouterr().out))]
    net = nc.networks.network("resnext-50-32x4d")
    assert [line["name"] for line in lines] == [layer.name for layer in net.layers]
    assert sum(int(line["mul"]) + int(line["padding_mul"]) for line in lines) == net.products
    assert (lines[0]["padding"], lines[0]["bias"], lines[0]["receptive_field"]) == ("3x3x3x3", "0", "7x7")
    assert lines[0]["method"] == ""


def test_json_and_csv_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--csv: not allowed with argument --json" in refused(capsys, "count", "mobilenet-v1", "--json", "--csv")


def test_a_pipe_gets_plain_lines() -> None:
    result = piped("count", "mobilenet-v2", FORCE_COLOR="1", COLUMNS="40", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    # A pipe is as wide as it has to be.
    assert "input" in result.stdout.splitlines()[1]


def test_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_terminal(monkeypatch)
    assert cli.main(["count", "mobilenet-v1"]) == 0
    text = capsys.readouterr().out
    assert "left out, as this terminal is narrow: input, bytes, stride" in text
    assert "568,740,352" in text


def test_counting_waits_for_no_compiler() -> None:
    program = (
        "import sys; from npconv.cli import main; code = main(sys.argv[1:]);"
        "print(sorted({'numba', 'llvmlite', 'numpy', 'rich', 'matplotlib', 'onnx', 'torch'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "count", "mobilenet-v1"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mobilnet-v1", "npconv: network: there is no network 'mobilnet-v1'. Did you mean 'mobilenet-v1'"),
        ("nowhere.onnx", "npconv: there is no file nowhere.onnx. Did you mean another path?"),
        ("made_up:factory", "npconv: load: there is no module 'made_up'"),
        ("models_of_ours:empty", "npconv: count: models_of_ours:empty has no layers. Did you mean another network?"),
        ("models_of_ours:network", "npconv: load: models_of_ours is there, but 'network' is not in it. Did you mean"),
        ("models_of_ours:number", "npconv: load: it returned int, but must return a Network or a PyTorch module"),
    ],
)
def test_what_cannot_be_counted(capsys: pytest.CaptureFixture[str], ours: Path, target: str, message: str) -> None:
    assert refused(capsys, "count", target).startswith(message)


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of users' models the working directory."""
    (tmp_path / "models_of_ours.py").write_text(
        "from npconv.networks import Layer, Model, Network\n"
        "ONE = Layer('one', (1, 4, 5, 5), (4, 4, 1, 1))\n"
        "def known():\n    return Network('own', (ONE,))\n"
        "MISSED = ('a product of two activations',)\n"
        "def read():\n"
        "    return Model('read', (ONE, ONE), 3, shared_parameters=16, fields=(None, None), uncounted=MISSED)\n"
        "def empty():\n    return Network('empty', ())\n"
        "def number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "models_of_ours", raising=False)
    return tmp_path


def test_a_function_makes_the_network(capsys: pytest.CaptureFixture[str], ours: Path) -> None:
    told = as_json(capsys, "models_of_ours:known")
    assert (told["network"], told["totals"]["products"], told["uncounted"]) == ("own", 16 * 25, [])
    assert ours.is_dir()


def test_what_is_in_no_layer_is_said(capsys: pytest.CaptureFixture[str], ours: Path) -> None:
    assert as_json(capsys, "models_of_ours:read")["uncounted"] == ["a product of two activations"]
    cli.main(["count", "models_of_ours:read"])
    *_, total, everything, missed = capsys.readouterr().out.splitlines()
    # The second layer has the weights of the first.
    assert total.split()[:2] == ["total", "16"]
    assert (everything, missed) == ("with everything else: 19 parameters", "not counted: a product of two activations")
    assert ours.is_dir()


def test_an_onnx_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", float32, (4, 1, 3, 3), [0.0] * 36)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="dw", group=2, pads=[1, 1, 1, 1])
    shapes: dict[str, list[str | int | None] | None] = {"x": ["N", 2, "H", 6], "y": None}
    ends = [helper.make_tensor_value_info(name, float32, shape) for name, shape in shapes.items()]
    model = helper.make_model(helper.make_graph([node], "small", ends[:1], ends[1:], [weight]))
    path = str(tmp_path / "small.onnx")
    onnx.save(model, path)
    message = refused(capsys, "count", path)
    assert "input 'x' has the shape" in message
    assert "input_shape=" in message
    (layer,) = as_json(capsys, path, "--input-shape", "1x2x5x6")["layers"]
    assert (layer["x_shape"], layer["weight_shape"], layer["groups"]) == ([1, 2, 5, 6], [4, 1, 3, 3], 2)
    assert layer["mul"] == 4 * 13 * 16
    assert layer["receptive_field"] == [3, 3]
    (tmp_path / "broken.onnx").write_bytes(b"\xff\xfe no model")
    assert "broken.onnx is no ONNX file" in refused(capsys, "count", str(tmp_path / "broken.onnx"))


def test_figures_that_are_no_plain_total_are_explained() -> None:
    net = nc.networks.network("lite-hrnet-18")
    told = {row[0]: row[1:3] for row in layer_table.published(net)}
    number, words = told["205.2 Mi"]
    assert number == "205.196 Mi"
    assert words.startswith("products, each layer once")
    wrong = Published("3 M", "parameters", "nowhere")
    number, words = layer_table.explained(net, wrong)
    assert words.startswith("NOT reproduced, nearest is ")
