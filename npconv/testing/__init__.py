"""For the test suites of others: an assertion whose message is the judge's report, and strategies for Hypothesis."""

from importlib import import_module
from typing import Any, SupportsIndex

from npconv.arguments import PaddingLike, PairLike
from npconv.judge.check import check
from npconv.judge.report import Report
from npconv.judge.verdict import Verdict

__all__ = ["NotCloseError", "assert_conv2d_close", "strategies"]


def __getattr__(name: str) -> Any:
    if name != "strategies":
        raise AttributeError(f"module 'npconv.testing' has no attribute {name!r}")
    return import_module("npconv.testing.strategies")


class NotCloseError(AssertionError):
    """Raised for an output that is wrong. Its text, the report, is made when it is read: Hypothesis drops most failures unread.

    Parameters
    ----------
    report : Report
        What is wrong.
    """

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report

    def __str__(self) -> str:
        return f"\n{self.report}"


def assert_conv2d_close(
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
    conclusive: bool = False,
) -> None:
    """Raise an error if an output of a 2-D convolution (cross-correlation: the filter is not flipped) is proven wrong.

    There is no tolerance to choose: each output may err by what rounding in the claimed arithmetic explains, and no more.

    Parameters
    ----------
    actual : array_like, shape (N, O, OH, OW)
        The output.
    x : array_like, shape (N, C, H, W)
        As `npconv.check`, and so are all that follow but the last.
    weight : array_like, shape (O, C // groups, KH, KW)
        Filters.
    bias : array_like, shape (O,), optional
        Bias.
    stride, padding, dilation, groups
        As `npconv.conv2d`.
    model : str or Model, optional
        Arithmetic that the kernel claims.
    conclusive : bool, default False
        Whether it is an error, too, if this data proves nothing.

    Raises
    ------
    NotCloseError
        An `AssertionError`, if it is wrong; the message is the report: where, by how much, and which mistake explains it.
    TypeError
        If a type cannot be convolved.
    ValueError
        If shapes and options do not fit together.

    See Also
    --------
    npconv.check : The report itself, whatever it says.

    Examples
    --------
    >>> import numpy as np
    >>> import npconv as nc
    >>> from npconv.testing import assert_conv2d_close
    >>> x, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1))
    >>> assert_conv2d_close(nc.conv2d(x, weight), x, weight)
    """
    report = check(
        actual, x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, model=model
    )
    if report.verdict is Verdict.WRONG or (conclusive and report.verdict is Verdict.INCONCLUSIVE):
        raise NotCloseError(report)
