"""Counting tools, where they are installed (``pip install npconv[tools]``): each prints what our rules say, faults included."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from foreign_tools import TOOLS
from npconv.conventions import CONVENTIONS, Facts
from processes import TESTS
from sample_facts import sample

MODULES = {
    "flop-counter-mode": "torch",
    "torch-profiler": "torch",
    "fvcore": "fvcore",
    "thop": "thop",
    "ptflops": "ptflops",
    "ptflops-aten": "ptflops",
    "torchinfo": "torchinfo",
    "torchprofile": "torchprofile",
    "calflops calflops-macs": "calflops",
    "onnx-tool": "onnx_tool",
}


def printed(tool: str) -> dict[str, list[float]]:
    """Return what a tool prints for every layer, in a process of its own."""
    command = [sys.executable, str(TESTS / "foreign_tools.py"), tool]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def said(tool: str, facts: Facts) -> list[int]:
    """Return what our rules say that it prints; nothing where it stops."""
    numbers = [CONVENTIONS[convention].printed(facts) for convention in tool.split()]
    return [number for number in numbers if number is not None]


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(tool, marks=pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed"))
        for tool, module in MODULES.items()
    ],
)
def test_tools_print_what_our_rules_say(tool: str) -> None:
    assert printed(tool) == {name: said(tool, facts) for name, facts in sample().items()}


def test_every_tool_is_tried() -> None:
    assert MODULES.keys() == TOOLS.keys()
    # XLA is asked by itself, and benchdnn comes with no Python package.
    texts = {"article", "article-grouped", "article-grouped-depth", "operations", "dense", "useful"}
    tried = {convention for tool in TOOLS for convention in tool.split()}
    assert CONVENTIONS.keys() - tried == texts | {"xla", "benchdnn"}
