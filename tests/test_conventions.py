"""Conventions: rules against what the tools printed, units against counts, and the formulas of articles."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import npconv as nc
from cases import Case
from npconv.conventions import CONVENTIONS, Convention, Facts
from npconv.conventions.article import one_filter, one_filter_corrected
from npconv.networks import Layer, Network, network
from sample_facts import KINDS, sample
from strategies import cases, one_in
from test_transposed import transposed_layers
from tool_matrix import COLUMNS, LAYERS, cells, main

# The layer of the page on counting rules.
LAYER = Layer("conv", (1, 64, 14, 14), (128, 16, 3, 3), padding=((1, 1), (1, 1)), groups=4, bias=True)

# What each tool printed for layers of `sample_facts`, by `python tests/foreign_tools.py TOOL`; None where it stopped.
PRINTED_BY = (
    *("flop-counter-mode", "torch-profiler", "fvcore", "thop", "ptflops", "ptflops-aten"),
    *("torchinfo", "torchprofile", "calflops", "calflops-macs", "onnx-tool"),
)
PRINTED: dict[str, tuple[int | None, ...]] = {
    "ordinary 1": (19440, 19440, 9720, 9720, 3330, 9990, 9990, 9720, 19710, 9720, 9990),
    "of one axis 1": (1440, 0, 720, 720, 320, 960, 960, 720, 1680, 720, 960),
    "of three axes 2": (15360, 0, 7680, 7680, 4000, 8000, 8000, 7680, 15680, 7680, 8000),
    "transposed 5": (28800, 0, 14400, 64800, 9000, 18000, 68400, 324000, 16, 0, 133200),
    "transposed, of three axes 0": (4608, 0, 2304, 69120, 1488, 4464, 71280, 138240, 0, 0, 19440),
    "transposed, depthwise 0": (960, 0, 480, 1200, 440, 880, 1600, 1200, 16, 0, 1600),
    "same 1": (69120, 0, 0, 34560, 11520, 34560, 34560, 0, 69120, 34560, 34560),
    "valid 1": (7776, 0, 0, 3888, 1332, 3996, 3996, 0, 7884, 3888, 3996),
    "circular same 0": (38880, 38880, 19440, 19440, 6480, 19440, 19440, 19440, 38880, 19440, 19440),
    "without a batch 0": (2880, 0, 1440, 5760, 308, 1560, 1872, 1440, None, None, 1560),
    "square without a batch": (17280, 0, 8640, 8640, 1120, 8880, 6660, 8640, 17520, 8640, 8880),
    "transposed without a batch 1": (432, 0, 216, 216, 108, 216, 432, 1296, 216, 108, 432),
    "function 1": (3240, 3240, 1620, 0, 0, 1710, 0, 1620, 3330, 1620, 1710),
    "function, transposed 1": (7680, 0, 3840, 0, 0, 5460, 0, 25920, 7728, 3840, 27540),
    "subclass by another name 0": (1152, 1152, 576, 0, 0, 600, 50, 576, 1176, 576, 600),
    "subclass by a like name 1": (4608, 4608, 2304, 0, 0, 2400, 2400, 2304, 4704, 2304, 2400),
    "parametrized 0": (2304, 2304, 1152, 0, 0, 1152, 0, 1152, 2304, 1152, 1152),
    "run three times 0": (4608, 4608, 2304, 2304, 2496, 2496, 2496, 2304, 4800, 2304, 2496),
    "held by two parents 1": (4800, 4800, 2400, 9600, 5200, 2600, 2600, 2400, 10000, 4800, 2600),
    "fully connected 3": (324, 324, 162, 162, 60, 180, 180, 162, 324, 162, 180),
}


def layer_of(case: Case, bias: bool) -> Layer:
    """Return a case as a layer."""
    g = case.geometry
    return Layer("layer", g.x_shape, g.weight_shape, g.stride, g.padding, g.dilation, g.groups, bias)


ordinary_layers = st.builds(layer_of, cases(), st.booleans())


@pytest.mark.parametrize(("name", "printed"), PRINTED.items(), ids=PRINTED)
def test_rules_say_what_the_tools_printed(name: str, printed: tuple[int | None, ...]) -> None:
    f = sample()[name]
    assert {tool: CONVENTIONS[tool].printed(f) for tool in PRINTED_BY} == dict(zip(PRINTED_BY, printed, strict=True))


def test_samples_are_of_every_kind_and_always_the_same() -> None:
    layers = sample()
    assert len(layers) == sum(number for number, _ in KINDS.values()) + 5
    assert layers == sample() != sample(1)
    # Whatever a rule asks about occurs with both answers.
    for answers in (
        {f.batched for f in layers.values()},
        {f.bias for f in layers.values()},
        {f.filters == f.C for f in layers.values() if f.transposed and f.groups > 1},
        {any(p0 != p1 for p0, p1 in f.padding) for f in layers.values() if f.padding_word == "same"},
        {any(f.output_padding) for f in layers.values() if f.transposed},
    ):
        assert answers == {False, True}


@one_in(2)
@given(st.one_of(ordinary_layers, transposed_layers()))
def test_facts_count_as_layers_do(layer: Layer) -> None:
    f = Facts.of_layer(layer)
    assert f.y_shape == layer.y_shape
    assert (f.dense, f.useful, f.dense_add) == (layer.counts.dense_mul, layer.counts.mul, layer.counts.dense_add)
    assert f.biases == (layer.bias * f.outputs)


@one_in(2)
@given(ordinary_layers)
def test_ordinary_layers_count_in_the_unit_of_each_convention(layer: Layer) -> None:
    f, counts = Facts.of_layer(layer), layer.counts
    for name, convention in CONVENTIONS.items():
        number = nc.convert(layer, name)
        if convention.unit.of_count is not None:
            assert number == convention.unit.of_count(counts) == nc.convert(counts, name), name
        elif convention.unit.name.endswith("for each output with a bias"):
            start = convention.unit.name.partition(", and")[0]
            products = {
                "dense products": counts.dense_mul,
                "2 x dense products": 2 * counts.dense_mul,
                "2 x useful products": 2 * counts.mul,
            }[start]
            assert convention.rule(f) == products + f.biases, name
            assert number == (products + f.biases) // (f.N or 1) ** convention.per_image, name


def test_one_layer_has_many_numbers() -> None:
    numbers = {name: nc.convert(LAYER, name) for name in CONVENTIONS}
    assert numbers == {
        "flop-counter-mode": 7_225_344,
        "torch-profiler": 7_225_344,
        "fvcore": 3_612_672,
        "thop": 3_612_672,
        "ptflops": 3_637_760,
        "ptflops-aten": 3_637_760,
        "torchinfo": 3_637_760,
        "torchprofile": 3_612_672,
        "calflops": 7_250_432,
        "calflops-macs": 3_612_672,
        "onnx-tool": 3_637_760,
        "xla": 6_553_600 + 128 * 14 * 14,
        "benchdnn": 6_553_600,
        "article": 27_320_832,
        "article-grouped": 437_133_312,
        "article-grouped-depth": 109_584_384,
        "operations": 7_225_344,
        "dense": 3_612_672,
        "useful": 3_276_800,
    }


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_conventions_are_complete(convention: Convention) -> None:
    assert convention == CONVENTIONS[convention.name]
    assert min(map(len, (convention.prints, convention.unit.name, convention.source))) > 2
    assert len(set(convention.faults)) == len(convention.faults)
    # A fault is told if and only if there is a layer on which the number is not what the unit says.
    wrong = [f for f in sample().values() if convention.rule(f) != in_its_unit(f, convention)]
    assert bool(wrong) == bool(convention.faults)


def in_its_unit(f: Facts, convention: Convention) -> int:
    """Return what a convention's unit says of any layer; of a formula with a mistake, what it should have been."""
    named: dict[str, int] = {
        "useful products": f.useful,
        "2 x useful products": 2 * f.useful,
        "2 x useful products, and 1 for each output with a bias": 2 * f.useful + f.biases,
        "dense products": f.dense,
        "dense products, and 1 for each output with a bias": f.dense + f.biases,
        "2 x dense products": 2 * f.dense,
        "2 x dense products, and 1 for each output with a bias": 2 * f.dense + f.biases,
    }
    return named.get(convention.unit.name, f.dense + f.dense_add)


