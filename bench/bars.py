"""What rows have to reach: each of the twelve layers by itself, the layers of the networks together."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from bench.report import Bar
from bench.rows import Row

# What the best peer's time divided by ours has to reach in every row of a class of the twelve.
EACH = {
    "float32": {"dense": 0.85, "pointwise": 0.85, "grouped": 1.2, "depthwise": 0.8},
    "float64": {"dense": 2.0},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Mean:
    """What the geometric mean of some rows' ratios has to reach."""

    of: str
    dtype: str
    counts: Callable[[Row], bool]
    least: float
    peer: str = "the best peer"


MEANS = (
    Mean("all layers", "float32", lambda row: True, 1.3),
    Mean(
        "grouped, 2 to 32 channels a group",
        "float32",
        lambda row: row.layer.kind == "grouped" and 2 <= row.layer.geometry.group_channels <= 32,
        2.0,
    ),
    Mean("depthwise", "float32", lambda row: row.layer.kind == "depthwise", 1.4),
    Mean(
        "dense 3x3 and larger",
        "float32",
        lambda row: row.layer.kind == "dense" and min(row.layer.geometry.KH, row.layer.geometry.KW) >= 3,
        1.0,
    ),
    Mean("1x1", "float32", lambda row: row.layer.kind == "pointwise", 1.0),
    Mean("all layers", "float64", lambda row: True, 2.5, "PyTorch"),
)
# No layer that takes us longer than so many seconds may fall below this ratio: a shorter call is mostly the way to the kernel.
LOWEST, SHORT = 0.95, 20e-6
# What the gain of more threads has to reach, as a share of what the roof that bounds the layer gains, where one thread takes longer.
SCALING, LONG = 0.93, 500e-6
# The share of the peak that dense and pointwise layers of many products and wide rows have to reach.
SHARE, MANY_PRODUCTS, WIDE = 0.9, 100_000_000, 14


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(ratios))))


def ratios_of(rows: Iterable[Row]) -> list[float]:
    """Return the ratios of the rows that have one."""
    return [row.ratio for row in rows if row.ratio is not None]


def each_row(rows: Sequence[Row], *, judged: bool) -> list[Bar]:
    """Return how the lowest row of each class does."""
    found = []
    for dtype in sorted({row.dtype for row in rows}):
        for kind, least in EACH[dtype].items():
            of_kind = [row for row in rows if row.dtype == dtype and row.layer.kind == kind]
            found.append(
                lowest(f"{dtype} {kind}: every row at least {least} of the best peer", of_kind, least, judged=judged)
            )
    return found


def lowest(asked: str, rows: Sequence[Row], least: float, *, judged: bool) -> Bar:
    """Return the bar that every row's ratio is at least something; a row without a ratio does not reach it."""
    ratios = {row: row.ratio for row in rows if row.ratio is not None}
    if not ratios:
        return Bar(asked, "-", None)
    worst = min(ratios, key=lambda row: ratios[row])
    reached = sum(ratio >= least for ratio in ratios.values())
    measured = f"{reached} of {len(rows)} rows; the lowest {ratios[worst]:.2f}, {place(worst)}"
    return Bar(asked, measured, reached == len(rows) if judged else None)


def together(rows: Sequence[Row], *, judged: bool) -> list[Bar]:
    """Return how the layers of networks do, for each number of threads."""
    found = []
    for on, here in each_thread(rows):
        found += [mean_bar(mean, here, on, judged=judged) for mean in MEANS]
        single = [row for row in here if row.dtype == "float32"]
        long = [row for row in single if row.ours.median > SHORT]
        asked = f"float32 layers above {SHORT * 1e6:.0f} us: none below {LOWEST}, {on}"
        found.append(lowest(asked, long, LOWEST, judged=judged))
        found.append(peak_bar(single, on, judged=judged))
    for dtype in sorted({row.dtype for row in rows}):
        of_type = [row for row in rows if row.dtype == dtype]
        found += [threads_bar(of_type, dtype, judged=judged), scaling_bar(of_type, dtype, judged=judged)]
    return found


