"""Compare our rules with a file of what ten tools printed for 24 layers: ``python tests/tool_matrix.py FILE``.

The file maps a layer's name to ``{"thop": number, ..., "calflops": [MACs, FLOPs], "ref": {"macs", "useful", "outs",
"bias"}}``; a text in place of a number tells why a tool gave none. All numbers are of the whole batch.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from npconv.conventions import CONVENTIONS, Facts

IMAGE, PLAIN, GROUPED, DEPTHWISE = (2, 8, 10, 12), (16, 8, 3, 3), (16, 2, 3, 3), (8, 1, 3, 3)
SMALL, UP = (2, 8, 5, 6), (8, 16, 4, 4)

LAYERS = {
    "conv g1": Facts.of_call(IMAGE, PLAIN, padding=1),
    "conv g1 +bias": Facts.of_call(IMAGE, PLAIN, padding=1, bias=True),
    "conv g4": Facts.of_call(IMAGE, GROUPED, padding=1, groups=4),
    "depthwise": Facts.of_call(IMAGE, DEPTHWISE, padding=1, groups=8),
    "depthwise x2 (mult)": Facts.of_call(IMAGE, (16, 1, 3, 3), padding=1, groups=8),
    "stride2 floor": Facts.of_call((2, 8, 11, 12), PLAIN, stride=2, padding=1),
    "dilated d2 p2": Facts.of_call(IMAGE, PLAIN, padding=2, dilation=2),
    "1x1": Facts.of_call(IMAGE, (16, 8, 1, 1)),
    "k3 'same'": Facts.of_call(IMAGE, PLAIN, padding="same"),
    "k4 'same'": Facts.of_call(IMAGE, (16, 8, 4, 4), padding="same"),
    "circular pad": Facts.of_call(IMAGE, PLAIN, padding=1, circular=True),
    "k7 p3 on 2x2": Facts.of_call((1, 4, 2, 2), (4, 4, 7, 7), padding=3),
    "unbatched input": Facts.of_call(IMAGE[1:], PLAIN, padding=1),
    "conv1d g4": Facts.of_call((2, 8, 12), (16, 2, 3), padding=1, groups=4),
    "conv3d g2": Facts.of_call((1, 8, 4, 5, 6), (16, 4, 3, 3, 3), padding=1, groups=2),
    "convT s2 g1": Facts.of_call(SMALL, UP, stride=2, padding=1, transposed=True),
    "convT s2 g1 +bias": Facts.of_call(SMALL, UP, stride=2, padding=1, transposed=True, bias=True),
    "convT s2 g4": Facts.of_call(SMALL, (8, 4, 4, 4), stride=2, padding=1, transposed=True, groups=4),
    "convT s2 depthwise": Facts.of_call(SMALL, (8, 1, 4, 4), stride=2, padding=1, transposed=True, groups=8),
    "F.conv2d g4": Facts.of_call(IMAGE, GROUPED, padding=1, groups=4, caller="function"),
    "module used twice": Facts.of_call(IMAGE, (8, 2, 3, 3), padding=1, groups=4, times=2),
    "conv shared by 2 parents": Facts.of_call(IMAGE, (8, 2, 3, 3), padding=1, groups=4, times=2, parents=2),
    "subclass of Conv2d": Facts.of_call(IMAGE, PLAIN, padding=1, caller="subclass", class_name="Mine"),
    "weight_norm conv": Facts.of_call(IMAGE, PLAIN, padding=1, caller="parametrized"),
}

# The columns of the file, and the conventions that they hold.
COLUMNS = {
    "FlopCounterMode": ["flop-counter-mode"],
    "torch_profiler": ["torch-profiler"],
    "fvcore": ["fvcore"],
    "thop": ["thop"],
    "ptflops": ["ptflops"],
    "ptflops_aten": ["ptflops-aten"],
    "torchinfo": ["torchinfo"],
    "torchprofile": ["torchprofile"],
    "onnx_tool": ["onnx-tool"],
    "calflops": ["calflops-macs", "calflops"],
}
ALLOWED = 0.05


class Cell(NamedTuple):
    """What one tool printed for one layer, and what our rules say; `reason` tells why there is nothing to compare."""

    layer: str
    tool: str
    printed: list[int]
    ours: list[int | None]
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """Whether both are the same, or the tool stops where we say that it does."""
        return not self.reason and self.printed == [number for number in self.ours if number is not None]


def cells(file: dict[str, Any]) -> Iterator[Cell]:
    """Yield every cell of the file, and first of each layer whether we speak of the same one."""
    for layer, printed in file.items():
        f = LAYERS[layer]
        yield Cell(layer, "ref", [*printed["ref"].values()], [f.dense, f.useful, f.outputs, f.biases])
        for tool, names in COLUMNS.items():
            ours = [CONVENTIONS[name].rule(f) for name in names]
            numbers = printed[tool] if isinstance(printed[tool], list) else [printed[tool]]
            if isinstance(printed[tool], str):
                # Not a fault of a rule which foretells it.
                stops = set(ours) == {None}
                yield Cell(layer, tool, [], ours, "" if stops else f"the file has no number: {printed[tool]}")
            else:
                yield Cell(layer, tool, [int(number) for number in numbers], ours)


def main(path: str) -> int:
    """Print every cell that disagrees or cannot be compared, and the tally."""
    all_cells = list(cells(json.loads(Path(path).read_text())))
    wrong = [cell for cell in all_cells if not cell.agrees and not cell.reason]
    compared = [cell for cell in all_cells if cell.tool != "ref"]
    blank = [cell for cell in compared if cell.reason]
    for cell in wrong:
        print(f"differs:      {cell.layer:<25} {cell.tool:<16} printed {cell.printed}, our rule says {cell.ours}")
    for cell in blank:
        print(f"not compared: {cell.layer:<25} {cell.tool:<16} our rule says {cell.ours}; {cell.reason}")
    agree = f"{sum(cell.agrees for cell in compared)} of {len(compared)} cells agree"
    print(f"{len(all_cells) - len(compared)} layers, {len(COLUMNS)} tools: {agree}, {len(blank)} are not compared")
    return int(bool(wrong) or len(blank) > ALLOWED * len(compared))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
