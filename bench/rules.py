"""Rules that test suites judge a convolution by, against kernels with known mistakes and against right ones.

``python -m bench.rules`` prints the table; ``--into docs/why-your-tolerance-is-wrong.md`` writes it between the page's marks, and
``--json`` prints the counts. A rule is data and a comparison, as its source has them; every rule sees the same kernels.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npconv.geometry import Geometry, conv2d_geometry
from npconv.judge.call import Call
from npconv.judge.diagnosis import candidates
from npconv.judge.formats import rounded
from npconv.judge.model import Model
from npconv.judge.oracle import expected
from npconv.judge.outcome import filter_order, outcome, unrolled
from npconv.judge.probes import PROBES
from npconv.judge.reading import Reading, plain
from npconv.judge.verdict import Verdict, judge

Array = NDArray[Any]
Operands = tuple[Array, Array, Array | None]

FLOAT32 = Model("float32")
GEOMETRIES = (
    conv2d_geometry((2, 8, 9, 8), (6, 8, 3, 3), stride=(2, 1), padding=((1, 0), (2, 1))),
    conv2d_geometry((2, 6, 11, 9), (9, 2, 3, 2), dilation=(2, 3), padding=((2, 1), (0, 3)), groups=3),
    conv2d_geometry((3, 4, 7, 8), (12, 1, 3, 3), padding=1, groups=4),
    conv2d_geometry((2, 20, 5, 6), (8, 10, 1, 1), groups=2),
    conv2d_geometry((1, 512, 4, 6), (6, 512, 3, 3), stride=2, padding="same"),
    # The first fully-connected layer of VGG, of fewer filters: 25,088 products in each sum.
    conv2d_geometry((1, 512, 7, 7), (8, 512, 7, 7)),
)


@dataclass(frozen=True)
class Rule:
    """Data and a comparison: `passes` takes what was computed, and the call."""

    name: str
    source: str
    data: tuple[Callable[[Geometry, np.random.Generator], Operands], ...]
    passes: Callable[[Array, Call], bool]


def integers(
    largest: int, zeros: float = 0.0, *, bias: bool = True
) -> Callable[[Geometry, np.random.Generator], Operands]:
    """Return how to make integers up to `largest` in magnitude, of which a share is set to zero."""

    def make(g: Geometry, rng: np.random.Generator) -> Operands:
        x, weight, b = (
            (rng.integers(-largest, largest, shape, endpoint=True) * (rng.random(shape) >= zeros)).astype(np.float32)
            for shape in (g.x_shape, g.weight_shape, (g.O,))
        )
        return x, weight, b if bias else None

    return make


def benchdnn(g: Geometry, rng: np.random.Generator) -> Operands:
    """Make integers of different sizes, and images that are mostly zero."""
    return integers(32, 0.75)(g, rng)[0], integers(32)(g, rng)[1], integers(512)(g, rng)[2]


def uniform(x: tuple[float, float], weight: tuple[float, float]) -> Callable[[Geometry, np.random.Generator], Operands]:
    """Return how to make floats between two numbers; a bias is as x."""

    def make(g: Geometry, rng: np.random.Generator) -> Operands:
        operands = ((x, g.x_shape), (weight, g.weight_shape), (x, (g.O,)))
        one, two, three = (rng.uniform(*limits, shape).astype(np.float32) for limits, shape in operands)
        return one, two, three

    return make


def normal(g: Geometry, rng: np.random.Generator) -> Operands:
    """Make standard normal floats."""
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in (g.x_shape, g.weight_shape, (g.O,)))
    return x, weight, bias


def ones_and_a_ramp(g: Geometry, rng: np.random.Generator) -> Operands:
    """Make an image that counts up, and filters of ones; there is no bias."""
    return np.arange(np.prod(g.x_shape), dtype=np.float32).reshape(g.x_shape), np.ones(g.weight_shape, np.float32), None


def probe(name: str) -> Callable[[Geometry, np.random.Generator], Operands]:
    """Return how to make the arrays of one of our probes."""
    return lambda g, rng: PROBES[name].arrays(g, np.dtype("float32"), FLOAT32, int(rng.integers(2**31)))


def reference(call: Call) -> Array:
    """Return the right outputs, as float32."""
    y: Array = expected(call, FLOAT32).y.astype(np.float32)
    return y


def close(rtol: float, atol: float) -> Callable[[Array, Call], bool]:
    """Return the comparison ``|y - reference| <= atol + rtol*|reference|`` for every output."""
    return lambda y, call: bool(np.allclose(y, reference(call), rtol=rtol, atol=atol))


def cutlass(y: Array, call: Call) -> bool:
    """Return whether each difference is below 0.05 of the magnitudes' sum, numbers below 1/256 being zero."""
    due, epsilon, floor = reference(call), 0.05, 1 / 256
    difference, total = np.abs(y - due), np.abs(y) + np.abs(due)
    least = np.where((due == 0) | (y == 0) | (total < floor), floor, total)
    return bool((difference < epsilon * least).all() or ((difference < epsilon * least) | (y == due)).all())