# What `convert` takes.


def test_networks_are_the_sums_of_their_layers() -> None:
    net = network("mobilenet-v1")
    assert nc.convert(net, "fvcore") == nc.convert(net.counts, "fvcore") == net.products
    # The fully connected layer alone has a bias, and calflops forgets it.
    assert nc.convert(net, "ptflops") == net.products + 1000
    assert nc.convert(net, "calflops") == 2 * net.products
    twice = Network("twice", (LAYER, replace(LAYER, times=2)))
    assert nc.convert(twice, "torchinfo") == 3 * nc.convert(LAYER, "torchinfo")


ERRORS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "name": (LAYER, "fvcor", ValueError, "there is no convention 'fvcor'. Did you mean 'fvcore', "),
    "no name": (LAYER, ["fvcore"], ValueError, "there is no convention ['fvcore']. Did you mean 'fvcore', "),
    "type": (
        5,
        "fvcore",
        TypeError,
        "count is 5 (int), but must be an OpCount, a Layer or a Network. Did you mean its counts?",
    ),
    "bias": (
        LAYER.counts,
        "ptflops",
        ValueError,
        "ptflops prints dense products, and 1 for each output with a bias, which an OpCount does not tell. Did you mean",
    ),
    "batch": (
        LAYERS["unbatched input"],
        "calflops",
        ValueError,
        "calflops stops with an error where an image has no batch. Did you mean x of shape (1, 8, 10, 12)?",
    ),
}


