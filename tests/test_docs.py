"""The README, the documentation and the docstrings show what happens: every example in them runs and prints that."""

import doctest
import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from pkgutil import walk_packages

import pytest

import npconv as nc

ROOT = Path(__file__).parent.parent
PAGES = {page.name: page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
MODULES = ["npconv", *(module.name for module in walk_packages(nc.__path__, "npconv."))]

FENCE = re.compile(r"^```(\{?\w*\}?)")


def cells(page: str) -> str:
    """Return the console cells of a page in their own lines, all other lines left blank."""
    lines, language = [], ""
    for line in page.splitlines():
        fence = FENCE.match(line)
        lines.append(line if language == "pycon" and not fence else "")
        if fence:
            language = "" if language else fence[1] or "text"
    return "\n".join(lines)


def run(example: doctest.DocTest) -> int:
    """Run the examples of one text, in order and in one namespace; return how many there are."""
    report: list[str] = []
    failed, attempted = doctest.DocTestRunner(verbose=False).run(example, out=report.append)[:2]
    assert not failed, "".join(report)
    return attempted


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_pages_print_what_they_show(page: Path) -> None:
    text = page.read_text()
    run(doctest.DocTestParser().get_doctest(cells(text), {}, page.name, str(page), 0))
    # A cell without a prompt would be shown and never run.
    assert not re.search(r"^```(python|py|ipython)\b", text, re.MULTILINE)


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_print_what_they_show(module: str) -> None:
    for example in doctest.DocTestFinder(exclude_empty=True).find(import_module(module)):
        run(example)


@pytest.mark.parametrize("name", nc.__all__)
def test_public_names_are_documented_with_an_example(name: str) -> None:
    qualified = {
        "judge": "judge.Model",
        "networks": "networks.network",
        "plot": "plot.multiplications",
        "reference": "reference.conv2d",
    }.get(name, name)
    assert re.search(
        rf"^\.\. auto(function|class):: npconv\.{qualified}\b", PAGES["interface.md"].read_text(), re.MULTILINE
    )
    thing = attrgetter(qualified)(nc)
    found = doctest.DocTestFinder().find(thing, name)
    assert any(docstring.examples for docstring in found), f"npconv.{qualified} has no example"


def test_examples_that_lie_are_caught() -> None:
    page = "Text.\n\n```pycon\n>>> 1 + 1\n3\n```\n"
    with pytest.raises(AssertionError, match=r"Got:\n +2"):
        run(doctest.DocTestParser().get_doctest(cells(page), {}, "page", None, 0))


def test_readme_shows_the_two_commands() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGES["README.md"].read_text(), re.MULTILINE | re.DOTALL)
    assert [block.splitlines()[-1] for block in blocks] == ["npconv demo", "pytest -n auto"]
