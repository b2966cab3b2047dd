"""One call of a function under test, with care: it may raise, hang, return anything at all, or write what it was given."""

import inspect
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from npconv.arguments import shown
from npconv.arrays import result_dtypes
from npconv.judge.call import Call
from npconv.judge.shapes import likely_reading
from npconv.memory import Array

# Called as f(x, weight, bias, stride=, padding=, dilation=, groups=), and with out= if it takes that.
Convolution: TypeAlias = Callable[..., Any]


class Trouble(StrEnum):
    """What keeps an output from being judged."""

    RAISED = "raised"
    HUNG = "hung"
    DIED = "died"
    WRONG_TYPE = "wrong type"
    WRONG_SHAPE = "wrong shape"
    VIEW = "view of its input"
    WROTE = "wrote its input"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one call.

    Parameters
    ----------
    y : ndarray or None
        The output, a copy, if it can be judged.
    trouble : Trouble or None
        What keeps it from that.
    text : str
        The trouble in a sentence, with what was seen and the likely fix.
    seconds : float
        How long the function took.
    """

    y: Array | None = None
    trouble: Trouble | None = None
    text: str = ""
    seconds: float = 0.0


class HungError(BaseException):
    """Raised inside a function whose time is up; no `except Exception` of its own can swallow it."""


def attempt(f: Convolution, call: Call, seconds: float, *, with_out: bool = False) -> Outcome:
    """Call a function once, and return its output or what is wrong with it.

    Parameters
    ----------
    f : callable
        ``f(x, weight, bias, *, stride, padding, dilation, groups)``. Options come as pairs, the padding as
        ``((top, bottom), (left, right))``.
    call : Call
        Operands and geometry; the function gets copies.
    seconds : float
        Its time. A signal ends it when that is up, which works in the main thread alone, and once Python code runs again:
        to end compiled code that never returns takes a process of its own (`npconv.judge.apart`).
    with_out : bool, default False
        Whether it takes ``out``.

    Returns
    -------
    Outcome
        An output of the right shape and kind in memory of its own, or a trouble.

    Examples
    --------
    >>> from npconv.judge.call import checked_call
    >>> call = checked_call(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)))
    >>> attempt(lambda x, weight, bias, **options: 2 * x, call, 1.0).y.tolist()
    [[[[2.0, 2.0], [2.0, 2.0]]]]
    >>> print(attempt(lambda x, weight, bias, **options: x, call, 1.0).text)
    it returned its own input x, or a view of it, which the caller may change. Did you mean x.copy()?
    """
    g = call.geometry
    inputs = {"x": call.x.copy(), "weight": call.weight.copy(), "bias": None if call.bias is None else call.bias.copy()}
    options: dict[str, Any] = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": g.groups}
    result_type = result_dtypes("check_function", call.x.dtype, call.weight.dtype)[0]
    if with_out:
        options["out"] = unwritten(g.y_shape, result_type)
    start = time.perf_counter()
    try:
        with time_limit(seconds):
            result = f(inputs["x"], inputs["weight"], inputs["bias"], **options)
    except NotImplementedError as reason:
        return Outcome(trouble=Trouble.UNSUPPORTED, text=str(reason))
    except HungError:
        return hung(seconds)
    except (Exception, SystemExit) as fault:
        return Outcome(trouble=Trouble.RAISED, text=f"it raised {type(fault).__name__}: {shown_text(fault)}")
    took = time.perf_counter() - start
    y = options.get("out") if result is None else result
    return judgeable(y, inputs, call, result_type, took)


def judgeable(
    result: Any, inputs: dict[str, Array | None], call: Call, result_type: np.dtype[Any], seconds: float
) -> Outcome:
    """Return a result as an output that can be judged, or why it cannot."""
    operands = {"x": call.x, "weight": call.weight, "bias": call.bias}
    for name, given in inputs.items():
        original = operands[name]
        if given is not None and original is not None and given.tobytes() != original.tobytes():
            text = f"it wrote to its input {name}, which belongs to the caller. Did you mean {name}.copy()?"
            return Outcome(trouble=Trouble.WROTE, text=text, seconds=seconds)
    if not (hasattr(result, "shape") and hasattr(result, "dtype")):
        what = "None" if result is None else f"{shown(result)[:40]} ... ({type(result).__name__})"
        text = f"it returned {what}, where an array is due. Did you mean return np.asarray(y)?"
        return Outcome(trouble=Trouble.WRONG_TYPE, text=text, seconds=seconds)
    y = np.asarray(result)
    g = call.geometry
    kinds, least = ("f", result_type.itemsize) if result_type.kind == "f" else ("iu", 4)
    if y.dtype.kind not in kinds or y.dtype.itemsize < least:
        text = f"it returned {y.dtype}, where {result_type} is due. Did you mean y.astype(np.{result_type.name})?"
        return Outcome(trouble=Trouble.WRONG_TYPE, text=text, seconds=seconds)
    if y.shape != g.y_shape:
        fix = likely_reading(y.shape, g)
        text = f"it returned shape {y.shape}, where {g.y_shape} is due. {fix}"
        return Outcome(trouble=Trouble.WRONG_SHAPE, text=text, seconds=seconds)
    for name, given in inputs.items():
        if given is not None and np.shares_memory(y, given):
            text = f"it returned its own input {name}, or a view of it, which the caller may change. Did you mean {name}.copy()?"
            return Outcome(trouble=Trouble.VIEW, text=text, seconds=seconds)
    return Outcome(y=np.array(y), seconds=seconds)


def takes_out(f: Convolution) -> bool:
    """Return whether a function has a parameter named out."""
    try:
        return "out" in inspect.signature(f).parameters
    except (TypeError, ValueError):
        # Some functions that are written in C do not tell.
        return False


def unwritten(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of what no convolution gives: NaN, or the least integer."""
    return np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).min, dtype)


def hung(seconds: float) -> Outcome:
    """Return the outcome of a call that took too long."""
    text = f"it had not returned after {seconds:g} s. Did you mean a longer time limit for one call?"
    return Outcome(trouble=Trouble.HUNG, text=text, seconds=seconds)


def shown_text(fault: BaseException) -> str:
    """Return an exception's own words, the first 300 of their letters."""
    text = " ".join(str(fault).split())
    return text if len(text) <= 300 else f"{text[:300]} ..."


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `HungError` in the code inside once its time is up, in the main thread; elsewhere there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signal_number: int, frame: Any) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
