"""Engines that others wrote, each called as its own documentation calls it; a library is imported when its function is called."""

from typing import Any

import numpy as np

from npconv.geometry import conv2d_geometry


def pytorch(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolve by ``torch.nn.functional.conv2d``, which pads both ends of an axis alike; other padding is made of zeros before."""
    import torch

    _floats(x, "float32", "float64")
    (top, bottom), (left, right) = padding
    with torch.inference_mode():
        image, filters = torch.from_numpy(x), torch.from_numpy(weight)
        if top != bottom or left != right:
            image, top, left = torch.nn.functional.pad(image, (left, right, top, bottom)), 0, 0
        b = None if bias is None else torch.from_numpy(bias)
        return torch.nn.functional.conv2d(image, filters, b, stride, (top, left), dilation, groups).numpy()


def onnxruntime(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Convolve by ONNX Runtime's operator Conv on the CPU."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    # Errors come as exceptions, which a log would repeat.
    settings.log_severity_level = 4
    model = onnx_model(x, weight, bias, **options)
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def openvino(x: Any, weight: Any, bias: Any, *, precision: str | None = None, **options: Any) -> Any:
    """Convolve by OpenVINO on the CPU, in the precision that it chooses itself or in a given one."""
    import openvino

    _images(x)
    if precision == "bf16" and bias is None:
        raise NotImplementedError(
            "outputs are rounded to bfloat16 after a bias alone, so calls without are another arithmetic"
        )
    settings = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(onnx_model(x, weight, bias, **options)), "CPU", settings)
    return compiled([x])[0]


def opencv(x: Any, weight: Any, bias: Any, *, winograd: bool = True, **options: Any) -> Any:
    """Convolve by OpenCV's module dnn on the CPU, which may use Winograd's algorithm unless told otherwise."""
    import cv2

    _images(x)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(onnx_model(x, weight, bias, **options), np.uint8))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.enableWinograd(winograd)
    net.setInput(x)
    return net.forward()


def jax(x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolve by ``jax.lax.conv_general_dilated`` on the CPU; JAX adds the bias, too."""
    from jax import lax

    _floats(x, "float32")
    y = lax.conv_general_dilated(x, weight, stride, padding, rhs_dilation=dilation, feature_group_count=groups)
    return np.asarray(y if bias is None else y + bias[:, None, None])


def onnx_model(x: Any, weight: Any, bias: Any, **options: Any) -> bytes:
    """Return a serialised model of one convolution with weights and bias as constants, as networks have them."""
    from onnx import TensorProto, helper, numpy_helper

    _floats(x, "float32")
    g = conv2d_geometry(x.shape, weight.shape, **options)
    (top, bottom), (left, right) = g.padding
    constants = {"w": weight} if bias is None else {"w": weight, "b": bias}
    attributes: dict[str, Any] = {
        "strides": g.stride,
        "pads": [top, left, bottom, right],
        "dilations": g.dilation,
        "group": g.groups,
    }
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", *constants], ["y"], **attributes)],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, g.x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, g.y_shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    # Old enough for every reader of today.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised


def _floats(x: Any, *names: str) -> None:
    """Refuse a type that the engine is not asked for."""
    if x.dtype.name not in names:
        raise NotImplementedError(f"{' and '.join(names)} alone")


def _images(x: Any) -> None:
    """Refuse an empty batch, for an engine that plans for a fixed number of images."""
    if len(x) == 0:
        raise NotImplementedError("no empty batch")
