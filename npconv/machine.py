"""Kernels compiled before they are needed, and what this installation consists of."""

import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core import config

import npconv
from npconv.arrays import as_array, as_out, result_dtypes
from npconv.geometry import conv2d_geometry
from npconv.kernels.comparing import comparison
from npconv.kernels.compile import cache_folder
from npconv.kernels.targets import target
from npconv.memory import check_room
from npconv.plan import make_plan
from npconv.recent import CALLS
from npconv.threads import get_num_threads

# One layer of each common kind: 3x3, 1x1, grouped 3x3, depthwise 3x3 at stride 1 and 2.
COMMON_LAYERS: tuple[tuple[Any, ...], ...] = (
    ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ((1, 64, 56, 56), (256, 64, 1, 1)),
    ((1, 128, 56, 56), (128, 4, 3, 3), {"padding": 1, "groups": 32}),
    ((1, 32, 112, 112), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    ((1, 32, 112, 112), (32, 1, 3, 3), {"padding": 1, "groups": 32, "stride": 2}),
)

OPTIONAL_PACKAGES = ("rich", "matplotlib", "hypothesis", "torch", "onnxruntime", "openvino")


def warmup(layers: Iterable[tuple[Any, ...]] = COMMON_LAYERS, *, dtypes: Iterable[Any] = (np.float32,)) -> float:
    """Compile the kernels that layers need, or load them from the disk cache, by running each layer once on zeros.

    A kernel is compiled for a type and a register tile, and the tile depends on the layer. A later layer of the same
    type and tile finds its kernel ready.

    Parameters
    ----------
    layers : iterable of (x_shape, weight_shape) or (x_shape, weight_shape, options), optional
        Shapes of the layers to come, and a dictionary of the options ``stride``, ``padding``, ``dilation``, ``groups``
        and ``method`` of `conv2d`. By default one layer of each common kind: 3x3, 1x1, grouped 3x3, depthwise 3x3 at
        stride 1 and 2.
    dtypes : iterable of dtype, optional
        Types of the inputs and weights to come.

    Returns
    -------
    float
        Seconds that it took.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `conv2d`, and if a layer is something else.

    Examples
    --------
    >>> import npconv as nc
    >>> layers = [((1, 3, 8, 8), (4, 3, 3, 3), {"padding": 1}), ((1, 4, 8, 8), (2, 4, 1, 1))]
    >>> seconds = nc.warmup(layers, dtypes=["float32"])
    >>> seconds > 0
    True
    """
    begin = time.perf_counter()
    wanted = [_layer(layer) for layer in layers]
    for dtype in map(np.dtype, dtypes):
        for x_shape, weight_shape, options in wanted:
            _run_once(x_shape, weight_shape, dtype, **options)
    # What a repeated call is recognised by.
    for call in CALLS:
        comparison(*call)
    return time.perf_counter() - begin


def _layer(layer: tuple[Any, ...]) -> tuple[Any, Any, Mapping[str, Any]]:
    match layer:
        case (x_shape, weight_shape):
            return x_shape, weight_shape, {}
        case (x_shape, weight_shape, Mapping() as options):
            return x_shape, weight_shape, options
    raise ValueError(
        f"warmup: a layer is {layer!r}, but must be (x_shape, weight_shape) or (x_shape, weight_shape, options). "
        "Did you mean a list of one layer?"
    )


def _run_once(x_shape: Any, weight_shape: Any, dtype: np.dtype[Any], method: str = "auto", **options: Any) -> None:
    geometry = conv2d_geometry(x_shape, weight_shape, **options, operation="warmup")
    dtype = as_array("warmup", "x", np.empty(0, dtype)).dtype
    dtypes = result_dtypes("warmup", dtype, dtype)
    for what, shape in (("the input", geometry.x_shape), ("the weight", geometry.weight_shape)):
        check_room("warmup", what, shape, dtype)
    y = as_out("warmup", None, geometry.y_shape, dtypes[0], ())
    x, weight = np.zeros(geometry.x_shape, dtype), np.zeros(geometry.weight_shape, dtype)
    make_plan("warmup", geometry, weight, None, dtypes, method, get_num_threads()).run(x, y, counted=False)


def show_versions() -> None:
    """Print what this installation consists of, for a report: versions, the CPU and the cache.

    Examples
    --------
    >>> import npconv as nc
    >>> nc.show_versions()  # doctest: +ELLIPSIS
    npconv       ...
    cache        ...
    """
    for name, value in versions().items():
        print(f"{name:<12} {value}")


def versions() -> dict[str, str]:
    """Return what `show_versions` prints."""
    cpu = target()
    lanes = ", ".join(f"{cpu.lanes(np.dtype(name).itemsize)} {name}" for name in ("float32", "float64"))
    return {
        "npconv": npconv.__version__,
        "Python": f"{platform.python_version()} ({sys.implementation.name}, {platform.platform()})",
        "NumPy": np.__version__,
        "Numba": f"{numba.__version__}{' (compilation is switched off)' if config.DISABLE_JIT else ''}",
        "llvmlite": llvmlite.__version__,
        "LLVM": ".".join(map(str, binding.llvm_version_info)),
        "CPU": config.CPU_NAME or binding.get_host_cpu_name(),
        "registers": f"{cpu.registers} of {cpu.vector_bytes} bytes, {'with' if cpu.fma else 'no'} fused multiply-add",
        "lanes": lanes,
        "threads": str(get_num_threads()),
        **{name: _installed(name) for name in OPTIONAL_PACKAGES},
        "cache": str(cache_folder()),
    }


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
