"""`npconv explain`: one layer in four forms, the formulas, and what counting tools print."""

import ast
import csv
import json
import operator
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest

import npconv as nc
from command_line import refused
from npconv import cli, layer_forms
from npconv.conventions import Convention
from npconv.conventions.convention import DENSE

# 2 channels of 3x3, 4 filters of 2x2, a zero on every side: 4x4 outputs. Of the 2 taps of an axis each meets 3 pixels, so V = 6,
# and all 4 outputs of an axis see one, so A = 4.
SMALL = ["explain", "1x2x3x3", "--out", "4", "-k", "2", "-p", "1"]
BY_HAND = {
    # 4*4*4 outputs of 2*2*2 products, 7 additions each; useful 4*2*6*6 products, 4*4*4 additions fewer.
    "standard": {"mul": 288, "add": 224, "padding_mul": 512 - 288, "padding_add": 448 - 224},
    # One channel a filter: half the products; an addition fewer an output as before.
    "2 groups": {"mul": 144, "add": 80, "padding_mul": 256 - 144, "padding_add": 192 - 80},
    # Two filters for each channel: as many products as in 2 groups.
    "depthwise": {"mul": 144, "add": 80, "padding_mul": 256 - 144, "padding_add": 192 - 80},
    # 2*4*4 outputs of 4 products; then 4*4*4 outputs of 2 products, none on padding.
    "separable": {"mul": 72 + 128, "add": 40 + 64, "padding_mul": 128 - 72, "padding_add": 96 - 40},
}


def test_numbers_are_those_worked_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SMALL, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["x_shape"] == [1, 2, 3, 3]
    assert {form["name"]: form["counts"] for form in result["forms"]} == BY_HAND
    assert [form["parameters"] for form in result["forms"]] == [4 * 8, 4 * 4, 4 * 4, 2 * 4 + 4 * 2]
    assert [[stage["weight_shape"] for stage in form["stages"]] for form in result["forms"]] == [
        [[4, 2, 2, 2]],
        [[4, 1, 2, 2]],
        [[4, 1, 2, 2]],
        [[2, 1, 2, 2], [4, 2, 1, 1]],
    ]
    assert all(form["y_shape"] == [1, 4, 4, 4] for form in result["forms"])


def test_a_bias_adds_to_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*SMALL, "--bias", "--json"])
    standard, grouped, depthwise, separable = json.loads(capsys.readouterr().out)["forms"]
    assert [form["parameters"] for form in (standard, grouped, depthwise, separable)] == [36, 20, 20, 20]
    # As many additions as products, but in the depthwise stage, which has no bias.
    assert standard["counts"]["add"] == standard["counts"]["mul"] == 288
    assert grouped["counts"]["add"] == grouped["counts"]["mul"] == 144
    assert depthwise["counts"] == grouped["counts"]
    assert separable["counts"]["add"] == 40 + 128
    assert [stage["bias"] for stage in separable["stages"]] == [False, True]


