"""Numbers that papers and tools print, and the conventions that make them."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import layer_lists
import npconv as nc
from npconv.explanation import MOST_DEPARTURES, ExplainedNumber
from npconv.networks import NETWORKS, Layer, Network
from npconv.tallies import Quantity, Tally, kind_of, tallies

BUILT = {name: build() for name, build in NETWORKS.items()}
# What no convention makes: 30.2 M products, or 30 M.
NOT_REPRODUCIBLE = {("mobilenet-v1-0.25-192", "34 M")}
QUANTITIES: dict[str, Quantity] = {
    "products": "operations",
    "convolution_products": "operations",
    "parameters": "parameters",
    "trainable_parameters": "parameters",
}

# Rows of published tables: the network, the number, the convention that is found first, and how the number was rounded.
TABLES = [
    ("mobilenet-v1", "569M", "products", "rounded"),
    ("mobilenet-v1", "4.2M", "weights, biases and normalisations", "rounded"),
    ("mobilenet-v1-full", "4866M", "products, without fully connected layers", "rounded"),
    ("mobilenet-v1-full", "29.3M", "weights, biases and normalisations", "rounded"),
    ("mobilenet-v1", "3.06 %", "depthwise 3x3 in all products", "rounded"),
    ("mobilenet-v1", "94.86 %", "1x1 in all products", "rounded"),
    ("mobilenet-v1", "0.18 %", "fully connected layers in all products", "rounded"),
    ("mobilenet-v1", "74.59 %", "1x1 in all weights", "rounded"),
    ("mobilenet-v1", "24.33 %", "fully connected layers in all weights", "rounded"),
    ("shufflenet-v1-g1", "143M", "products", "rounded"),
    ("shufflenet-v1-g2", "140M", "products, without fully connected layers", "rounded"),
    ("shufflenet-v1-g3", "137M", "products", "rounded"),
    ("shufflenet-v1-g4", "133M", "products, without fully connected layers", "rounded"),
    ("shufflenet-v1-g8", "137M", "products, without fully connected layers", "rounded"),
    ("resnext-50-32x4d", "4.2G", "products", "rounded"),
    ("resnext-50-32x4d", "25.0M", "weights, biases and normalisations", "rounded"),
    ("alexnet", "724M", "products", "rounded"),
    ("alexnet", "61M", "weights and biases", "rounded"),
    ("alexnet", "58.6M", "products, fully connected layers alone", "rounded"),
    ("mobilenet-v2", "300M", "products", "cut off"),
    ("mobilenet-v2", "3.4M", "weights and biases", "cut off"),
    ("mobilenet-v1", 315, "rows that an output of conv14.pointwise sees", "exactly"),
    ("mobilenet-v1", 32, "rows from what one output of conv14.pointwise sees to the next", "exactly"),
    ("mobilenet-v1", 126, "rows of padding above what the first output of conv14.pointwise sees", "exactly"),
    ("vgg-16", "30.9G", "products and additions", "rounded"),
    # As Keras counts them.
    ("xception", "22,910,480", "weights, biases and normalisations, running means and variances too", "exactly"),
]


def conventions(found: ExplainedNumber) -> list[str]:
    """Return the conventions that were found."""
    return [each.words for each in found.explanations]


@pytest.mark.parametrize(("name", "number", "convention", "rounding"), TABLES)
def test_rows_of_published_tables_are_explained(name: str, number: str | int, convention: str, rounding: str) -> None:
    first, *_ = nc.explain_number(BUILT[name], number).explanations
    assert (first.words, first.rounding) == (convention, rounding)


@pytest.mark.parametrize("net", [net for net in BUILT.values() if net.published], ids=lambda net: net.name)
def test_every_published_figure_is_reproduced_or_explained(net: Network) -> None:
    for figure in net.published:
        found = nc.explain_number(net, figure.figure, quantity=QUANTITIES[figure.quantity])
        assert found.reproduced != ((net.name, figure.figure) in NOT_REPRODUCIBLE)
        if net.reproduces(figure):
            total = getattr(net, figure.quantity)
            assert total in [each.tally.value for each in found.explanations]


def test_a_misprint_is_not_reproducible_and_its_swapped_digits_are_seen() -> None:
    # Table 2 of MobileNetV1: the column sums to 99.29.
    found = nc.explain_number("mobilenet-v1", "1.19 %")
    assert not found.reproduced
    assert [each.words for each in found.swapped] == ["3x3 in all products"]
    assert str(found.swapped[0].figure.like(found.swapped[0].tally.value)) == "1.91 %"
    assert "1.19 % is not reproducible from mobilenet-v1\n  nearest is 1.0606 % =" in str(found)
    assert "two digits may be swapped: 1.9056 % = 3x3 in all products" in str(found)


@pytest.mark.parametrize(
    ("name", "number"), [("lite-hrnet-18", "205.2M"), ("lite-hrnet-30", "319.2M"), ("lite-hrnet-18", 205.2e6)]
)
def test_lite_hrnets_are_in_units_of_1024_with_what_stands_behind_layers(name: str, number: str | float) -> None:
    found = nc.explain_number(BUILT[name], number)
    wanted = (
        "products, and 1 for each output with a bias, each layer once, 2 for each element of a normalisation, "
        "1 for each element of an activation, in units of 2**20"
    )
    assert wanted in conventions(found)
    assert not any("in units" not in words and "each layer once" not in words for words in conventions(found))


def test_the_first_convolution_is_missing_from_a_released_table() -> None:
    found = nc.explain_number("mobilenet-v1-0.75-224", "317M")
    assert conventions(found)[0] == "products, without the first layer"
    assert found.explanations[0].tally.value == BUILT["mobilenet-v1-0.75-224"].products - 27 * 24 * 112 * 112


def test_what_no_convention_makes_is_told_by_the_nearest() -> None:
    found = nc.explain_number("alexnet-ungrouped", "1132.33M")
    assert str(found) == (
        "1,132.33 M is not reproducible from alexnet-ungrouped\n  nearest is 1,135,256,096 = products, off by -0.3%"
    )
    told = json.loads(json.dumps(found.to_json()))
    assert (told["reproduced"], told["explanations"]) == (False, [])
    assert told["nearest"][0]["value"] == 1_135_256_096
    assert told["nearest"][0]["off"] == pytest.approx(1_132_330_000 / 1_135_256_096 - 1)


def test_tools_are_named_beside_the_convention_that_they_share() -> None:
    layer = Layer("conv", (1, 3, 9, 9), (8, 3, 3, 3), bias=True)
    text = str(nc.explain_number(layer, nc.convert(layer, "ptflops")))
    assert text.splitlines()[0] == "10,976 of conv is"
    assert "products, and 1 for each output with a bias (ptflops, " in text
    up = Layer("up", (1, 8, 5, 5), (8, 4, 2, 2), (2, 2), transposed=True)
    # thop multiplies a transposed layer by its strides.
    assert conventions(nc.explain_number(up, nc.convert(up, "thop")))[0] == "as thop counts MACs"


def test_a_batch_is_for_all_images_or_for_one() -> None:
    batch = Layer("conv", (8, 3, 7, 7), (5, 3, 3, 3))
    assert conventions(nc.explain_number(batch, batch.counts.mul // 8))[0] == "products, for one image of 8"
    one = Layer("conv", (1, 3, 7, 7), (5, 3, 3, 3))
    assert "products, for a batch of 8" in conventions(nc.explain_number(one, 8 * one.counts.mul))
    mixed = Network("mixed", (batch, one))
    assert conventions(nc.explain_number(mixed, 9 * one.counts.mul))[0] == "products"
    assert not any("image" in words for words in conventions(nc.explain_number(mixed, 9 * one.counts.mul)))


def test_a_share_may_be_a_percentage_or_a_fraction() -> None:
    by_percent, by_number, by_fraction = (
        nc.explain_number("mobilenet-v1", told) for told in ("94.86 %", 94.86, "0.9486")
    )
    assert {conventions(found)[0] for found in (by_percent, by_number, by_fraction)} == {"1x1 in all products"}
    assert str(by_fraction).startswith("0.9486 of mobilenet-v1 is\n  0.948574  rounded")
    assert nc.explain_number("mobilenet-v1", 569, quantity="share").explanations == ()


def test_a_quantity_that_is_known_leaves_out_the_others() -> None:
    free = nc.explain_number("alexnet", "58.6M")
    assert {each.tally.quantity for each in free.explanations} == {"operations", "parameters"}
    for quantity in ("operations", "parameters"):
        found = nc.explain_number("alexnet", "58.6M", quantity=quantity)
        assert {each.tally.quantity for each in found.explanations} == {quantity}
    assert nc.explain_number("alexnet", "58.6M params") == nc.explain_number("alexnet", "58.6M", quantity="parameters")
    assert conventions(nc.explain_number("mobilenet-v1", "74.59 % params"))[0] == "1x1 in all weights"
    assert nc.explain_number("alexnet", "58.6 MMACs") == nc.explain_number("alexnet", "58.6M", quantity="operations")


def test_nothing_is_reproduced_from_nothing() -> None:
    empty = Layer("empty batch", (0, 2, 5, 5), (2, 2, 3, 3))
    for target in (Network("nothing", ()), empty):
        found = nc.explain_number(target, "569M")
        assert found.explanations == found.swapped == ()
        assert str(found).startswith(f"569 M is not reproducible from {target.name}")
    assert conventions(nc.explain_number(empty, 0))[0] == "products"


def test_layers_have_names_by_kind() -> None:
    x = (1, 8, 5, 5)
    kinds = [
        kind_of(Layer("", x, (8, 1, 3, 3), groups=8)),
        kind_of(Layer("", x, (8, 2, 3, 1), groups=4)),
        kind_of(Layer("", x, (8, 8, 2, 2), transposed=True)),
        kind_of(Layer("", (1, 1, 5, 5), (8, 1, 1, 1))),
        kind_of(Layer("", (1, 8, 1, 1), (8, 8, 1, 1), fully_connected=True)),
    ]
    assert kinds == ["depthwise 3x3", "grouped 3x1", "transposed 2x2", "1x1", "fully connected layers"]


def test_explanations_are_written_as_json() -> None:
    told = json.loads(json.dumps(nc.explain_number("mobilenet-v1", "94.86 %").to_json()))
    assert (told["target"], told["number"], told["reproduced"]) == ("mobilenet-v1", "94.86 %", True)
    first = told["explanations"][0]
    assert (first["quantity"], first["convention"], first["rounding"]) == ("share", "1x1 in all products", "rounded")
    assert (round(first["value"], 6), first["departures"]) == (0.948574, 0)


def test_only_the_first_explanations_are_printed() -> None:
    found = nc.explain_number("resnet-50", "4.1G")
    lines = str(found).splitlines()
    numbers = {each.shown for each in found.explanations}
    assert len(lines) == 7
    assert lines[-1] == f"  and {len(numbers) - 5} more numbers, each less usual"


@pytest.mark.parametrize(
    ("target", "number", "options", "text"),
    [
        ("mobilenet", "569M", {}, r"^network: there is no network 'mobilenet'\. Did you mean"),
        ("mobilenet-v1", "569Q", {}, r"^explain_number: number is '569Q', which cannot be read"),
        (
            "mobilenet-v1",
            "569M",
            {"quantity": "FLOPs"},
            r"^explain_number: quantity is 'FLOPs', but must be one of 'operations', ",
        ),
    ],
)
def test_bad_input_is_told(target: str, number: str, options: dict[str, Quantity], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        nc.explain_number(target, number, **options)


def test_a_target_is_a_layer_or_a_network() -> None:
    wrong: Any = []
    with pytest.raises(
        TypeError, match=r"^explain_number: target is a list, but must be a Layer, a Network or the name"
    ):
        nc.explain_number(wrong, "569M")


def layers() -> st.SearchStrategy[Layer]:
    """Return small layers of every kind, as a network may have them."""
    groups, sides = st.sampled_from([1, 2, 4]), st.integers(4, 9)

    def build(g: int, H: int, W: int, k: int, p: int, bias: bool, times: int) -> Layer:
        return Layer(
            f"conv{H}", (1, 4, H, W), (8, 4 // g, k, k), padding=((p, p), (p, 0)), groups=g, bias=bias, times=times
        )

    yes = st.booleans()
    small = st.builds(build, groups, sides, sides, st.integers(1, 3), st.integers(0, 1), yes, st.integers(1, 2))
    return small | st.builds(lambda bias: Layer("fc", (1, 6, 1, 1), (5, 6, 1, 1), bias=bias, fully_connected=True), yes)


def networks() -> st.SearchStrategy[Network]:
    """Return networks of a few layers, with or without normalisations and activations."""
    some = st.sampled_from([0, 24])
    return st.builds(
        lambda listed, norms, elements, acts: Network("random", tuple(listed), norms, (), elements, acts),
        *(st.lists(layers(), min_size=1, max_size=3), some, st.sampled_from([0, 96]), st.sampled_from([0, 80])),
    )


@given(networks(), st.data())
def test_a_number_that_a_convention_makes_is_explained_by_it(net: Network, data: st.DataObject) -> None:
    made = [t for t in tallies(net) if t.departures <= MOST_DEPARTURES and isinstance(t.value, int)]
    own: Tally = data.draw(st.sampled_from(made))
    found = nc.explain_number(net, f"{own.value:,}", quantity=own.quantity)
    assert own in [each.tally for each in found.explanations]
    first, *rest = found.explanations
    # The simplest first; those that are no simpler than its own make the same number, if all digits are there.
    assert first.departures <= own.departures
    assert [each.departures for each in found.explanations] == sorted(each.departures for each in found.explanations)
    if own.value % 10:
        assert {each.tally.value for each in (first, *rest)} == {own.value}


@given(networks(), st.data())
def test_a_number_that_is_rounded_is_explained_too(net: Network, data: st.DataObject) -> None:
    made = [t for t in tallies(net) if t.departures < 3 and t.quantity in ("operations", "share") and t.value]
    own = data.draw(st.sampled_from(made))
    number = f"{float(own.value) * 100:.2f} %" if own.quantity == "share" else f"{float(own.value) / 1e3:.1f} k"
    found = nc.explain_number(net, number, quantity=own.quantity)
    assert own in [each.tally for each in found.explanations]
    assert found.explanations[0].departures <= own.departures


@given(networks())
def test_shares_of_all_kinds_sum_to_one(net: Network) -> None:
    shares = [t for t in tallies(net) if t.quantity == "share" and t.words.endswith("in all weights")]
    assert sum((Fraction(t.value) for t in shares), Fraction(0)) == 1


def test_what_is_asked_first_is_answered_without_numpy() -> None:
    program = (
        "import sys, npconv; npconv.explain_number('vgg-16', '138M'); print({'numpy', 'numba'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def listed(name: str) -> dict[str, object]:
    """Return a network as a file of layer lists has it."""
    net = BUILT[name]
    kept = ("macs", "params", "useful_macs", "adds_n_minus_1", "params_norm")
    convolutions = [
        {
            "op": "conv",
            "cin": layer.x_shape[1],
            "hin": layer.x_shape[2],
            "win": layer.x_shape[3],
            "cout": layer.weight_shape[0],
            "kernel": layer.weight_shape[2:],
            "stride": layer.stride,
            "padding": (*layer.padding[0], *layer.padding[1]),
            "groups": layer.groups,
            "bias": layer.bias,
            "executions": layer.times,
        }
        for layer in net.layers
        if not layer.fully_connected
    ]
    published = [{"what": "macs", "published": 569e6, "computed": net.products, "source": "a table"}]
    return {
        "name": name,
        "layers": convolutions,
        "totals": {key: layer_lists.totals(net)[key] for key in kept},
        "published": published,
    }


def test_a_folder_of_layer_lists_is_compared_to_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.json"
    file.write_text(json.dumps(listed("mobilenet-v1")))
    assert layer_lists.main([str(tmp_path)]) == 0
    assert "as listed, to the unit\n  reproduced: a table: 569,000,000 of mobilenet-v1" in capsys.readouterr().out
    wrong = listed("mobilenet-v1")
    assert isinstance(wrong["totals"], dict)
    wrong["totals"]["macs"] += 1
    file.write_text(json.dumps(wrong))
    assert layer_lists.main([str(tmp_path)]) == 1
    assert "macs is 568,740,353 in the list, 568,740,352 here" in capsys.readouterr().out
    wrong = listed("mobilenet-v1")
    assert isinstance(wrong["layers"], list)
    wrong["layers"][3]["stride"] = (1, 1)
    file.write_text(json.dumps(wrong))
    assert layer_lists.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("more of the layer") == 2
    assert layer_lists.main([str(tmp_path / "empty")]) == 1
