"""Warming up, and what an installation says of itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import config

import npconv as nc
from npconv.kernels.targets import Target

# The room that both functions live in, whatever its name.
ROOM = sys.modules[nc.warmup.__module__]


def test_public_names_stay_functions_whatever_is_imported_first() -> None:
    for first in ("nc.show_versions", "nc.warmup", f"import_module({ROOM.__name__!r})"):
        program = f"import npconv as nc; from importlib import import_module; {first}; print(type(nc.warmup).__name__)"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert result.stdout == "function\n", first


def test_what_was_warmed_up_is_compiled_no_more(tmp_path: Path) -> None:
    program = """
import json, sys
from pathlib import Path
import numpy as np
import npconv as nc

def files():
    return sorted(path.name for path in Path(sys.argv[1]).rglob("*.nbc"))

layers = [((1, 6, 9, 20), (8, 3, 3, 3), {"padding": 1, "groups": 2}), ((1, 4, 9, 20), (4, 1, 3, 3), {"method": "naive", "groups": 4})]
seconds = nc.warmup(layers)
warm = files()
for x_shape, weight_shape, options in layers:
    x, weight = np.ones(x_shape, np.float32), np.ones(weight_shape, np.float32)
    for bias in (None, np.ones(len(weight), np.float32)):
        for _ in range(3):
            nc.conv2d(x, weight, bias, return_counts=True, **options)
after = files()
image, depthwise, pointwise = (np.ones(shape, np.float32) for shape in ((1, 4, 9, 20), (4, 1, 3, 3), (4, 4)))
for _ in range(3):
    nc.separable_conv2d(image, depthwise, pointwise)
compared = [name for name in files() if "same_call" in name]
json.dump([seconds, warm, after, compared], sys.stdout)
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds, warm, after, compared = json.loads(result.stdout)
    assert seconds > 0
    assert {name.rpartition("-")[0] for name in warm} >= {"npconv.kernels.naive.naive"}
    assert len(warm) >= 2
    assert after == warm
    # A separable call is compared by what was warmed up, too.
    assert set(compared) <= set(warm)


def test_without_arguments_the_common_layers_are_compiled() -> None:
    assert 0 < nc.warmup() < 600


def test_layers_are_given_in_any_form_of_shape() -> None:
    layers: list[Any] = [((0, 2, 4, 4), (2, 2, 3, 3)), [[0, 2, 4, 4], np.array([2, 1, 1, 1]), {"groups": 2}]]
    assert nc.warmup(layers, dtypes=["float64", np.int16, ">f2"]) > 0
    assert nc.warmup([]) >= 0


LAYER = ((1, 2, 4, 4), (2, 2, 3, 3))


@pytest.mark.parametrize(
    ("layers", "dtypes", "error", "message"),
    [
        (LAYER, ["float32"], ValueError, r"warmup: a layer is \(1, 2, 4, 4\).*Did you mean a list of one layer\?"),
        ([(*LAYER, {}, 1)], ["float32"], ValueError, "warmup: a layer is"),
        ([(*LAYER, 3)], ["float32"], ValueError, "warmup: a layer is"),
        ([7], ["float32"], ValueError, "warmup: a layer is 7"),
        ([((1, 3, 4, 4), (2, 2, 3, 3))], ["float32"], ValueError, "warmup: weight has 2 channels"),
        ([(*LAYER, {"stride": 1.0})], ["float32"], TypeError, "warmup: stride is 1.0"),
        ([(*LAYER, {"strides": 1})], ["float32"], TypeError, "unexpected keyword argument 'strides'"),
        ([(*LAYER, {"method": "fast"})], ["float32"], ValueError, "warmup: method is 'fast'"),
        ([(*LAYER, {"method": "depthwise"})], ["float32"], ValueError, "warmup: method 'depthwise' serves"),
        ([LAYER], ["bool"], TypeError, "warmup: x has dtype bool"),
        ([LAYER], ["no type"], TypeError, "no type"),
        ([((1, 2, 10**9, 10**9), (2, 2, 3, 3))], ["float32"], MemoryError, "warmup: the input"),
        ([((1, 1, 10**30, 1), (1, 1, 1, 1), {"stride": 10**30})], ["float32"], MemoryError, "warmup: the input"),
        ([((1, 1, 1, 1), (10**15, 1, 1, 1))], ["float32"], MemoryError, "warmup: the weight"),
        ([((1, 1, 1, 1), (1, 1, 1, 1), {"padding": 10**12})], ["float32"], MemoryError, "warmup: the result"),
    ],
)
def test_mistakes_are_told(layers: Any, dtypes: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nc.warmup(layers, dtypes=dtypes)


def test_versions_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROOM, "OPTIONAL_PACKAGES", ("rich", "no-such-package"))
    nc.show_versions()
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(told) == [
        *["npconv", "Python", "NumPy", "Numba", "llvmlite", "LLVM", "CPU", "registers", "lanes", "threads"],
        *["rich", "no-such-package", "cache"],
    ]
    assert told["npconv"] == nc.__version__
    assert told["Python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert told["NumPy"] == np.__version__
    assert told["LLVM"].count(".") == 2
    assert told["threads"] == str(nc.get_num_threads())
    assert told["no-such-package"] == "not installed"
    assert told["rich"][0].isdigit()
    assert Path(told["cache"]).name.startswith("npconv-")


def test_versions_tell_of_another_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CPU_NAME", "generic")
    monkeypatch.setattr(config, "DISABLE_JIT", True)
    monkeypatch.setattr(ROOM, "target", lambda: Target(vector_bytes=16, registers=16, fma=False))
    told = ROOM.versions()
    assert told["CPU"] == "generic"
    assert told["Numba"].endswith("(compilation is switched off)")
    assert told["registers"] == "16 of 16 bytes, no fused multiply-add"
    assert told["lanes"] == "4 float32, 2 float64"
    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(config, "DISABLE_JIT", False)
    monkeypatch.setattr(ROOM, "target", lambda: Target(vector_bytes=64, registers=32, fma=True))
    told = ROOM.versions()
    assert told["CPU"] != "generic"
    assert told["Numba"].count("(") == 0
    assert told["registers"] == "32 of 64 bytes, with fused multiply-add"