def test_options_reach_the_layer(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["-k", "3x5", "-s", "2x1", "-p", "1x2", "-d", "1,2", "-g", "3"]
    cli.main(["explain", "2,6,11,13", "--out", "9", *options, "--json"])
    standard, grouped, depthwise, separable = json.loads(capsys.readouterr().out)["forms"]
    wanted = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
    counts = nc.count_conv2d((2, 6, 11, 13), (9, 2, 3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=3)
    assert grouped["counts"] == {name: getattr(counts, name) for name in grouped["counts"]}
    shape = nc.conv2d_output_shape((2, 6, 11, 13), (9, 6, 3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2))
    assert {tuple(form["y_shape"]) for form in (standard, grouped, separable)} == {shape}
    # 9 filters are no multiple of 6 channels.
    assert tuple(depthwise["y_shape"]) == (2, 6, *shape[2:])
    stage = separable["stages"][0]
    assert {name: tuple(stage[name]) for name in ("stride", "dilation")} == {
        name: wanted[name] for name in ("stride", "dilation")
    }
    assert stage["padding"] == [[1, 1], [2, 2]]


@pytest.mark.parametrize(("channels", "filters", "groups"), [(12, 8, 4), (9, 6, 3), (6, 10, 2), (3, 64, 1), (5, 7, 1)])
def test_groups_that_are_not_given_divide(channels: int, filters: int, groups: int) -> None:
    _, grouped, _, _ = layer_forms.forms((1, channels, 5, 5), filters, 3)
    assert grouped.layers[0].geometry.groups == groups
    assert grouped.name == (f"{groups} groups" if groups > 1 else "1 group")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("padding", [0, (1, 2), "same"])
def test_formulas_say_what_they_compute(padding: Any, bias: bool) -> None:
    forms = layer_forms.forms((2, 6, 11, 13), 9, (3, 5), stride=(2, 1), padding=padding, dilation=(1, 2), bias=bias)
    for layer in (layer for form in forms for layer in form.layers):
        g = layer.geometry
        letters: dict[str, int] = {name: getattr(g, name) for name in ("N", "C", "H", "W", "O", "KH", "KW", "OH", "OW")}
        ((letters["top"], letters["bottom"]), (letters["left"], letters["right"])) = g.padding
        letters["sh"], letters["sw"] = g.stride
        letters["dh"], letters["dw"] = g.dilation
        letters["g"], letters["P"], letters["K"] = g.groups, g.P, g.K
        for i, n, outputs, step, gap, before in zip(
            "hw", (g.H, g.W), (g.OH, g.OW), g.stride, g.dilation, (g.padding[0][0], g.padding[1][0]), strict=True
        ):
            taps = g.KH if i == "h" else g.KW
            on_image = [[0 <= o * step + k * gap - before < n for k in range(taps)] for o in range(outputs)]
            letters[f"V{i}"], letters[f"A{i}"] = sum(map(sum, on_image)), sum(map(any, on_image))
        formulas = [*layer_forms.sizes(g), *layer_forms.needs(layer)]
        assert len(formulas) == 9
        for formula in formulas:
            assert evaluated(formula.letters, letters) == evaluated(formula.numbers, {}) == formula.value, formula


def evaluated(expression: str, letters: dict[str, int]) -> int:
    """Return the value of an expression of letters and integers."""
    operators = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}

    def value(node: ast.expr) -> int:
        match node:
            case ast.BinOp(left, operation, right):
                result: int = operators[type(operation)](value(left), value(right))
                return result
            case ast.Name(letter):
                return letters[letter]
            case ast.Constant(int(number)):
                return number
        raise AssertionError(f"not a formula: {expression}")

    return value(ast.parse(expression, mode="eval").body)


def test_text_shows_the_layer_the_table_and_the_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(SMALL) == 0
    text = capsys.readouterr().out
    assert text.startswith("x 1x2x3x3 -> y 1x4x4x4: kernel 2x2, stride 1x1, dilation 1x1, padding 1 top, 1 bottom,")
    lines = text.splitlines()
    assert lines[1].split() == ["standard", "2", "groups", "depthwise", "separable"]
    table = [line.split() for line in lines[2:18]]
    assert ["weight", "4x2x2x2", "4x1x2x2", "4x1x2x2", "2x1x2x2"] in table
    assert ["4x2x1x1"] in table
    assert ["products", "512", "256", "256", "256"] in table
    assert ["share", "on", "padding", "43.8%", "43.8%", "43.8%", "21.9%"] in table
    assert ["additions", "100.0%", "42.9%", "42.9%", "35.7%"] in table
    assert (
        "  OH, output rows       (H + top + bottom - dh*(KH - 1) - 1)//sh + 1 = (3 + 1 + 1 - 1*(2 - 1) - 1)//1 + 1 = 4"
        in lines
    )
    assert "  on the image, rows    Vh = 6 of 8 pairs (output row, tap); Ah = 4 of 4 output rows" in lines
    assert "    useful              N*O*(C//g)*Vh*Vw = 1*4*(2//1)*6*6 = 288" in lines


# Of the layer in the table "how other tools count one layer": 64 to 128 channels of 14x14, 3x3, padding 1, 4 groups, a bias.
LAYER = ["explain", "1x64x14x14", "--out", "128", "-k", "3", "-p", "1", "-g", "4", "--bias"]


def test_tools_print_what_they_are_known_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*LAYER, "--json"])
    grouped = json.loads(capsys.readouterr().out)["forms"][1]
    known = {"flop-counter-mode": 7_225_344, "fvcore": 3_612_672, "ptflops": 3_637_760, "calflops": 7_250_432}
    known |= {"thop": 3_612_672, "benchdnn": 6_553_600, "article-grouped": 437_133_312, "useful": 3_276_800}
    assert known.items() <= grouped["tools"].items()
    cli.main(LAYER)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["standard", "4", "groups", "depthwise", "separable", "which", "are"] in lines
    fvcore = next(line for line in lines if line[:1] == ["fvcore"])
    assert fvcore == ["fvcore", "14,450,688", "3,612,672", "225,792", "1,718,528", "dense", "products"]


