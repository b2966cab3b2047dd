"""The functional call, which is given its weights anew each time: `conv2d` beside `torch.nn.functional.conv2d`."""

from collections.abc import Sequence

from bench.bars import Mean, each_thread, lowest, mean_bar
from bench.layers import Layer
from bench.report import Bar
from bench.rows import Row
from bench.sets import Layers

# So small that the way to the kernel is all it takes.
TINY = Layer.square(8, 8, 3, 8, 8)
TINY_RATIO = 1.0
MEAN = Mean("functional call", "float32", lambda row: row.layer != TINY, 1.2, "PyTorch")


def with_tiny(layers: Layers) -> Layers:
    """Return some layers, and the tiny one."""
    return {**layers, TINY: layers.get(TINY, ())}


def calls(rows: Sequence[Row], *, judged: bool) -> list[Bar]:
    """Return how calls do, for each number of threads."""
    found = []
    for on, here in each_thread(rows):
        found.append(mean_bar(MEAN, here, on, judged=judged))
        tiny = [row for row in here if row.layer == TINY and row.dtype == "float32"]
        asked = f"float32 call of {TINY.name}: at least {TINY_RATIO} of PyTorch, {on}"
        found.append(lowest(asked, tiny, TINY_RATIO, judged=judged))
    return found