@pytest.mark.parametrize(("count", "convention", "kind", "fault"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_converted(count: Any, convention: Any, kind: type[Exception], fault: str) -> None:
    with pytest.raises(kind) as caught:
        nc.convert(count, convention)
    assert str(caught.value).startswith(f"convert: {fault}")
    assert str(caught.value).endswith(")")


def test_import_leaves_numpy_alone() -> None:
    program = "import sys, npconv; npconv.convert; print({'numpy', 'numba', 'difflib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


# The formulas of articles, beside the corrected ones.


def test_additions_across_channels_are_missing() -> None:
    def share_missing(depth: int, taps: int) -> float:
        return round(100 * (1 - one_filter(depth, taps, False) / one_filter_corrected(depth, taps, False)), 1)

    assert share_missing(512, 9) == 5.5
    assert share_missing(512, 1) == 50.0
    counted = nc.count_conv2d((1, 512, 3, 3), (1, 512, 3, 3))
    assert one_filter_corrected(512, 9, False) == counted.mul + counted.add
    biased = nc.count_conv2d((1, 512, 3, 3), (1, 512, 3, 3), bias=True)
    assert one_filter_corrected(512, 9, True) == biased.mul + biased.add
    # Of MobileNetV1 without its only bias, with the depth of a group, as the article says in words.
    layers = [replace(layer, bias=False) for layer in network("mobilenet-v1").layers]
    facts = [Facts.of_layer(layer) for layer in layers]
    said = sum(f.outputs * one_filter(f.C // f.groups, f.taps, False) for f in facts)
    assert round(100 * (1 - said / sum(nc.convert(layer, "operations") for layer in layers)), 1) == 47.6


def test_the_grouped_formula_counts_channels_twice() -> None:
    said, by_depth, right = (
        nc.convert(LAYER, name) for name in ("article-grouped", "article-grouped-depth", "operations")
    )
    assert (said, by_depth, right) == (437_133_312, 109_584_384, 7_225_344)
    assert (round(said / right, 1), round(by_depth / right, 1)) == (60.5, 15.2)
    # At one group it is C times what the article's own ordinary formula says.
    ungrouped = Layer("conv", (1, 64, 14, 14), (128, 64, 3, 3), padding=((1, 1), (1, 1)), bias=True)
    assert nc.convert(ungrouped, "article-grouped") == 64 * nc.convert(ungrouped, "article")
    # The bias, one addition for each output, is multiplied by C/g with the rest.
    plain = replace(LAYER, bias=False)
    assert nc.convert(LAYER, "article-grouped") - nc.convert(plain, "article-grouped") == 16 * 128 * 14 * 14
    assert nc.convert(LAYER, "operations") - nc.convert(plain, "operations") == 128 * 14 * 14


def test_depthwise_is_how_the_grouped_formula_survives() -> None:
    depthwise = Layer("depthwise", (1, 8, 9, 9), (8, 1, 3, 3), groups=8, bias=True)
    assert nc.convert(depthwise, "article-grouped-depth") == nc.convert(depthwise, "operations")
    assert nc.convert(depthwise, "article-grouped") > nc.convert(depthwise, "operations")


# The script that compares with a file.


def printed_file() -> dict[str, Any]:
    """Return a file in which every tool printed what our rules say."""
    file: dict[str, Any] = {}
    for name, f in LAYERS.items():
        row = {tool: [CONVENTIONS[c].rule(f) for c in names] for tool, names in COLUMNS.items()}
        numbers: dict[str, Any] = {tool: n[0] if len(n) == 1 else n for tool, n in row.items()}
        if row["calflops"][0] is None:
            numbers["calflops"] = "ERR AssertionError"
        ref = {"macs": f.dense, "useful": f.useful, "outs": f.outputs, "bias": f.biases}
        file[name] = {"ref": ref, **numbers}
    return file


def test_the_script_finds_what_differs(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file, path = printed_file(), tmp_path / "matrix.json"
    assert all(cell.agrees for cell in cells(file))
    path.write_text(json.dumps(file))
    assert main(str(path)) == 0
    assert capsys.readouterr().out == "24 layers, 10 tools: 240 of 240 cells agree, 0 are not compared\n"
    file["1x1"]["thop"] += 1
    file["1x1"]["fvcore"] = "ERR"
    file["conv g4"]["ref"]["macs"] += 1
    path.write_text(json.dumps(file))
    assert main(str(path)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["differs:", "conv"], ["differs:", "1x1"], ["not", "compared:"]]
    assert lines[3].endswith("238 of 240 cells agree, 1 are not compared")
