"""A PyTorch module as a network: it runs once, and every operator that it calls is seen."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from npconv.arguments import complaint, members, shown
from npconv.models.aten import Calls
from npconv.models.extra import optional
from npconv.models.model import Listing, Model, Value
from npconv.receptive import ReceptiveField

if TYPE_CHECKING:
    import torch


def from_torch(module: "torch.nn.Module", *inputs: Any) -> Model:
    """List the convolutions (cross-correlations) and matrix products of a PyTorch module, as it runs them.

    The forward pass is run once, in evaluation mode and without gradients, and every operator is seen when it is called: those of
    subclasses and of functions too, weights that are computed, and modules that run more than once.

    Parameters
    ----------
    module : torch.nn.Module
        The network. Its mode is restored.
    *inputs : torch.Tensor or sequence of int
        What its forward pass takes; a shape stands for zeros of that shape.

    Returns
    -------
    Model
        Its layers. Their names are those of the modules that run them. What multiplies and could not be counted is
        named in ``uncounted``.

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed.
    TypeError
        If `module` is no module, or an input is neither a tensor nor a shape.
    ValueError
        If its forward pass fails on these inputs, or nothing in it can be counted.

    Notes
    -----
    A product with a constant matrix is a 1x1 convolution: of an image of 1x1 for one vector per image, else of all
    vectors of an image in a row. A convolution along one axis has images of one row.

    Examples
    --------
    >>> import npconv as nc
    >>> import torch  # doctest: +SKIP
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 10))  # doctest: +SKIP
    >>> net = nc.networks.from_torch(module, (1, 3, 8, 8))  # doctest: +SKIP
    >>> [(layer.name, layer.weight_shape) for layer in net.layers]  # doctest: +SKIP
    [('0', (8, 3, 3, 3)), ('2', (10, 288, 1, 1))]
    >>> net.products == 6 * 6 * 8 * 27 + 8 * 36 * 10  # doctest: +SKIP
    True
    """
    torch = optional("torch", "a PyTorch module")
    if not isinstance(module, torch.nn.Module):
        fault = TypeError(
            f"module is a {type(module).__name__}, but must be a torch.nn.Module. Did you mean to call it?"
        )
        raise complaint("from_torch", fault, {"module": module})
    tensors = [tensor_of(torch, module, each) for each in inputs]
    shapes = [tuple(tensor.shape) for tensor in tensors]
    listing = Listing(shapes[0][0] if shapes and shapes[0] else 1)
    values = torch.utils.weak.WeakTensorKeyDictionary()
    for tensor, shape in zip(tensors, shapes, strict=True):
        values[tensor] = Value(shape, field=ReceptiveField() if len(shape) == 4 else None)
    name, calls = type(module).__name__, Calls.onto(listing, values)
    try:
        with evaluated(torch, module), named(module) as place, watched(calls, place):
            module(*tensors)
    except Exception as fault:
        told = f"{type(fault).__name__}: {fault}".splitlines()[0]
        rule = f"the forward pass of {name} failed: {told}"
        raise complaint("from_torch", ValueError(f"{rule}. Did you mean other inputs?"), {"inputs": shapes}) from fault
    return listing.model("from_torch", name, sum(parameter.numel() for parameter in module.parameters()))


def tensor_of(torch: Any, module: Any, given: Any) -> Any:
    """Return an input as it is, or zeros of a shape, of the type and in the place of the module's parameters."""
    if isinstance(given, torch.Tensor):
        return given
    shape = members(given)
    if shape is None or not all(isinstance(n, int) for n in shape):
        fault = TypeError(
            f"an input is {shown(given)}, but must be a tensor or a shape. Did you mean (1, 3, 224, 224)?"
        )
        raise complaint("from_torch", fault, {"input": given})
    like = next(module.parameters(), torch.empty(()))
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


@contextmanager
def evaluated(torch: Any, module: Any) -> Iterator[None]:
    """Run the module as it is used after training, each of its parts by itself, and leave it as it was."""
    modes = [(part, part.training) for part in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    # One operator that does all of a transformer's layer would hide what it multiplies.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, training in modes:
            part.training = training


@contextmanager
def named(module: Any) -> Iterator[list[str]]:
    """Keep the names of the modules that run, the innermost last."""
    running = [""]
    hooks = []
    for name, part in module.named_modules():
        # A scripted module takes no hooks; what it calls has the name of the module around it.
        with suppress(RuntimeError):
            hooks.append(part.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
            hooks.append(part.register_forward_hook(lambda *_: running.pop() and None, always_call=True))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


def watched(calls: Calls, running: list[str]) -> Any:
    """Return a context in which every operator that is called is told to `calls`."""
    mode: Any = optional("torch.utils._python_dispatch", "a PyTorch module").TorchDispatchMode

    def see(watch: Any, operator: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        # In inference mode an operator may come whole that is made of others: those are seen in its place.
        with watch:
            result = operator.decompose(*arguments, **options)
        if result is NotImplemented:
            result = operator(*arguments, **options)
            calls.see(str(operator.overloadpacket), running[-1], arguments, options, result)
        return result

    return type("Watch", (mode,), {"__torch_dispatch__": see})()
