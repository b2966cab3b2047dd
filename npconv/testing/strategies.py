"""Hypothesis strategies: geometries and calls of convolutions, which shrink to small ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.call import checked_call
from npconv.judge.case import Case
from npconv.judge.geometries import choose_geometry
from npconv.judge.model import model_of
from npconv.judge.probes import probes_for

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as fault:
    raise ModuleNotFoundError(
        'npconv.testing.strategies needs hypothesis. Did you mean python -m pip install "npconv[testing]"?'
    ) from fault

# As many choices as a geometry takes, and some more.
CHOICES = 48


def geometries(max_products: int = 20_000) -> st.SearchStrategy[Geometry]:
    """Return geometries of all kinds: grouped, depthwise, dilated, with paddings that differ, even kernels, empty batches.

    Parameters
    ----------
    max_products : int, default 20000
        How many products a convolution may take, or about that many.

    Returns
    -------
    SearchStrategy of Geometry
        Shapes and options that fit together; every example is valid, none is rejected.

    Examples
    --------
    >>> from npconv.testing import strategies
    >>> strategies.geometries().example().y_shape  # doctest: +SKIP
    (2, 6, 5, 1)
    """
    # Bytes shrink one by one, and a zero takes the simplest choice. Of many little strategies Hypothesis would copy choices from
    # one axis to the other, and equal axes hide mistakes.
    return st.binary(min_size=CHOICES, max_size=CHOICES).map(lambda letters: _spelled(iter(letters), max_products))


def calls(dtype: Any = "float32", max_products: int = 20_000) -> st.SearchStrategy[dict[str, Any]]:
    """Return arguments of convolutions: arrays of every kind of probe, and options.

    Parameters
    ----------
    dtype : dtype, default float32
        Type of x and weight.
    max_products : int, default 20000
        As `geometries`.

    Returns
    -------
    SearchStrategy of dict
        With the keys x, weight, bias (an array or None), stride, padding, dilation and groups, ready for ``f(**call)``.

    Examples
    --------
    >>> import npconv as nc
    >>> from hypothesis import given, settings
    >>> from npconv.testing import assert_conv2d_close, strategies
    >>> @settings(max_examples=10)
    ... @given(strategies.calls())
    ... def test_my_kernel(call):
    ...     assert_conv2d_close(nc.conv2d(**call), **call)
    >>> test_my_kernel()
    """
    kind = np.dtype(dtype)
    one = np.ones((1, 1, 1, 1), kind)
    model = model_of(None, checked_call(one, one, operation="calls"))
    probes = st.sampled_from(probes_for(kind))
    cases = st.builds(
        Case, geometries(max_products), probes, st.just(kind), st.just(model), st.integers(0, 2**32 - 1), st.booleans()
    )
    return cases.map(_arguments)


def _arguments(case: Case) -> dict[str, Any]:
    """Return a case as keyword arguments."""
    call = case.call
    return {"x": call.x, "weight": call.weight, "bias": call.bias, **call.options}


def _spelled(letters: Iterator[int], products: int) -> Geometry:
    """Return the geometry that bytes stand for."""

    def choose(values: Sequence[Any]) -> Any:
        return values[next(letters) % len(values)]

    return choose_geometry(choose, products)
