"""Confidence intervals by the bootstrap: what the statistic would have been, had the rounds been drawn again."""

from collections.abc import Callable

import numpy as np

from bench.layers import Array

RESAMPLES = 2000
CONFIDENCE = 0.95


def interval(statistic: Callable[[Array], Array], rounds: int) -> tuple[float, float]:
    """Return the percentile interval of a statistic of paired rounds.

    Parameters
    ----------
    statistic : callable
        Takes indices of rounds, shape (resamples, rounds), and returns its value for each row.
    rounds : int
        Number of rounds.

    Returns
    -------
    low, high : float
        Ends of the 95 % interval.

    Notes
    -----
    Efron (1979), *Bootstrap methods: another look at the jackknife*.
    """
    picks = np.random.default_rng(0).integers(0, rounds, (RESAMPLES, rounds))
    low, high = np.quantile(statistic(picks), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
