"""The engines that are timed, behind the same few methods. They live in workers, and import their library there."""

import contextlib
import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from bench.layers import Array, Layer
from bench.timed import Timed
from npconv.memory import aligned


class Engine(Timed, ABC):
    """A library with one layer ready, in as many variants as it has good ways to run it.

    Attributes
    ----------
    label : str
        Its name in tables.
    packages : tuple of str
        What has to be installed, as imported; the first one's version is reported.
    dtypes : tuple of str
        The types that it convolves.
    """

    label: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    @classmethod
    def missing(cls) -> list[str]:
        """Return the packages that are not installed."""
        return [name for name in cls.packages if importlib.util.find_spec(name) is None]

    @classmethod
    def version(cls) -> str:
        """Return the installed version."""
        return importlib.metadata.version(cls.packages[0])

    @abstractmethod
    def ready(self, layer: Layer, x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
        """Return the ways to compute the layer, by name: calls that return the result in the library's own form."""

    def prepare(self, layer: Layer, dtype: str) -> dict[str, Array]:
        """Make a layer ready and return each variant's output, shape (N, O, OH, OW)."""
        outputs = self.take_up(layer.arrays(dtype), partial(self.ready, layer))
        return {name: y.reshape(layer.geometry.y_shape) for name, y in outputs.items()}


class Npconv(Engine):
    """The library that is measured here: a plan, which writes into an array of its caller."""

    label = "npconv"
    packages = ("npconv",)
    dtypes = ("float32", "float64")

    @classmethod
    def version(cls) -> str:
        """Return the version of the package that is imported, installed or not."""
        import npconv

        return npconv.__version__

    def ready(self, layer: Layer, x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
        """As `Engine.ready`."""
        import npconv as nc

        plan = nc.plan_conv2d(x.shape, weight, **layer.options, num_threads=self.threads)
        y = aligned(layer.geometry.y_shape, x.dtype)
        return {plan.method: lambda: plan(x, y)}


class Calls(Npconv):
    """The functional call, which prepares nothing beforehand."""

    def ready(self, layer: Layer, x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
        """As `Engine.ready`."""
        import npconv as nc

        nc.set_num_threads(self.threads)
        return {"conv2d": partial(nc.conv2d, x, weight, **layer.options)}


class InferenceMode(Timed):
    """Calls of PyTorch in inference mode."""

    def __init__(self, threads: int) -> None:
        import torch

        super().__init__(threads)
        torch.set_num_threads(threads)
        # For the life of this process.
        self.mode = contextlib.ExitStack()
        self.mode.enter_context(torch.inference_mode())


class PyTorch(InferenceMode, Engine):
    """PyTorch in its two memory layouts; to change from one to the other costs nothing here."""

    label = "PyTorch"
    packages = ("torch",)
    dtypes = ("float32", "float64")

    def ready(self, layer: Layer, x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
        """As `Engine.ready`."""
        import torch

        (top, bottom), (left, right) = layer.geometry.padding
        image, filters = torch.from_numpy(x), torch.from_numpy(weight)
        options: dict[str, Any] = {**layer.options, "padding": (top, left)}
        if top != bottom or left != right:
            # Its conv2d pads both ends of an axis alike. What it cannot do costs nothing here.
            image = torch.nn.functional.pad(image, (left, right, top, bottom))
            options["padding"] = 0

        def variant(memory_format: Any) -> Callable[[], Any]:
            x, weight = (tensor.to(memory_format=memory_format) for tensor in (image, filters))
            return lambda: torch.nn.functional.conv2d(x, weight, **options)

        return {"contiguous": variant(torch.contiguous_format), "channels last": variant(torch.channels_last)}


def onnx_model(layer: Layer, weight: Array) -> bytes:
    """Return a float32 model of one convolution with constant weights, serialised."""
    from onnx import TensorProto, helper, numpy_helper

    g = layer.geometry
    (top, bottom), (left, right) = g.padding
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=g.stride,
        pads=[top, left, bottom, right],
        dilations=g.dilation,
        group=g.groups,
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, g.x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, g.y_shape)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    # The oldest form that has this operator set, which every reader of today knows.
    model.ir_version = 8
    serialised: bytes = model.SerializeToString()
    return serialised


class OnnxRuntime(Engine):
    """ONNX Runtime: a prepared session, called as usual and with its arrays bound beforehand."""

    label = "ONNX Runtime"
    packages = ("onnxruntime", "onnx")

    def ready(self, layer: Layer, x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
        """As `Engine.ready`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(onnx_model(layer, weight), options, providers=["CPUExecutionProvider"])
        y = aligned(layer.geometry.y_shape, x.dtype)
        binding = session.io_binding()
        for bind, name, array in ((binding.bind_input, "x", x), (binding.bind_output, "y", y)):
            bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

        def bound() -> Array:
            session.run_with_iobinding(binding)
            return y

        return {"run": lambda: session.run(None, {"x": x})[0], "bound": bound}


class OpenVino(Engine):
    """OpenVINO, told to compute in float32: on some CPUs it would take bfloat16."""

    label = "OpenVINO"
    packages = ("openvino", "onnx")

    def ready(self, layer: Layer, x: Array, weight: Array) -> dict[str, Callable[[], Any]]:
        """As `Engine.ready`."""
        import openvino

        core = openvino.Core()
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": self.threads}
        model = core.compile_model(core.read_model(onnx_model(layer, weight)), "CPU", options)
        request = model.create_infer_request()
        request.set_input_tensor(openvino.Tensor(x, shared_memory=True))

        def infer() -> Array:
            request.infer()
            y: Array = request.get_output_tensor().data
            return y

        return {"infer": infer}


ENGINES: dict[str, type[Engine]] = {engine.label: engine for engine in (Npconv, PyTorch, OnnxRuntime, OpenVino)}
# How a layer is computed: with all that can be prepared, or by a function of the library that is given everything each time.
FORMS: dict[str, Mapping[str, type[Engine]]] = {
    "prepared": ENGINES,
    "call": {Calls.label: Calls, PyTorch.label: PyTorch},
}