def root_mean_square(y: Array, call: Call) -> bool:
    """Return whether the root mean square of all differences is at most 1.5e-6 of the largest output."""
    due = reference(call).astype(np.float64)
    largest = max(float(np.abs(y).max()), float(np.abs(due).max()), sys.float_info.min)
    return bool(np.sqrt(np.mean((y - due) ** 2)) / largest <= 1.5e-6)


def ours(y: Array, call: Call) -> bool:
    """Return whether the judge does not call the outputs wrong."""
    return judge(y, expected(call, FLOAT32), FLOAT32).verdict != Verdict.WRONG


RULES = (
    Rule(
        "npconv: three probes, rigorous bound",
        "exact integers, dense and sparse floats; no order of summation gives the value",
        (probe("exact integers"), probe("dense"), probe("sparse")),
        ours,
    ),
    Rule(
        "oneDNN benchdnn",
        "images of integers up to 32, three in four zero; weights up to 32, a bias up to 512; equal",
        (benchdnn,),
        close(0, 0),
    ),
    Rule("XNNPACK", "floats from 0.1 to 1; 1e-4 of the output", (uniform((0.1, 1.0), (0.1, 1.0)),), close(1e-4, 0)),
    Rule("CUTLASS profiler", "integers up to 4, no bias; 0.05 of the magnitudes", (integers(4, bias=False),), cutlass),
    Rule("cuDNN frontend fuzzer", "integers up to 2, four in five zero; 1e-2", (integers(2, 0.8),), close(1e-2, 1e-2)),
    Rule("PyTorch `assert_close`", "normal floats; rtol 1.3e-6, atol 1e-5", (normal,), close(1.3e-6, 1e-5)),
    Rule("NumPy `assert_allclose`", "normal floats; rtol 1e-7", (normal,), close(1e-7, 0)),
    Rule(
        "ONNX node tests",
        "an image that counts up, weights of 1, no bias; rtol 1e-3, atol 1e-7",
        (ones_and_a_ramp,),
        close(1e-3, 1e-7),
    ),
    Rule(
        "MIOpen driver",
        "images from 0 to 1, weights to ±0.5; root mean square 1.5e-6",
        (uniform((0, 1), (-0.5, 0.5)),),
        root_mean_square,
    ),
    Rule("IREE end to end", "integers up to 8, no bias; equal", (integers(8, bias=False),), close(0, 0)),
)


