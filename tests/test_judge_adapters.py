"""Engines and wrappers: each asks its library for the convolution that was asked of it, installed or played by a fake."""

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from functions_under_test import right
from npconv.judge import adapters
from npconv.judge.adapters import ENGINES, channels_last, engine, flattened_groups, one_number_options
from npconv.judge.model import Model
from npconv.judge.runner import check_function
from npconv.judge.verdict import Verdict

RNG = np.random.default_rng(0)
X, W, B = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 4, 6, 7), (6, 2, 3, 3), (6,)))
OPTIONS: dict[str, Any] = {"stride": (2, 1), "padding": ((0, 1), (2, 3)), "dilation": (1, 2), "groups": 2}
EVEN: dict[str, Any] = {**OPTIONS, "padding": ((1, 1), (2, 2))}
FOREIGN = [name for name in ENGINES if name != "npconv"]


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    """Let `import name` find a module with these contents."""
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


class Tensor(np.ndarray):
    """An array with PyTorch's way out."""

    def numpy(self) -> Any:
        """Return a plain array."""
        return self.view(np.ndarray)


def fake_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def conv2d(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
        pads = tuple((p, p) for p in padding)
        plain = (None if a is None else a.numpy() for a in (x, w, b))
        return right(*plain, stride=stride, padding=pads, dilation=dilation, groups=groups).view(Tensor)

    def pad(x: Any, sides: Any) -> Any:
        left, right_, top, bottom = sides
        return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right_))).view(Tensor)

    functional = SimpleNamespace(conv2d=conv2d, pad=pad)
    from contextlib import nullcontext

    fake(
        monkeypatch,
        "torch",
        nn=SimpleNamespace(functional=functional),
        from_numpy=lambda a: a.view(Tensor),
        inference_mode=nullcontext,
    )


def fake_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play ONNX: a model is what it was made from, and `ran` convolves by it."""

    class Made(SimpleNamespace):
        def SerializeToString(self) -> Any:  # ONNX's name
            return self

    helper = SimpleNamespace(
        make_node=lambda kind, inputs, outputs, **attributes: (kind, inputs, outputs, attributes),
        make_graph=lambda nodes, name, inputs, outputs, constants: (nodes[0], inputs, outputs, dict(constants)),
        make_tensor_value_info=lambda name, kind, shape: (name, kind, shape),
        make_opsetid=lambda domain, version: version,
        make_model=lambda graph, **settings: Made(graph=graph, **settings),
    )
    numpy_helper = SimpleNamespace(from_array=lambda array, name: (name, array))
    fake(monkeypatch, "onnx", helper=helper, numpy_helper=numpy_helper, TensorProto=SimpleNamespace(FLOAT=1))


def ran(model: Any, x: Any) -> Any:
    """Convolve as a fake model says."""
    (kind, inputs, outputs, attributes), (given,), (due,), constants = model.graph
    assert (kind, inputs[0], outputs) == ("Conv", "x", ["y"])
    assert given == ("x", 1, x.shape)
    top, left, bottom, right_ = attributes["pads"]
    y = right(
        x,
        constants["w"],
        constants.get("b"),
        stride=attributes["strides"],
        padding=((top, bottom), (left, right_)),
        dilation=attributes["dilations"],
        groups=attributes["group"],
    )
    assert due == ("y", 1, y.shape)
    return y


def fake_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_onnx(monkeypatch)

    def session(model: Any, settings: Any, providers: Any) -> Any:
        return SimpleNamespace(run=lambda names, feed: [ran(model, feed["x"])])

    fake(monkeypatch, "onnxruntime", SessionOptions=SimpleNamespace, InferenceSession=session)


def fake_openvino(monkeypatch: pytest.MonkeyPatch, settings: list[Any]) -> None:
    fake_onnx(monkeypatch)

    class Core:
        def read_model(self, model: Any) -> Any:
            return model

        def compile_model(self, model: Any, device: str, given: Any) -> Any:
            settings.append((device, given))
            return lambda feed: [ran(model, feed[0])]

    fake(monkeypatch, "openvino", Core=Core)


def fake_opencv(monkeypatch: pytest.MonkeyPatch, settings: list[Any]) -> None:
    fake_onnx(monkeypatch)

    class Net:
        def __init__(self, model: Any) -> None:
            self.model = model

        def setPreferableBackend(self, backend: int) -> None:
            settings.append(backend)

        def enableWinograd(self, flag: bool) -> None:
            settings.append(flag)

        def setInput(self, x: Any) -> None:
            self.x = x

        def forward(self) -> Any:
            return ran(self.model, self.x)

    monkeypatch.setattr(np, "frombuffer", lambda model, kind: model)
    fake(monkeypatch, "cv2", dnn=SimpleNamespace(readNetFromONNX=Net, DNN_BACKEND_OPENCV=3))


def fake_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    def conv(x: Any, w: Any, stride: Any, padding: Any, *, rhs_dilation: Any, feature_group_count: int) -> Any:
        return right(x, w, None, stride=stride, padding=padding, dilation=rhs_dilation, groups=feature_group_count)

    fake(monkeypatch, "jax", lax=SimpleNamespace(conv_general_dilated=conv))


@pytest.mark.parametrize("options", [OPTIONS, EVEN])
@pytest.mark.parametrize("bias", [None, B])
def test_engines_are_asked_for_the_same_convolution(
    options: dict[str, Any], bias: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_torch(monkeypatch)
    fake_onnxruntime(monkeypatch)
    fake_openvino(monkeypatch, [])
    fake_opencv(monkeypatch, [])
    fake_jax(monkeypatch)
    due = right(X, W, bias, **options)
    for name in FOREIGN:
        if name == "openvino-bfloat16" and bias is None:
            with pytest.raises(NotImplementedError, match="after a bias alone"):
                ENGINES[name].conv2d(X, W, bias, **options)
            continue
        np.testing.assert_allclose(ENGINES[name].conv2d(X, W, bias, **options), due, rtol=1e-5, atol=1e-5)


def test_settings_reach_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino: list[Any] = []
    opencv: list[Any] = []
    fake_openvino(monkeypatch, openvino)
    fake_opencv(monkeypatch, opencv)
    for name in ("openvino", "openvino-float32", "openvino-bfloat16", "opencv", "opencv-direct"):
        ENGINES[name].conv2d(X, W, B, **OPTIONS)
    hints = [{}, {"INFERENCE_PRECISION_HINT": "f32"}, {"INFERENCE_PRECISION_HINT": "bf16"}]
    assert openvino == [("CPU", hint) for hint in hints]
    assert opencv == [3, True, 3, False]


@pytest.mark.parametrize("name", FOREIGN)
def test_what_engines_do_not_offer_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch(monkeypatch)
    fake_onnxruntime(monkeypatch)
    fake_openvino(monkeypatch, [])
    fake_opencv(monkeypatch, [])
    fake_jax(monkeypatch)
    with pytest.raises(NotImplementedError, match="float32"):
        ENGINES[name].conv2d(X.astype(np.float16), W.astype(np.float16), B, **OPTIONS)
    if name.startswith("open"):
        with pytest.raises(NotImplementedError, match="no empty batch"):
            ENGINES[name].conv2d(X[:0], W, None, **OPTIONS)


def test_our_own_is_called_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    import npconv

    monkeypatch.setattr(npconv, "conv2d", lambda x, weight, bias, **options: (x, weight, bias, options))
    assert engine("npconv")(X, W, B, **OPTIONS) == (X, W, B, OPTIONS)


def test_engines_say_what_is_missing_and_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ENGINES["npconv"]
    assert (ours.missing, ours.version) == ([], __import__("npconv").__version__)
    gone = adapters.Engine("gone", right, {"not-there": "not_there", "numpy": "numpy"}, Model("float32"), "")
    assert (gone.missing, gone.version) == (["not-there"], "")
    monkeypatch.setitem(ENGINES, "gone", gone)
    with pytest.raises(ModuleNotFoundError, match="gone needs not-there"):
        engine("gone")
    with pytest.raises(ValueError, match="there is no engine 'caffe'"):
        engine("caffe")


def nhwc(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Convolve as TensorFlow lays it out."""
    y = right(x.transpose(0, 3, 1, 2), weight.transpose(3, 2, 0, 1), bias, **options)
    return y.transpose(0, 2, 3, 1)


