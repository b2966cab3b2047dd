"""Other things than one layer that are timed: each trial has its own contestants, and ratios between two of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.bars import geometric_mean
from bench.intervals import interval
from bench.layers import Array
from bench.report import Bar, Table
from bench.speed import Pace
from bench.timed import in_turns
from bench.worker import Worker

# A peer has several good ways to do the same, and its best counts.
BEST_OF = ("PyTorch",)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What was timed side by side.

    Attributes
    ----------
    name : str
        What was done.
    threads : int
        Threads, and cores, of each contestant.
    seconds : dict of ndarray, shape (rounds,)
        For each contestant its median seconds of a call in every round.
    """

    name: str
    threads: int
    seconds: Mapping[str, Array]

    def median(self, label: str) -> float:
        """Return the median seconds of a contestant."""
        return float(np.median(self.seconds[label]))

    def ratio(self, slow: str, fast: str) -> float | None:
        """Return how many times as long one takes as another; None where one of them did not take part."""
        if slow not in self.seconds or fast not in self.seconds:
            return None
        return self.median(slow) / self.median(fast)

    def ratio_interval(self, slow: str, fast: str) -> tuple[float, float]:
        """Return the 95 % interval of that ratio."""
        more, less = self.seconds[slow], self.seconds[fast]
        return interval(lambda picks: np.median(more[picks], axis=1) / np.median(less[picks], axis=1), len(more))

    def data(self) -> dict[str, Any]:
        """Return the trial for JSON."""
        microseconds = {label: (of * 1e6).round(3).tolist() for label, of in self.seconds.items()}
        return {"name": self.name, "threads": self.threads, "microseconds": microseconds}


def time_trial(
    name: str,
    threads: int,
    workers: Mapping[str, Worker],
    pace: Pace,
    others: Mapping[str, Callable[[float], float]] | None = None,
) -> Trial:
    """Time the variants of some workers, which go by their own names, and other contestants, which return seconds."""
    timers: dict[str, Callable[[float], Any]] = {
        label: functools.partial(worker.call, "time") for label, worker in workers.items()
    }
    rounds = in_turns({**timers, **(others or {})}, pace.rounds, pace.seconds)
    seconds: dict[str, Array] = {}
    for label, answers in rounds.items():
        if label not in workers:
            seconds[label] = np.array(answers)
            continue
        variants = {variant: np.array([answer[variant] for answer in answers]) for variant in answers[0]}
        if label in BEST_OF:
            seconds[label] = min(variants.values(), key=lambda of: float(np.median(of)))
        else:
            seconds.update(variants)
    return Trial(name, threads, seconds)


def trials_table(title: str, trials: Sequence[Trial], ratios: Mapping[str, tuple[str, str]]) -> Table:
    """Return trials as a table: microseconds of each contestant, and ratios by what they are called."""
    labels = list(dict.fromkeys(label for trial in trials for label in trial.seconds))
    shown = {name: pair for name, pair in ratios.items() if set(pair) <= set(labels)}
    rows = []
    for trial in trials:
        cells = [trial.name, str(trial.threads), *(f"{trial.median(label) * 1e6:.1f}" for label in labels)]
        for pair in shown.values():
            low, high = trial.ratio_interval(*pair)
            cells += [f"{trial.ratio(*pair):.2f}", f"{low:.2f}..{high:.2f}"]
        rows.append(cells)
    columns = [*(f"{label} us" for label in labels), *(column for name in shown for column in (name, "95 %"))]
    return Table(title, ["what", "threads", *columns], rows)


def each_bar(asked: str, trials: Sequence[Trial], pair: tuple[str, str], least: float, *, judged: bool) -> Bar:
    """Return the bar that every trial's ratio is at least something."""
    ratios = {trial: ratio for trial in trials if (ratio := trial.ratio(*pair)) is not None}
    if not ratios:
        return Bar(asked, "-", None)
    lowest = min(ratios, key=lambda trial: ratios[trial])
    reached = sum(ratio >= least for ratio in ratios.values())
    measured = f"{reached} of {len(ratios)} reach it; the lowest {ratios[lowest]:.2f}, {lowest.name}"
    return Bar(asked, measured, reached == len(ratios) if judged else None)


def mean_bar(asked: str, trials: Sequence[Trial], pair: tuple[str, str], least: float, *, judged: bool) -> Bar:
    """Return the bar that the geometric mean of the trials' ratios is at least something."""
    ratios = [ratio for trial in trials if (ratio := trial.ratio(*pair)) is not None]
    if not ratios:
        return Bar(asked, "-", None)
    mean = geometric_mean(ratios)
    return Bar(asked, f"{mean:.2f} over {len(ratios)}", mean >= least if judged else None)
