"""Networks through the kernels: executed = planned = closed form, layer by layer."""

import json
import os
import sys
from dataclasses import replace
from types import ModuleType

import pytest

import npconv as nc
from npconv.networks import NETWORKS, Layer, Network, network
from npconv.networks.execution import LayerRun

# All of them take minutes: nox -s networks.
QUICK = ("mobilenet-v1-0.25-128",)
CHOSEN = NETWORKS if os.environ.get("NPCONV_ALL_NETWORKS") else QUICK


@pytest.mark.parametrize("name", CHOSEN)
def test_executed_is_planned_is_closed_form(name: str) -> None:
    net = network(name)
    done = nc.networks.run(name, progress=False)
    assert [run.layer for run in done.layers] == list(net.layers)
    for run in done.layers:
        counts = run.layer.counts
        assert run.executed == run.planned
        assert (run.executed.mul, run.executed.add) == (counts.mul, counts.add)
        assert (run.executed.padding_mul, run.executed.padding_add) == (counts.padding_mul, counts.padding_add)
        assert run.executed.transform_mul == run.executed.transform_add == 0
        # Ones times ones: what came out is one for each useful product.
        assert run.result == counts.mul
        assert run.agrees
    assert done.agrees
    assert done.executed == done.planned
    assert (done.executed.mul, done.executed.dense_mul) == (net.counts.mul, net.products)


def small() -> Network:
    """Return two layers, the second with a bias and run twice."""
    layers = (
        Layer("first", (1, 2, 5, 5), (4, 2, 3, 3), padding=((1, 1), (1, 1))),
        Layer("second", (1, 4, 5, 5), (4, 1, 3, 3), groups=4, bias=True, times=2),
    )
    return Network("small", layers)


def test_layers_that_run_twice_are_run_twice() -> None:
    net = small()
    with nc.counting() as calls:
        done = nc.networks.run(net, num_threads=1)
    assert [call.x_shape for call in calls] == [(1, 2, 5, 5), (1, 4, 5, 5), (1, 4, 5, 5)]
    assert calls.total == done.executed
    assert done.layers[1].executed.mul == done.layers[1].result == 2 * 4 * 9 * 9


def test_progress_is_told_after_each_layer() -> None:
    told: list[tuple[str, int, int]] = []

    def watcher(run: LayerRun, number: int, total: int) -> None:
        told.append((run.layer.name, number, total))

    nc.networks.run(small(), progress=watcher)
    assert told == [("first", 1, 2), ("second", 2, 2)]


def test_progress_is_a_bar_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    nc.networks.run(small())
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    nc.networks.run(small())
    out, err = capfd.readouterr()
    assert out == ""
    assert "small" in err
    nc.networks.run(small(), progress=False)
    assert capfd.readouterr() == ("", "")


def test_progress_is_silent_without_rich(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("npconv.networks.execution.find_spec", {"math": ModuleType("math")}.get)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert nc.networks.run(small()).agrees
    assert capfd.readouterr() == ("", "")


def test_a_run_prints_what_it_found() -> None:
    done = nc.networks.run(small())
    lines = str(done).splitlines()
    assert [line.split()[0] for line in lines] == ["layer", "first", "second", "all", "executed"]
    assert lines[2].split()[2:4] == ["648", "0"]
    assert "executed = planned = closed form: in every layer" in lines[-1]
    told = json.loads(json.dumps(done.to_json()))
    assert (told["network"], told["agrees"], len(told["layers"])) == ("small", True, 2)
    assert told["layers"][1]["executed"]["mul"] == told["layers"][1]["closed_form"]["mul"] == 648
    assert told["layers"][1]["times"] == 2


@pytest.mark.parametrize(
    "part", ["mul", "add", "padding_mul", "padding_add", "idle_mul", "idle_add", "transform_mul", "moved"]
)
@pytest.mark.parametrize("whose", ["executed", "planned"])
def test_a_difference_in_any_count_is_noticed(whose: str, part: str) -> None:
    done = nc.networks.run(small())
    first = done.layers[0]
    counts = getattr(first, whose)
    wrong = replace(first, **{whose: replace(counts, **{part: getattr(counts, part) + 1})})
    told = replace(done, layers=(wrong, done.layers[1]))
    assert not wrong.agrees
    assert not told.agrees
    assert str(told).splitlines()[1].endswith("differs")
    assert "not in first" in str(told)


def test_a_result_that_lacks_a_product_is_noticed() -> None:
    run = nc.networks.run(small()).layers[0]
    assert not replace(run, result=run.result - 1).agrees


def test_a_network_without_layers_agrees_with_itself() -> None:
    done = nc.networks.run(Network("nothing", ()))
    assert done.agrees
    assert str(done).splitlines()[1].split()[:3] == ["all", "0", "0"]


def test_transposed_layers_have_no_kernel() -> None:
    net = Network("generator", (Layer("up", (1, 2, 3, 3), (2, 4, 2, 2), (2, 2), transposed=True),))
    with pytest.raises(ValueError, match=r"^run: up is transposed, and no kernel here executes that\. Did you mean"):
        nc.networks.run(net)
