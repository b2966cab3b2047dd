"""What test suites of others take: the assertion says what is wrong, the strategies reach what they claim to reach."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings

import npconv.testing
from functions_under_test import right, upside_down
from npconv.geometry import Geometry
from npconv.judge.case import FEATURES
from npconv.testing import assert_conv2d_close, strategies


def test_what_is_right_passes() -> None:
    x, weight = np.ones((1, 2, 4, 4)), np.ones((2, 1, 3, 3))
    assert_conv2d_close(right(x, weight, None, padding=1, groups=2), x, weight, padding=1, groups=2, conclusive=True)


def test_the_report_is_the_message() -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.random((1, 1, 5, 5)), rng.random((2, 1, 3, 3)), rng.random(2)
    y = upside_down(x, weight, bias, padding=((1, 0), (0, 0)))
    with pytest.raises(AssertionError, match="pad sides swapped in y"):
        assert_conv2d_close(y, x, weight, bias, padding=((1, 0), (0, 0)))


def test_nothing_proven_passes_unless_it_may_not() -> None:
    # More products than a sum of 8 bits tells apart.
    x, weight = (np.random.default_rng(0).standard_normal((1, 64, 3, 3)).astype(np.float32) for _ in range(2))
    y = right(x, weight, None)
    assert_conv2d_close(y, x, weight, model="bfloat16")
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        assert_conv2d_close(y, x, weight, model="bfloat16", conclusive=True)


def test_errors_are_those_of_check() -> None:
    with pytest.raises(ValueError, match="actual has shape"):
        assert_conv2d_close(np.ones((1, 1, 1, 1)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 1, 1)))
    with pytest.raises(AttributeError, match=r"npconv\.testing' has no attribute 'conv'"):
        _ = npconv.testing.conv


@pytest.mark.parametrize("feature", FEATURES)
def test_geometries_reach_every_feature(feature: str) -> None:
    smallest = find(strategies.geometries(), FEATURES[feature])
    # Shrunk: nothing is there that the feature does not need.
    others = [name for name in FEATURES if name != feature and FEATURES[name](smallest)]
    assert len(others) <= 1 + feature.startswith("padding"), smallest


@settings(max_examples=100)
@given(strategies.geometries(max_products=500))
def test_geometries_keep_to_a_size(geometry: Geometry) -> None:
    # Or to what the smallest of a kind takes: a deep one has 127 channels, and kernels are up to 7x7.
    assert geometry.P * geometry.K <= max(500, 127 * 49)
    assert min(geometry.y_shape[1:]) >= 1


@settings(max_examples=60)
@given(strategies.calls(max_products=2000))
def test_calls_are_ready_for_a_function(call: dict[str, Any]) -> None:
    assert_conv2d_close(right(**call), **call)


def test_calls_find_a_mistake() -> None:
    @settings(max_examples=300, database=None)
    @given(strategies.calls(max_products=200))
    def mistaken(call: dict[str, Any]) -> None:
        assert_conv2d_close(upside_down(**call), **call)

    with pytest.raises(AssertionError, match="pad sides swapped in y"):
        mistaken()


@settings(max_examples=10)
@given(strategies.calls("int8"))
def test_calls_have_the_type_asked_for(call: dict[str, Any]) -> None:
    assert call["x"].dtype == call["weight"].dtype == np.int8


def test_without_hypothesis_the_strategies_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "npconv.testing.strategies")
    with pytest.raises(ModuleNotFoundError, match="needs hypothesis"):
        import_module("npconv.testing.strategies")


def test_without_hypothesis_the_message_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import npconv.testing\n"
        "try:\n    npconv.testing.strategies\nexcept ModuleNotFoundError as fault:\n    print(fault)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == (
        'npconv.testing.strategies needs hypothesis. Did you mean python -m pip install "npconv[testing]"?\n'
    )