def test_tools_that_do_not_see_padding_by_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    for word, numbers in (("same", ["0"] * 4), ("same_lower", ["200", "100", "100", "250"])):
        cli.main(["explain", "1x2x5x5", "--out", "4", "-k", "1", "-p", word])
        lines = capsys.readouterr().out.splitlines()
        fvcore = next(line for line in lines if line.startswith("fvcore"))
        assert fvcore.split()[1:5] == numbers
        assert fvcore.endswith(f'mistaken about padding "{word}"') == (word == "same")


def test_tools_that_divide_by_the_batch_do(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["explain", "3x2x5x5", "--out", "4", "-k", "1", "--json"])
    standard = json.loads(capsys.readouterr().out)["forms"][0]
    assert (standard["tools"]["ptflops"], standard["tools"]["ptflops-aten"]) == (200, 600)


def test_a_tool_that_stops_with_an_error_is_said_to() -> None:
    forms = layer_forms.forms((1, 2, 5, 5), 4, 1)
    stops = Convention("stops", "FLOPs", DENSE, lambda facts: None if facts.groups == 1 else 7, "a test")
    assert [form.printed(stops) for form in forms] == [None, 7, 7, None]
    assert [*layer_forms.printed(forms, stops)] == ["an error", "7", "7", "an error", "dense products"]


def test_csv_has_a_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SMALL, "--csv"]) == 0
    lines = [*csv.DictReader(StringIO(capsys.readouterr().out))]
    assert [line["form"] for line in lines] == ["standard", "2 groups", "depthwise", "separable", "separable"]
    assert [line["weight_shape"] for line in lines][::3] == ["4x2x2x2", "2x1x2x2"]
    for name, form in BY_HAND.items():
        of_form = [line for line in lines if line["form"] == name]
        assert {field: sum(int(line[field]) for line in of_form) for field in form} == form


def test_an_empty_batch_has_no_shares(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "0x2x3x3", "--out", "4", "-k", "2"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["products", "0", "0", "0", "0"] in table
    assert ["share", "on", "padding", "-", "-", "-", "-"] in table


def test_explain_waits_for_no_compiler() -> None:
    program = (
        "import sys; from npconv.cli import main; code = main(sys.argv[1:]);"
        "print(sorted({'numba', 'llvmlite', 'numpy', 'rich', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *SMALL]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1x2x3", "--out", "4", "-k", "2"], "npconv: explain: x is 3-dimensional"),
        (["1x2x3x3", "--out", "0", "-k", "2"], "npconv: explain: weight has O = 0"),
        (["1x2x3x3", "--out", "4", "-k", "4"], "npconv: explain: the padded height"),
        (["1x2x3x3", "--out", "4", "-k", "1x2x3"], "npconv: explain: kernel_size has length 3"),
        (["1x2x3x3", "--out", "4", "-k", "2", "-s", "0"], "npconv: explain: stride is 0"),
        (["1x2x3x3", "--out", "4", "-k", "2", "-g", "0"], "npconv: explain: groups is 0"),
        (["1x2x3x3", "--out", "4", "-k", "2", "-g", "3"], "npconv: explain: x has 2 channels"),
        (["1x2x3x3", "--out", "4", "-k", "2", "-p", "SAME"], "npconv: explain: padding is 'SAME'"),
        (["1x2x3x3", "--out", "4", "-k", "2", "-p", "-1"], "npconv: explain: padding at the top is -1"),
        (["1x2x3x3", "--out", "4", "-k", "2", "-p", "1,2,3,4"], "npconv: explain: padding is (1, 2, 3, 4)"),
        (["1x2x3x3", "--out", "4", "-k", "two"], "argument -k/--kernel: 'two' is not made of integers"),
        (["1x2x3x3", "--out", "4", "-k", "1.5"], "argument -k/--kernel: '1.5' is not made of integers"),
        (["1x2x3.0x3", "--out", "4", "-k", "2"], "argument NxCxHxW: '1x2x3.0x3' is not made of integers"),
        (["1x2x3x3", "-k", "2"], "the following arguments are required: --out"),
        (["1x2x3x3", "--out", "4", "-k", "2", "--stri", "2"], "unrecognized arguments: --stri"),
    ],
)
def test_mistakes_get_one_message(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in refused(capsys, "explain", *arguments)
