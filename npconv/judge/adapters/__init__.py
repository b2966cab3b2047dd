"""Real engines as functions that the judge can call, and wrappers for functions with another layout or other options."""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from npconv.judge.adapters import foreign
from npconv.judge.adapters.layouts import channels_last, flattened_groups, one_number_options
from npconv.judge.model import MODELS, Model
from npconv.judge.trial import Convolution

__all__ = ["ENGINES", "Engine", "channels_last", "engine", "flattened_groups", "one_number_options"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A library that convolves, and the arithmetic that it is held to.

    Parameters
    ----------
    title : str
        Its name in reports.
    conv2d : callable
        ``f(x, weight, bias, *, stride, padding, dilation, groups)``, which raises `NotImplementedError` for what the
        library does not offer.
    packages : dict
        Distributions that have to be installed, each with the module that it brings; the first one's version counts.
    model : Model
        Arithmetic that it states, or that its users expect.
    note : str
        How it is called.

    Examples
    --------
    >>> from npconv.judge.adapters import ENGINES
    >>> print(ENGINES["openvino-bfloat16"].model)
    inputs rounded to bfloat16, sums in float32, outputs rounded to bfloat16, subnormals flushed to zero
    """

    title: str
    conv2d: Convolution
    packages: dict[str, str]
    model: Model
    note: str

    @property
    def missing(self) -> list[str]:
        """Distributions that are not installed."""
        return [package for package, module in self.packages.items() if find_spec(module) is None]

    @property
    def version(self) -> str:
        """Version of the first distribution, or nothing if it is not installed."""
        return "" if self.missing else version(next(iter(self.packages)))


def _ours(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Convolve by this library, as if it were anybody else's."""
    import npconv

    return npconv.conv2d(x, weight, bias, **options)


_OPENVINO = {"openvino": "openvino", "onnx": "onnx"}
_OPENCV = {"opencv-python-headless": "cv2", "onnx": "onnx"}
_FLOAT32 = MODELS["float32"]
# These set the processor to take subnormal numbers for zero.
_FLUSHING = Model("float32", flushes_subnormals=True)
ENGINES = {
    "npconv": Engine("npconv", _ours, {"npconv": "npconv"}, _FLOAT32, "as it comes"),
    "torch": Engine("PyTorch", foreign.pytorch, {"torch": "torch"}, _FLOAT32, "torch.nn.functional.conv2d as it comes"),
    "onnxruntime": Engine(
        "ONNX Runtime",
        foreign.onnxruntime,
        {"onnxruntime": "onnxruntime", "onnx": "onnx"},
        _FLOAT32,
        "operator Conv as it comes",
    ),
    "openvino": Engine(
        "OpenVINO", foreign.openvino, _OPENVINO, _FLUSHING, "as it comes: in bfloat16 on CPUs that multiply it"
    ),
    "openvino-float32": Engine(
        "OpenVINO in float32",
        partial(foreign.openvino, precision="f32"),
        _OPENVINO,
        _FLUSHING,
        "with INFERENCE_PRECISION_HINT=f32",
    ),
    "openvino-bfloat16": Engine(
        "OpenVINO in bfloat16",
        partial(foreign.openvino, precision="bf16"),
        _OPENVINO,
        Model("float32", inputs="bfloat16", output="bfloat16", flushes_subnormals=True),
        "with INFERENCE_PRECISION_HINT=bf16",
    ),
    "opencv": Engine("OpenCV", foreign.opencv, _OPENCV, _FLUSHING, "cv2.dnn as it comes"),
    "opencv-direct": Engine(
        "OpenCV without Winograd",
        partial(foreign.opencv, winograd=False),
        _OPENCV,
        _FLUSHING,
        "cv2.dnn with enableWinograd(False)",
    ),
    "jax": Engine("JAX", foreign.jax, {"jax": "jax"}, _FLUSHING, "jax.lax.conv_general_dilated as it comes"),
}


def engine(name: str) -> Convolution:
    """Return the function of an engine.

    Parameters
    ----------
    name : str
        Its name in `ENGINES`.

    Returns
    -------
    callable
        ``f(x, weight, bias, *, stride, padding, dilation, groups)`` of NumPy arrays.

    Raises
    ------
    ModuleNotFoundError
        If its library is not installed.
    ValueError
        If there is no such engine.

    Examples
    --------
    >>> from npconv.judge.adapters import engine
    >>> engine("caffe")
    Traceback (most recent call last):
        ...
    ValueError: there is no engine 'caffe'. Did you mean one of npconv.judge.adapters.ENGINES?
    """
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}. Did you mean one of npconv.judge.adapters.ENGINES?")
    found = ENGINES[name]
    if found.missing:
        packages = " ".join(found.missing)
        raise ModuleNotFoundError(f'{name} needs {packages}. Did you mean python -m pip install "npconv[engines]"?')
    for module in found.packages.values():
        # Now, and not within the time of the first call.
        import_module(module)
    return found.conv2d