def each_thread(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield each number of threads in words, and its rows."""
    for threads in sorted({row.threads for row in rows}):
        yield on_threads(threads), [row for row in rows if row.threads == threads]


def on_threads(threads: int) -> str:
    """Return a number of threads in words."""
    return f"on {threads} thread{'s' if threads > 1 else ''}"


def mean_bar(mean: Mean, rows: Sequence[Row], on: str, *, judged: bool) -> Bar:
    """Return how the geometric mean of some rows does; a wrong result among them is a miss."""
    counted = [row for row in rows if row.dtype == mean.dtype and mean.counts(row)]
    asked = f"{mean.dtype} {mean.of}: geometric mean at least {mean.least} of {mean.peer}, {on}"
    ratios = ratios_of(counted)
    if not ratios:
        return Bar(asked, "-", None)
    reached = geometric_mean(ratios)
    met = reached >= mean.least and all(row.ours.right for row in counted)
    return Bar(asked, f"{reached:.2f} over {len(ratios)} rows", met if judged else None)


def peak_bar(rows: Sequence[Row], on: str, *, judged: bool) -> Bar:
    """Return how near large dense and pointwise layers come to the peak."""
    asked = f"float32 dense and 1x1 of more than {MANY_PRODUCTS // 10**6} M products, OW at least {WIDE}: above {SHARE:.0%} of peak, {on}"
    large = [
        row
        for row in rows
        if row.layer.kind in ("dense", "pointwise")
        and row.layer.products > MANY_PRODUCTS
        and row.layer.geometry.OW >= WIDE
    ]
    if not large:
        return Bar(asked, "-", None)
    worst = min(large, key=lambda row: row.share_of_peak)
    reached = sum(row.share_of_peak > SHARE and row.ours.right for row in large)
    measured = f"{reached} of {len(large)} rows; the lowest {worst.share_of_peak:.0%}, {place(worst)}"
    return Bar(asked, measured, reached == len(large) if judged else None)


def threads_bar(rows: Sequence[Row], dtype: str, *, judged: bool) -> Bar:
    """Return how often more threads are slower than one: in every round, which chance makes of one row in 2**rounds."""
    asked = f"more threads never slower than one in every round of a layer, {dtype}"
    pairs = beside_one_thread(rows)
    if not pairs:
        return Bar(asked, "-", None)
    slower = sum(bool(np.all(many.ours.seconds > one.ours.seconds)) for many, one in pairs)
    gains = [one.ours.median / many.ours.median for many, one in pairs]
    worst = int(np.argmin(gains))
    measured = f"{slower} of {len(pairs)} rows slower; the lowest gain {gains[worst]:.2f}, {place(pairs[worst][0])}"
    return Bar(asked, measured, not slower if judged else None)


def scaling_bar(rows: Sequence[Row], dtype: str, *, judged: bool) -> Bar:
    """Return how near the gain of more threads comes to that of the loop of the calibration that bounds the layer."""
    asked = f"layers above {LONG * 1e6:.0f} us: more threads gain at least {SCALING} of what the loops of the calibration gain, {dtype}"
    shares = {
        many: one.ours.median / many.ours.median / roof_gain(one, many)
        for many, one in beside_one_thread(rows)
        if one.ours.median > LONG
    }
    if not shares:
        return Bar(asked, "-", None)
    worst = min(shares, key=lambda row: shares[row])
    reached = sum(share >= SCALING for share in shares.values())
    measured = f"{reached} of {len(shares)} rows; the lowest {shares[worst]:.2f}, {place(worst)}"
    return Bar(asked, measured, reached == len(shares) if judged else None)


def roof_gain(one: Row, many: Row) -> float:
    """Return what more threads gain in multiply-adds among registers, or in copies where those take a layer longer."""
    multiplying, copying = one.layer.flop / one.peak, one.layer.traffic(one.dtype) / one.bandwidth
    return many.peak / one.peak if multiplying >= copying else many.bandwidth / one.bandwidth


def beside_one_thread(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return each row of more threads with that of one."""
    alone = {(row.layer, row.dtype): row for row in rows if row.threads == 1}
    return [(row, alone[row.layer, row.dtype]) for row in rows if row.threads > 1 and (row.layer, row.dtype) in alone]


def place(row: Row) -> str:
    """Return which row it is, in words."""
    N = row.layer.geometry.N
    return f"{row.layer.name}{f' of {N} images' if N > 1 else ''}"


def bits_faults(rows: Iterable[Row]) -> list[str]:
    """Return where the bits of our output depend on the number of threads."""
    seen: dict[tuple[object, str], str] = {}
    return [
        f"{place(row)}, {row.dtype}: other bits on {row.threads} threads"
        for row in rows
        if seen.setdefault((row.layer, row.dtype), row.bits) != row.bits
    ]
