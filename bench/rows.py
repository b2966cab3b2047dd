"""One timed layer in all engines: its medians, its ratio to the best peer, and how it is shown and held to its bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.engines import Npconv, PyTorch
from bench.intervals import interval
from bench.layers import Array, Layer
from bench.report import Bar, Table

OURS = Npconv.label
# What a peer's time divided by ours has to reach in every row of a class: the best peer's, or in float64 PyTorch's.
BARS = {
    "float32": {"dense": 0.85, "pointwise": 0.85, "grouped": 1.2, "depthwise": 0.8},
    "float64": {"dense": 2.0},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, and for each engine its best variant.

    Attributes
    ----------
    layer : Layer
        What was computed.
    variants : dict
        The name of the variant.
    seconds : dict
        Median seconds of a call in every round, shape (rounds,).
    errors : dict
        The worst error in units of what the bound allows.
    """

    layer: Layer
    variants: Mapping[str, str]
    seconds: Mapping[str, Array]
    errors: Mapping[str, float]

    def right(self, label: str) -> bool:
        """Return whether an engine's output is within the bound; NaN is not."""
        return self.errors[label] <= 1

    @property
    def best_peer(self) -> str | None:
        """The fastest of the other engines whose output is right."""
        peers = [label for label in self.seconds if label != OURS and self.right(label)]
        return min(peers, key=self.median, default=None)

    def median(self, label: str) -> float:
        """Return the median seconds of one call."""
        return float(np.median(self.seconds[label]))

    def ratio(self, peer: str) -> float:
        """Return a peer's median divided by ours."""
        return self.median(peer) / self.median(OURS)

    def ratio_interval(self, peer: str) -> tuple[float, float]:
        """Return the 95 % interval of that ratio."""
        theirs, ours = self.seconds[peer], self.seconds[OURS]
        return interval(lambda picks: np.median(theirs[picks], axis=1) / np.median(ours[picks], axis=1), len(ours))

    @property
    def speed(self) -> float:
        """Our FLOP per second."""
        return self.layer.flop / self.median(OURS)

    def data(self, peak: float) -> dict[str, object]:
        """Return the row for JSON, every round included."""
        peer = self.best_peer
        return {
            "layer": self.layer.name,
            "class": self.layer.kind,
            "best_peer": peer,
            "ratio": self.ratio(peer) if peer else None,
            "ratio_interval": self.ratio_interval(peer) if peer else None,
            "flops": self.speed,
            "share_of_peak": self.speed / peak,
            "void": not self.right(OURS),
            "engines": {
                label: {
                    "variant": self.variants[label],
                    "median_microseconds": self.median(label) * 1e6,
                    "error_in_bounds": self.errors[label],
                    "microseconds": [round(seconds * 1e6, 2) for seconds in of.tolist()],
                }
                for label, of in self.seconds.items()
            },
        }

    def cells(self, peak: float) -> list[str]:
        """Return the row as text, under the columns of `rows_table`."""
        times = [f"{self.median(label) * 1e6:.1f}" for label in self.seconds]
        peer = self.best_peer
        ratio = between = "-"
        if not self.right(OURS):
            ratio = "void"
        elif peer:
            low, high = self.ratio_interval(peer)
            ratio, between = f"{self.ratio(peer):.2f}", f"{low:.2f}..{high:.2f}"
        shares = [f"{self.speed / 1e9:.1f}", f"{self.speed / peak:.0%}", f"{self.errors[OURS]:.2g}"]
        return [self.layer.name, self.layer.kind, *times, ratio, between, *shares]


def rows_table(title: str, rows: Sequence[Row], labels: Sequence[str], peak: float) -> Table:
    """Return the rows as a table: microseconds of each engine, best peer's divided by ours, our speed and our error."""
    times = [f"{label} us" for label in labels]
    columns = ["layer", "class", *times, "ratio", "95 %", "GF/s", "of peak", "error/bound"]
    return Table(title, columns, [row.cells(peak) for row in rows], words=2)


def bars(rows: Sequence[Row], labels: Sequence[str], dtype: str, *, quick: bool) -> list[Bar]:
    """Return how the worst row of each class does; a quick run judges none."""
    peers = [label for label in labels if label != OURS and (dtype == "float32" or label == PyTorch.label)]
    found = []
    for kind, bar in BARS[dtype].items():
        of_kind = [row for row in rows if row.layer.kind == kind]
        ratios = {row.layer.name: row.ratio(row.best_peer) for row in of_kind if row.right(OURS) and row.best_peer}
        if not ratios:
            found.append(Bar(f"{dtype} {kind}: every row at least {bar} of the best peer", "-", None))
            continue
        worst = min(ratios, key=lambda name: ratios[name])
        reached = sum(ratio >= bar for ratio in ratios.values())
        asked = f"{dtype} {kind}: every row at least {bar} of {' and '.join(peers)}"
        measured = f"{reached} of {len(of_kind)} rows; the lowest {ratios[worst]:.2f}, {worst}"
        found.append(Bar(asked, measured, None if quick else reached == len(of_kind)))
    return found
