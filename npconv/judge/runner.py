"""A function put through many geometries and probes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from npconv.arguments import complaint, shown
from npconv.arrays import as_array
from npconv.judge.run import CASES, FAILURES, Limits, Run
from npconv.judge.summary import Summary
from npconv.judge.trial import Convolution, attempt, takes_out
from npconv.memory import DType


def check_function(
    f: Convolution,
    *,
    model: Any = None,
    dtype: Any = "float32",
    seed: int = 0,
    cases: int | None = None,
    time: float | None = None,
    timeout: float = 60.0,
    keep_going: bool = False,
    save: Any = None,
    progress: Callable[[str], None] | None = None,
) -> Summary:
    """Judge a 2-D convolution (cross-correlation: the filter is not flipped) that somebody else wrote, on many geometries.

    Parameters
    ----------
    f : callable
        ``f(x, weight, bias, *, stride, padding, dilation, groups)`` with arrays as `conv2d` has them, options as pairs and
        the padding as ``((top, bottom), (left, right))``; it returns the output. If it takes ``out`` as well, it gets an
        array full of NaN, or of the least integer, that it may write to instead. What it does not offer it may refuse by
        `NotImplementedError`: such cases are skipped and counted.
    model : str or Model, optional
        Arithmetic that it claims, as `check` takes it; by default sums in its result's type.
    dtype : dtype, default float32
        Type of x and weight.
    seed : int, default 0
        Where chance begins; the same seed asks for the same cases.
    cases : int, optional
        Number of cases to judge; 500 unless a time is given.
    time : float, optional
        Seconds to go on for.
    timeout : float, default 60
        Seconds for one call of `f`. They end Python code in the main thread alone; compiled code that never returns is
        ended by ``npconv check module:function``, which calls it in another process.
    keep_going : bool, default False
        Whether to look for other mistakes after twelve geometries failed.
    save : path, optional
        File ending in .npz for the smallest case that failed; those of other mistakes get numbers.
    progress : callable, optional
        Called with a line of text every now and then.

    Returns
    -------
    Summary
        How many cases were judged and skipped, and what was found, each mistake on its smallest geometry and with its name.

    Raises
    ------
    TypeError
        If `f` cannot be called, or `dtype` is none that `conv2d` takes.
    ValueError
        If a number is out of range, or the model does not fit the type.

    See Also
    --------
    check : Judge a single output.

    Notes
    -----
    Every geometry is given to each probe: integers whose sums are exact, where equality is demanded; pixels and taps that
    are numbered, whose output is the map of what was read; floats with few products to a sum, where the bound ``h*u*S`` is
    narrow. What failed is narrowed down by every further case that fails, and made as small as it still shows.

    Examples
    --------
    A function that leaves the bias out:

    >>> import npconv as nc
    >>> def forgetful(x, weight, bias, **options):
    ...     return nc.conv2d(x, weight, **options)
    >>> summary = nc.check_function(forgetful)
    >>> summary.verdict, summary.findings[0].names
    (<Verdict.WRONG: 'WRONG'>, ('bias missing',))
    """
    checked_callable(f)
    limits = checked_limits(cases, time, timeout, keep_going=keep_going)
    name = getattr(f, "__name__", type(f).__name__)
    with_out = takes_out(f)
    run = Run(
        lambda call: attempt(f, call, timeout, with_out=with_out), name, checked_dtype(dtype), model, seed, limits
    )
    return run.summary(None if save is None else Path(save), progress or (lambda text: None))


def checked_callable(f: Any) -> None:
    """Raise an error for what cannot be called."""
    if not callable(f):
        fault = f"f is {shown(f)} ({type(f).__name__}), which cannot be called. Did you mean the function itself?"
        raise complaint("check_function", TypeError(fault), {"f": f})


def checked_limits(cases: int | None, seconds: float | None, timeout: float, *, keep_going: bool = False) -> Limits:
    """Return how much a run asks for, in numbers that make sense."""
    for name, value in {"cases": cases, "time": seconds, "timeout": timeout}.items():
        if value is not None and not value > 0:
            fault = f"{name} is {value}, but must be above 0. Did you mean to leave it out?"
            raise complaint("check_function", ValueError(fault), {name: value})
    return Limits(CASES if cases is None and seconds is None else cases, seconds, None if keep_going else FAILURES)


def checked_dtype(dtype: Any) -> DType:
    """Return a type that can be convolved."""
    found: DType = np.dtype(dtype)
    as_array("check_function", "x", np.empty(0, found))
    return found
