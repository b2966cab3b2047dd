"""One timed layer in all engines: its medians, its ratio to the best peer, and the roof that it was measured under."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.engines import Npconv
from bench.intervals import interval
from bench.layers import Array, Layer
from bench.report import Table
from npconv.geometry import conv2d_geometry

OURS = Npconv.label


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """The best variant of an engine.

    Attributes
    ----------
    variant : str
        Its name.
    seconds : ndarray, shape (rounds,)
        Median seconds of a call in every round.
    error : float
        The worst error in units of what the bound allows.
    interrupted : float
        Share of the calls, of all variants, that were interrupted; they are left out where others were not.
    """

    variant: str
    seconds: Array
    error: float
    interrupted: float = 0.0

    @property
    def right(self) -> bool:
        """Whether the output is within the bound; NaN is not."""
        return self.error <= 1

    @property
    def median(self) -> float:
        """Median seconds of one call."""
        return float(np.median(self.seconds))


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A layer of some type on some threads.

    Attributes
    ----------
    layer : Layer
        What was computed.
    names : tuple of str
        What the layer stands in: networks, sweeps.
    dtype : str
        Type of the arrays.
    threads : int
        Threads, and cores, of each engine.
    timings : dict
        For each engine its best variant.
    peak, bandwidth : float
        FLOP and bytes per second that loops of multiply-adds and of copies reached on as many cores, in the same run.
    bits : str
        A digest of our output.
    form : str
        "prepared", or "call" where a function was given everything anew.
    """

    layer: Layer
    names: tuple[str, ...]
    dtype: str
    threads: int
    timings: Mapping[str, Timing]
    peak: float
    bandwidth: float
    bits: str = ""
    form: str = "prepared"

    @property
    def key(self) -> tuple[Layer, str, int, str]:
        """What no other row has."""
        return self.layer, self.dtype, self.threads, self.form

    @property
    def ours(self) -> Timing:
        """Our own timing."""
        return self.timings[OURS]

    @property
    def best_peer(self) -> str | None:
        """The fastest of the other engines whose output is right."""
        peers = [label for label, timing in self.timings.items() if label != OURS and timing.right]
        return min(peers, key=lambda label: self.timings[label].median, default=None)

    @property
    def ratio(self) -> float | None:
        """The best peer's median divided by ours; None where our output is wrong, or no peer's is right."""
        if self.best_peer is None or not self.ours.right:
            return None
        return self.timings[self.best_peer].median / self.ours.median

    @property
    def ratio_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of that ratio."""
        if self.best_peer is None or not self.ours.right:
            return None
        theirs, ours = self.timings[self.best_peer].seconds, self.ours.seconds
        return interval(lambda picks: np.median(theirs[picks], axis=1) / np.median(ours[picks], axis=1), len(ours))

    @property
    def speed(self) -> float:
        """Our FLOP per second."""
        return self.layer.flop / self.ours.median

    @property
    def share_of_peak(self) -> float:
        """Our speed as a share of the peak."""
        return self.speed / self.peak

    @property
    def share_of_copy(self) -> float:
        """The bytes that have to be moved at least, per second, as a share of what a copy as large reached."""
        return self.layer.traffic(self.dtype) / self.ours.median / self.bandwidth

    def data(self) -> dict[str, Any]:
        """Return the row for JSON, every round included; `Row.of` reads it, and what follows from the rest for others."""
        g = self.layer.geometry
        return {
            "layer": self.layer.name,
            "class": self.layer.kind,
            "networks": self.names,
            "batch": g.N,
            "threads": self.threads,
            "dtype": self.dtype,
            "form": self.form,
            "x_shape": g.x_shape,
            "weight_shape": g.weight_shape,
            **self.layer.options,
            "products": self.layer.products,
            "traffic_bytes": self.layer.traffic(self.dtype),
            "void": not self.ours.right,
            "best_peer": self.best_peer,
            "ratio": self.ratio,
            "ratio_interval": self.ratio_interval,
            "flops": self.speed,
            "peak_flops": self.peak,
            "share_of_peak": self.share_of_peak,
            "copy_bytes_per_second": self.bandwidth,
            "share_of_copy": self.share_of_copy,
            "bits": self.bits,
            "engines": {
                label: {
                    "variant": timing.variant,
                    "median_microseconds": timing.median * 1e6,
                    # JSON has no NaN.
                    "error_in_bounds": timing.error if math.isfinite(timing.error) else None,
                    "interrupted": timing.interrupted,
                    "microseconds": (timing.seconds * 1e6).round(3).tolist(),
                }
                for label, timing in self.timings.items()
            },
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Row":
        """Return the row that was written as `data`."""
        options = {name: data[name] for name in ("stride", "padding", "dilation", "groups")}
        timings = {}
        for label, of in data["engines"].items():
            error = math.nan if of["error_in_bounds"] is None else of["error_in_bounds"]
            timings[label] = Timing(of["variant"], np.array(of["microseconds"]) / 1e6, error, of["interrupted"])
        return cls(
            Layer(conv2d_geometry(data["x_shape"], data["weight_shape"], **options)),
            tuple(data["networks"]),
            data["dtype"],
            data["threads"],
            timings,
            data["peak_flops"],
            data["copy_bytes_per_second"],
            data["bits"],
            data["form"],
        )

    def cells(self, labels: list[str]) -> list[str]:
        """Return the row as text, under the columns of `rows_table`."""
        times = [f"{self.timings[label].median * 1e6:.1f}" if label in self.timings else "-" for label in labels]
        ratio = between = "-"
        if not self.ours.right:
            ratio = "void"
        elif self.ratio and self.ratio_interval:
            low, high = self.ratio_interval
            ratio, between = f"{self.ratio:.2f}", f"{low:.2f}..{high:.2f}"
        return [
            self.layer.name,
            self.layer.kind,
            self.dtype,
            ", ".join(self.names),
            f"{self.layer.geometry.N}",
            f"{self.threads}",
            *times,
            self.best_peer or "-",
            ratio,
            between,
            f"{self.speed / 1e9:.1f}",
            f"{self.share_of_peak:.0%}",
            f"{self.share_of_copy:.0%}",
            f"{self.ours.error:.2g}",
        ]


def rows_table(title: str, rows: list[Row]) -> Table:
    """Return rows as a table: microseconds of each engine, best peer's divided by ours, our speed, shares and error.

    A column in which nothing stands is left out.
    """
    labels = list(dict.fromkeys(label for row in rows for label in row.timings))
    words = ["layer", "class", "dtype", "in"]
    numbers = ["batch", "threads", *(f"{label} us" for label in labels), "best peer", "ratio", "95 %"]
    columns = [*words, *numbers, "GF/s", "of peak", "of copy", "error/bound"]
    cells = [row.cells(labels) for row in rows]
    kept = [i for i in range(len(columns)) if any(line[i] for line in cells)]
    return Table(
        title,
        [columns[i] for i in kept],
        [[line[i] for i in kept] for line in cells],
        words=sum(i < len(words) for i in kept),
    )
