"""The judge's front door: an output and the call that it should answer, and a report on both."""

from typing import Any, SupportsIndex

from npconv.arguments import PaddingLike, PairLike, complaint
from npconv.arrays import as_array
from npconv.judge.call import Call, checked_call
from npconv.judge.formats import FORMATS
from npconv.judge.model import Model, model_of
from npconv.judge.oracle import expected
from npconv.judge.report import Report
from npconv.judge.shapes import likely_reading
from npconv.judge.verdict import judge
from npconv.memory import Array


def check(
    actual: Any,
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: SupportsIndex = 1,
    model: Any = None,
    exact: bool = False,
) -> Report:
    """Judge the output of a 2-D convolution (cross-correlation: the filter is not flipped) that anything may have computed.

    Parameters
    ----------
    actual : array_like, shape (N, O, OH, OW)
        The output.
    x : array_like, shape (N, C, H, W)
        Input that it was computed from.
    weight : array_like, shape (O, C // groups, KH, KW)
        Filters.
    bias : array_like, shape (O,), optional
        Bias, as `conv2d`.
    stride, padding, dilation, groups
        As `conv2d`.
    model : str or Model, optional
        Arithmetic that the kernel claims: a key of ``npconv.judge.MODELS``, as "float32", "tf32" or "mixed_bfloat16", or a `Model`.
        By default that of `conv2d`: float16 summed in float32 and rounded once, other floats summed in their own type, integers
        that wrap.
    exact : bool, default False
        Whether sums are computed to the last bit, and not to about 2**-29 of what a float32 kernel may err by. For float64 they
        always are, as far as it matters.

    Returns
    -------
    Report
        The verdict and what it rests on. WRONG is proven: no order of summation in this arithmetic gives these values. EXACT and
        WITHIN_BOUND say that some order may; SUSPECT that errors are within the bound, but rare; INCONCLUSIVE that this data
        proves nothing.

    Raises
    ------
    TypeError
        If a type cannot be convolved, or that of `actual` cannot hold what the model gives.
    ValueError
        If shapes and options do not fit together, or the model is unknown.

    See Also
    --------
    conv2d : What is judged here by other means.

    Notes
    -----
    A sum of ``h`` products that are not zero, a bias among them, whose magnitudes add up to S, is computed to within ``h*u*S`` in any
    order, fused or not, u being the unit roundoff: Jeannerod and Rump (2013), "Improved error bounds for inner products in
    floating-point arithmetic"; ``npconv.judge.oracle`` has a proof. Where all partial sums are exact, equality is demanded. Products
    with padding count as any others: an infinite or NaN weight over padding must give NaN, unless the model may skip them.

    Examples
    --------
    The kernel forgot that windows overlap the padding at the right.

    >>> import numpy as np
    >>> import npconv as nc
    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))
    >>> y = nc.conv2d(x, weight, padding=1)
    >>> nc.check(y, x, weight, padding=1).verdict
    <Verdict.EXACT: 'EXACT'>
    >>> y[..., -1] = 0
    >>> report = nc.check(y, x, weight, padding=1)
    >>> report.where
    'last output column: all 3 outputs'
    >>> report.worst.got, report.worst.expected, report.worst.window
    (0.0, 6.0, 'rows 0 to 2, columns 1 to 3, channel 0 of x; 3 of its 9 taps lie in padding')
    """
    call = checked_call(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    actual = as_array("check", "actual", actual)
    actual = actual.astype(actual.dtype.newbyteorder("="), copy=False)
    claimed = model_of(model, call, actual.dtype)
    try:
        _check_fit(actual, call, claimed)
    except (TypeError, ValueError) as fault:
        options = call.options | ({} if model is None else {"model": str(model)})
        raise complaint(
            "check", fault, options, actual=actual.shape, x=call.x.shape, weight=call.weight.shape
        ) from None
    allowed = expected(call, claimed, exact=exact)
    return Report(call, claimed, actual, allowed, judge(actual, allowed, claimed))


def _check_fit(actual: Array, call: Call, model: Model) -> None:
    """Raise an error if an output is not of the shape that is due, or of a type that cannot hold it."""
    if actual.shape != call.geometry.y_shape:
        likely = likely_reading(actual.shape, call.geometry)
        text = (
            f"actual has shape {actual.shape}, but the output of this call has shape {call.geometry.y_shape}. {likely}"
        )
        raise ValueError(text.strip())
    if (actual.dtype.kind in "iu") != call.is_integer:
        kind, other = ("integers", "floats") if call.is_integer else ("floats", "integers")
        fix = "np.float64" if call.is_integer else "np.int64"
        raise TypeError(
            f"actual is {actual.dtype}, but x and weight are {kind}; {other} are no sum of those."
            f" Did you mean x.astype({fix}) and weight.astype({fix})?"
        )
    if call.is_integer:
        if actual.dtype.itemsize < int(model.accumulator.removeprefix("int")) // 8:
            raise TypeError(
                f"actual is {actual.dtype}, but sums are {model.accumulator}: an output that was scaled or cut is no sum."
                " Did you mean the kernel's output before that?"
            )
    elif FORMATS[actual.dtype.name].bits < FORMATS[model.result].bits:
        narrow = f'npconv.judge.Model("{model.accumulator}", output="{actual.dtype.name}")'
        raise TypeError(
            f"actual is {actual.dtype}, but the model's outputs are {model.result}. Did you mean model={narrow}?"
        )