def grouped(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Convolve group by group, the groups being an axis."""
    y = [
        right(x[:, i], weight[i], None if bias is None else bias[i], groups=1, **options)
        for i in range(weight.shape[0])
    ]
    return np.stack(y, 1)


def square(x: Any, weight: Any, bias: Any, *, stride: int, padding: int, dilation: int, groups: int) -> Any:
    """Convolve with one number for each option."""
    p = (padding, padding)
    return right(x, weight, bias, stride=(stride, stride), padding=(p, p), dilation=(dilation, dilation), groups=groups)


@pytest.mark.parametrize(
    ("wrap", "f"), [(channels_last, nhwc), (flattened_groups, grouped), (one_number_options, square)]
)
def test_wrappers_make_other_functions_comparable(wrap: Any, f: Any) -> None:
    summary = check_function(wrap(f), cases=150)
    assert summary.verdict is Verdict.WITHIN_BOUND, str(summary)
    assert (summary.skipped > 0) == (f is square)


def test_mistakes_are_named_through_a_wrapper() -> None:
    def forgets_to_transpose(x: Any, weight: Any, bias: Any, **options: Any) -> Any:
        # Reads HWIO filters as if they were OIHW.
        O, I, KH, KW = weight.shape[3], weight.shape[2], weight.shape[0], weight.shape[1]
        return nhwc(x, weight.reshape(O, I, KH, KW).transpose(2, 3, 1, 0), bias, **options)

    summary = check_function(channels_last(forgets_to_transpose))
    assert "HWIO weights read as OIHW" in summary.findings[0].names


@pytest.mark.parametrize("name", FOREIGN)
def test_real_engines(name: str) -> None:
    for module in ENGINES[name].packages.values():
        pytest.importorskip(module)
    cases = max(60, int(os.environ.get("NPCONV_EXAMPLES", "0")))
    summary = check_function(engine(name), model=ENGINES[name].model, cases=cases)
    for finding in summary.findings:
        # What is not finite is clamped by OpenCV, and colours a neighbour in OpenVINO's bfloat16, which it takes where the CPU does.
        dye = finding.case.probe.name == "dye" and name in ("opencv", "opencv-direct", "openvino", "openvino-bfloat16")
        # A padded 1x1 kernel makes OpenCV read beyond the image.
        g = finding.case.geometry
        beyond = name.startswith("opencv") and (g.KH, g.KW) == (1, 1) and any(map(any, g.padding))
        assert dye or beyond or (name == "openvino" and "bfloat16" in " ".join(finding.names)), str(summary)
