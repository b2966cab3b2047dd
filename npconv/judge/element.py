"""One output under the magnifying glass: its address, what it is and must be, and what it was computed from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npconv.geometry import Geometry
from npconv.judge.model import Model
from npconv.judge.oracle import Expected
from npconv.memory import Array


@dataclass(frozen=True, slots=True)
class Element:
    """An output and its circumstances.

    Parameters
    ----------
    n, channel, y, x : int
        Its index: image, channel, row and column.
    groups, group, channel_in_group : int
        How many groups there are, and the same channel counted by these.
    got, expected : float or int
        What it is, and what it must be.
    bound : float
        How far it may be from `expected`.
    excess : float
        How far it is, as a multiple of the bound.
    S, h : float, int
        Sum of the magnitudes of its products and bias, and number of those that are not zero.
    rows, columns : range
        Rows and columns of the image that its window reads; those outside are padding.
    channels : range
        Channels that it reads.
    taps, padding_taps : int
        Products, and how many of them are with padding.

    Examples
    --------
    >>> import npconv as nc
    >>> worst = nc.check([[[[5.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 3.0]]]]).worst
    >>> worst.address, worst.h, worst.S, worst.columns
    ('y[0, 0, 0, 0]: image 0, channel 0, row 0, column 0', 2, 7.0, range(0, 2))
    """

    n: int
    channel: int
    y: int
    x: int
    groups: int
    group: int
    channel_in_group: int
    got: Any
    expected: Any
    bound: float
    excess: float
    S: float
    h: int
    rows: range
    columns: range
    channels: range
    taps: int
    padding_taps: int

    @property
    def index(self) -> tuple[int, int, int, int]:
        """Index into the output."""
        return self.n, self.channel, self.y, self.x

    @property
    def address(self) -> str:
        """The index in words."""
        inner = f" (channel {self.channel_in_group} of group {self.group})" if self.groups > 1 else ""
        return f"y{list(self.index)}: image {self.n}, channel {self.channel}{inner}, row {self.y}, column {self.x}"

    @property
    def window(self) -> str:
        """What it reads, in words."""
        padding = f"{self.padding_taps} of its {self.taps} taps lie in padding" if self.padding_taps else "no padding"
        places = (("row", self.rows), ("column", self.columns), ("channel", self.channels))
        return f"{', '.join(_listed(noun, indices) for noun, indices in places)} of x; {padding}"

    def told(self, model: Model) -> list[str]:
        """Return all of it in words, for people."""
        digits = 17 if model.result == "float64" else 9
        expected, got = (f"{v:.{digits}g}" if isinstance(v, float) else f"{v:,}" for v in (self.expected, self.got))
        lines = [
            self.address,
            f"got       {got}",
            f"expected  {expected}" + (f" +/- {self.bound:.2g}" if self.bound else ""),
        ]
        if 0 < self.excess < np.inf:
            lines.append(f"off by    {abs(self.got - self.expected):.3g}, {times(self.excess)} what rounding explains")
        return [*lines, f"bound     {self._reason(model)}", f"reads     {self.window}"]

    def _reason(self, model: Model) -> str:
        """Return where the bound comes from, or why there is none."""
        if model.is_integer:
            return f"none: {model.accumulator} sums are exact modulo 2^{model.accumulator.removeprefix('int')}, in any order"
        if not np.isfinite(self.expected):
            return "none: infinities and NaN among the data give that in any order"
        if self.bound == 0:
            return "none: any order of summation gives that very value"
        terms = (
            f"h = {self.h} terms that are not zero, u = 2^-{model.sums.bits}, S = {self.S:.3g} adds up their magnitudes"
        )
        return f"h*u*S: {terms}" + ("; and what else the model rounds" if model.rounds_more else "")

    def to_json(self) -> dict[str, Any]:
        """Return all of it, ready for ``json.dumps``."""
        plain = ("group", "channel_in_group", "got", "expected", "bound", "excess", "S", "h", "taps", "padding_taps")
        ranges = {name: list(getattr(self, name)) for name in ("rows", "columns", "channels")}
        return {"index": list(self.index), **{name: as_json(getattr(self, name)) for name in plain}, **ranges}


def element(flat: int, actual: Array, expected: Expected, excess: Array, geometry: Geometry) -> Element:
    """Return the output at an index in the order of memory."""
    g = geometry
    n, channel, y, x = (int(i) for i in np.unravel_index(flat, g.y_shape))
    group, inner = divmod(channel, g.group_filters)
    (sh, sw), (dh, dw), ((top, _), (left, _)) = g.stride, g.dilation, g.padding
    rows = range(y * sh - top, y * sh - top + (g.KH - 1) * dh + 1, dh)
    columns = range(x * sw - left, x * sw - left + (g.KW - 1) * dw + 1, dw)
    inside = sum(0 <= i < g.H for i in rows) * sum(0 <= i < g.W for i in columns)
    return Element(
        *(n, channel, y, x, g.groups, group, inner),
        got=actual[n, channel, y, x].item(),
        expected=expected.y[n, channel, y, x].item(),
        bound=float(expected.bound[n, channel, y, x]),
        excess=float(excess[n, channel, y, x]),
        S=float(expected.S[n, channel, y, x]),
        h=int(expected.h[n, channel, y, x]),
        rows=rows,
        columns=columns,
        channels=range(group * g.group_channels, (group + 1) * g.group_channels),
        taps=g.K,
        padding_taps=g.K - inside * g.group_channels,
    )


def times(excess: float) -> str:
    """Write a multiple.

    >>> times(0.251), times(30945.3)
    ('0.25 times', '30,945 times')
    """
    return f"{excess:.2g} times" if excess < 10 else f"{excess:,.0f} times"


def as_json(value: Any) -> Any:
    """Return a number as JSON can hold it: infinities and NaN as words."""
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _listed(noun: str, indices: range) -> str:
    if len(indices) == 1:
        return f"{noun} {indices[0]}"
    if len(indices) <= 3 and indices.step > 1:
        return f"{noun}s {', '.join(map(str, indices[:-1]))} and {indices[-1]}"
    step = f" in steps of {indices.step}" if indices.step > 1 else ""
    return f"{noun}s {indices[0]} to {indices[-1]}{step}"
