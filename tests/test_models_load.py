"""A module that is run, and the targets of a command: names, files and functions, where PyTorch is a stand-in."""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from npconv.models.extra import optional
from npconv.models.load import load
from npconv.models.torch_module import from_torch
from npconv.networks import Layer


class Tensor:
    """What has a shape; PyTorch's have more."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'^an ONNX file needs onnx\. Install with: pip install "npconv\[onnx\]"$'
    ):
        load("network.onnx")


# A stand-in for PyTorch: its modules call operators, and a mode that is entered sees them.

modes: list[Any] = []


class Mode:
    """Sees every operator while it is entered."""

    def __enter__(self) -> None:
        modes.append(self)

    def __exit__(self, *_: object) -> None:
        modes.pop()


class Operator:
    """Returns a tensor of a shape. One of PyTorch's is made of another, which would be called next."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.overloadpacket, self.shape = name, shape

    def decompose(self, *_: Any, **__: Any) -> Any:
        return Tensor(*self.shape) if self.overloadpacket == "aten.conv2d" else NotImplemented

    def __call__(self, *_: Any, **__: Any) -> Tensor:
        return Tensor(*self.shape)


class Parameter(Tensor):
    """A tensor that is learned."""

    dtype, device = "float32", "cpu"

    def numel(self) -> int:
        return 108


class Module:
    """Runs one convolution, and tells its hooks before and after."""

    def __init__(self) -> None:
        self.weight, self.training, self.hooks = Parameter(4, 3, 3, 3), True, list[Any]()
        self.shape: tuple[int, ...] = (1, 4, 6, 6)

    def parameters(self) -> Iterator[Parameter]:
        return iter([self.weight])

    def modules(self) -> list["Module"]:
        return [self]

    def named_modules(self) -> list[tuple[str, "Module"]]:
        return [("conv", self)]

    def eval(self) -> None:
        self.training = False

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Any:
        self.hooks.append(hook)
        return SimpleNamespace(remove=lambda: self.hooks.remove(hook))

    def register_forward_hook(self, hook: Callable[..., Any], *, always_call: bool) -> Any:
        assert always_call
        return self.register_forward_pre_hook(hook)

    def __call__(self, x: Tensor) -> Tensor:
        assert not self.training
        before, after = self.hooks
        before(self, x)
        arguments = (x, self.weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
        modes[-1].__torch_dispatch__(Operator("aten.conv2d", self.shape), (), arguments)
        operator = Operator("aten.convolution", self.shape)
        result: Tensor = modes[-1].__torch_dispatch__(operator, (), arguments)
        after(self, x, result)
        return result


@contextmanager
def nothing() -> Iterator[None]:
    """Do nothing."""
    yield


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Put the stand-in where PyTorch is looked for."""
    fake = ModuleType("torch")
    fast = [True]
    mapping: Callable[[], MutableMapping[Any, Any]] = dict
    contents = {
        "Tensor": Tensor,
        "nn": SimpleNamespace(Module=Module),
        "no_grad": nothing,
        "empty": lambda shape: SimpleNamespace(dtype="float32", device="cpu"),
        "zeros": lambda shape, dtype, device: Tensor(*shape),
        "utils": SimpleNamespace(weak=SimpleNamespace(WeakTensorKeyDictionary=mapping)),
        "backends": SimpleNamespace(
            mha=SimpleNamespace(get_fastpath_enabled=lambda: fast[-1], set_fastpath_enabled=fast.append)
        ),
    }
    for name, value in contents.items():
        setattr(fake, name, value)
    dispatch: Any = ModuleType("torch.utils._python_dispatch")
    dispatch.TorchDispatchMode = Mode
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setitem(sys.modules, "torch.utils._python_dispatch", dispatch)
    return fake


@pytest.mark.parametrize("given", [(1, 3, 8, 8), Tensor(1, 3, 8, 8)])
def test_a_module_is_run_once_and_left_as_it_was(torch: ModuleType, given: Any) -> None:
    module: Any = Module()
    net = from_torch(module, given)
    assert net.layers == (Layer("conv", (1, 3, 8, 8), (4, 3, 3, 3)),)
    assert (net.name, net.trainable_parameters, net.uncounted) == ("Module", 108, ())
    assert (module.training, module.hooks, modes) == (True, [], [])
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_a_module_cannot_be_run_on_is_told(torch: ModuleType) -> None:
    no_module: Any = Module
    module: Any = Module()
    with pytest.raises(
        TypeError, match=r"^from_torch: module is a type, but must be a torch\.nn\.Module\. Did you mean"
    ):
        from_torch(no_module, (1, 3, 8, 8))
    with pytest.raises(
        ValueError, match=r"^from_torch: the forward pass of Module failed: TypeError: .*Did you mean other"
    ):
        from_torch(module)
    for given in (3, "x", (1, 2.5)):
        with pytest.raises(
            TypeError, match=r"^from_torch: an input is .*, but must be a tensor or a shape\. Did you mean \(1, 3"
        ):
            from_torch(module, given)


FACTORIES = """
from npconv.networks import network
NUMBER = 3
def net(): return network("vgg-16")
def fails(): raise RuntimeError("no weights")
def number(): return NUMBER
def nothing(): return ()
"""
MODULES = """
from test_models_load import Module
def alone(): return Module()
def whole(): return Module(), (1, 3, 8, 8)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to a folder with modules of functions, which nobody has imported afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "factories.py").write_text(FACTORIES)
    (tmp_path / "fake_modules.py").write_text(MODULES)
    (tmp_path / "broken.py").write_text("import no_such_package")
    path, known = list(sys.path), set(sys.modules)
    yield tmp_path
    assert sys.path == path
    for name in {"factories", "fake_modules", "broken"} - known:
        sys.modules.pop(name, None)


