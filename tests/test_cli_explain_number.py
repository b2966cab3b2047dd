"""`npconv explain-number`: how a number in print was counted."""

import csv
import json
from io import StringIO

import pytest

import npconv as nc
from command_line import refused
from npconv import cli

NETWORK = ["--network", "mobilenet-v1"]


@pytest.mark.parametrize("number", ["569e6", "569M", "569 MFLOPs", "568,740,352"])
def test_numbers_of_any_spelling_are_explained(capsys: pytest.CaptureFixture[str], number: str) -> None:
    assert cli.main(["explain-number", number, *NETWORK]) == 0
    heading, first, *_ = capsys.readouterr().out.splitlines()
    assert heading.endswith(" of mobilenet-v1 is")
    assert first.split()[0] == "568,740,352"
    assert "products" in first


def test_text_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["explain-number", "4.2M", *NETWORK, "--quantity", "parameters"])
    assert capsys.readouterr().out == f"{nc.explain_number('mobilenet-v1', '4.2M', quantity='parameters')}\n"


def test_a_misprint_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain-number", "1.19%", *NETWORK]) == 1
    captured = capsys.readouterr()
    assert "1.19 % is not reproducible from mobilenet-v1" in captured.out
    assert "two digits may be swapped: 1.9056 %" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(("number", "code", "rows"), [("569M", 0, "explanations"), ("1.19%", 1, "nearest")])
def test_json_and_csv_say_the_same(capsys: pytest.CaptureFixture[str], number: str, code: int, rows: str) -> None:
    assert cli.main(["explain-number", number, *NETWORK, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert (told["target"], told["reproduced"]) == ("mobilenet-v1", code == 0)
    assert cli.main(["explain-number", number, *NETWORK, "--csv"]) == code
    lines = [*csv.DictReader(StringIO(capsys.readouterr().out))]
    assert [line["convention"] for line in lines] == [each["convention"] for each in told[rows]]
    assert [float(line["value"]) for line in lines] == [each["value"] for each in told[rows]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["many", *NETWORK], "npconv: explain_number: number is 'many', which cannot be read"),
        (["569M"], "the following arguments are required: --network"),
        (["569M", "--network", "mobilenet"], "npconv: network: there is no network 'mobilenet'. Did you mean"),
        (["569M", *NETWORK, "--quantity", "flops"], "argument --quantity: invalid choice: 'flops'"),
    ],
)
def test_mistakes_get_one_message(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in refused(capsys, "explain-number", *arguments)