def chained(call: Call, order: Array, form: str = "float32") -> Array:
    """Return outputs that are summed one product after the other in this order, each rounded to a format."""
    right = plain(call)
    first, filters = filter_order(right)
    windows = unrolled(right, first, filters)
    g = windows.geometry
    x = windows.x.reshape(g.N, g.groups, g.group_channels, g.OH, g.KH, g.OW, g.KW).transpose(0, 1, 3, 5, 2, 4, 6)
    x = x.reshape(g.N, g.groups, 1, g.OH, g.OW, g.K).astype(np.float32)
    weight = windows.weight.reshape(g.groups, g.group_filters, 1, 1, g.K).astype(np.float32)
    total = np.zeros((g.N, g.groups, g.group_filters, g.OH, g.OW), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in order:
            total = narrow(total + narrow(x[..., k] * weight[..., k], form), form)
    y = total.reshape(g.y_shape)[:, np.argsort(filters)]
    return y if call.bias is None else narrow(y + call.bias[:, None, None].astype(np.float32), form)


def narrow(values: Array, form: str) -> Array:
    """Return float32 numbers rounded to a format."""
    return values if form == "float32" else rounded(values, form).astype(np.float32)


def right_kernels(call: Call) -> Iterator[Array]:
    """Yield the outputs of right float32 kernels: forwards, backwards, shuffled, in two halves, and in blocks by BLAS."""
    K = call.geometry.K
    forwards = np.arange(K)
    yield chained(call, forwards)
    yield chained(call, forwards[::-1])
    yield chained(call, np.random.default_rng(7).permutation(K))
    without = replace(call, bias=None)
    halves = chained(without, forwards[: K // 2]) + chained(without, forwards[K // 2 :])
    yield halves if call.bias is None else halves + call.bias[:, None, None]
    quarters = sum((chained(without, forwards[i::4]) for i in range(4)), np.zeros(call.geometry.y_shape, np.float32))
    yield quarters if call.bias is None else quarters + call.bias[:, None, None]


def mistaken_kernels(call: Call) -> Iterator[tuple[str, Array]]:
    """Yield each known mistake that changes this geometry's sums, and what a kernel with it gives."""
    right = plain(call)
    for fault in candidates(right, None):
        reading = fault.reading(right)
        if reading is not None and fault.applies(right):
            yield fault.name, left_alone(outcome(reading, FLOAT32).y.astype(np.float32), reading)
    for form in ("bfloat16", "float16"):
        yield f"accumulated in {form}", chained(call, np.arange(call.geometry.K), form)


def left_alone(y: Array, reading: Reading) -> Array:
    """Return outputs with NaN where the kernel never wrote, as a careful test fills its buffer."""
    return y if reading.order is None else np.where(reading.order < 0, np.float32(np.nan), y)


def calls(rule: Rule, g: Geometry, seed: int) -> list[Call]:
    """Return the calls that a rule makes on one geometry."""
    rng = np.random.default_rng((seed, GEOMETRIES.index(g)))
    return [Call(x, weight, bias, g) for x, weight, bias in (make(g, rng) for make in rule.data)]


def tally(rule: Rule, seeds: int) -> dict[str, Any]:
    """Return what one rule caught, missed and cried wolf about."""
    verdicts: list[bool] = []
    seen: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for g in GEOMETRIES:
        for seed in range(seeds):
            made = calls(rule, g, seed)
            verdicts += [rule.passes(y, call) for call in made for y in right_kernels(call)]
            passed: dict[str, bool] = {}
            for call in made:
                for name, y in mistaken_kernels(call):
                    # Seen by one of the rule's arrays is seen.
                    passed[name] = passed.get(name, True) and rule.passes(y, call)
            missed.update(name for name, unseen in passed.items() if unseen)
            seen.update(name for name, unseen in passed.items() if not unseen)
    return {
        "rule": rule.name,
        "data": rule.source,
        "caught": seen.total(),
        "mistaken": seen.total() + missed.total(),
        "alarms": verdicts.count(False),
        "right": len(verdicts),
        "missed": dict(missed.most_common()),
    }


def table(tallies: list[dict[str, Any]]) -> str:
    """Return the tallies as a table in Markdown."""
    lines = ["| rule | data and comparison | mistakes caught | false alarms | misses most |", "|---|---|---|---|---|"]
    for t in tallies:
        most = ", ".join(list(t["missed"])[:3]) or "-"
        caught, alarms = f"{t['caught']:,} of {t['mistaken']:,}", f"{t['alarms']} of {t['right']}"
        lines.append(f"| {t['rule']} | {t['data']} | {caught} | {alarms} | {most} |")
    return "\n".join(lines)


def main() -> None:
    """Judge all kernels by all rules, and print or write what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.rules", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="data sets of each rule and geometry")
    parser.add_argument("--json", action="store_true", help="print the counts, and which mistakes each rule missed")
    parser.add_argument("--into", type=Path, help="a page whose table is replaced")
    options = parser.parse_args()
    tallies = []
    for rule in RULES:
        tallies.append(tally(rule, options.seeds))
        print(f"{rule.name}: {tallies[-1]['caught']} of {tallies[-1]['mistaken']}", file=sys.stderr)
    print(json.dumps(tallies, indent=2) if options.json else table(tallies))
    if options.into:
        before, rest = options.into.read_text().split(BEGIN)
        options.into.write_text(f"{before}{BEGIN}\n{table(tallies)}\n{END}{rest.split(END)[1]}")


BEGIN, END = "<!-- the table begins: python -m bench.rules -->", "<!-- the table ends -->"

if __name__ == "__main__":
    main()