def test_names_and_functions_are_told_apart(folder: Path, torch: ModuleType) -> None:
    assert load("vgg-16") == load("factories:net")
    assert (
        load("fake_modules:whole").products == load("fake_modules:alone", input_shape=(1, 3, 8, 8)).products == 36 * 108
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("vgg-19", r"^network: there is no network 'vgg-19'\. Did you mean 'vgg-16'"),
        (
            "some/net.pt",
            r"^load: there is no file some/net\.pt, and no network of that name\. Did you mean package\.module:factory",
        ),
        ("nowhere:net", r"^load: there is no module 'nowhere'\. Did you mean one in the working directory"),
        ("factories.inner:net", r"^load: there is no module 'factories\.inner'"),
        ("broken:net", r"^load: importing broken failed, ModuleNotFoundError: No module named 'no_such_package'\. Did"),
        (
            "factories:nett",
            r"^load: factories is there, but 'nett' is not in it\. Did you mean one of: network, net, fails",
        ),
        ("factories:NUMBER", r"^load: factories is there, but 'NUMBER' is no function\."),
        ("factories:fails", r"^load: fails\(\) failed, RuntimeError: no weights\. Did you mean another function\?"),
        ("factories:number", r"^load: it returned int, but must return a Network or a PyTorch module\. Did you mean"),
        ("factories:nothing", r"^load: it returned tuple, but must"),
        (
            "fake_modules:alone",
            r"^load: it returned a Module alone, and not what that takes\. Did you mean to give input_shape",
        ),
    ],
)
def test_targets_that_are_none_are_refused(folder: Path, torch: ModuleType, target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(target)


def test_a_package_that_lacks_another_says_so_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_package'$"):
        optional("broken", "nothing")
    monkeypatch.undo()


def test_a_number_is_no_module_where_pytorch_is_not_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(ValueError, match=r"^load: it returned int"):
        load("factories:number")


def test_a_path_is_read_as_a_file(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / "missing.onnx"))
    (tmp_path / "net").write_text("text")
    with pytest.raises(ValueError, match=r"^from_onnx: .*net is no ONNX file"):
        load(str(tmp_path / "net"))
