"""Assembly of kernels that were just compiled: their innermost loops, and which registers they use and keep in memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FUSED = re.compile(r"\s+vfn?madd\w*p[sd]\s")
PRODUCT = re.compile(r"\s+v?mulp[sd]\s")
INTEGER_PRODUCT = re.compile(r"\s+v?p(mullq|muludq)\s")
VECTOR = re.compile(r"%([xyz])mm\d+")
LABEL = re.compile(r"(\.LBB\d+_\d+):")
JUMP = re.compile(r"\s+j\w+\s+(\.LBB\d+_\d+)")
STACK = re.compile(r"\(%rsp[,)]")
STACK_OR_FRAME = re.compile(r"\(%rsp[,)]|\(%rbp[,)]")
FRAME = re.compile(r"\s+movq\s+%rsp, %rbp")
BYTES = {"x": 16, "y": 32, "z": 64}


@dataclass(frozen=True)
class Loop:
    """One innermost loop.

    Attributes
    ----------
    fused, products : int
        Vector multiply-adds, and vector products that nothing is added to, in one trip.
    """

    fused: int
    products: int


@dataclass(frozen=True)
class Assembly:
    """What matters of a module's machine code.

    Attributes
    ----------
    loops : list of Loop
        Innermost loops that multiply vectors of floats.
    products : int
        Vector products outside them that nothing is added to.
    spills : int
        Moves between a vector register and the stack in any loop of a function that multiplies vectors.
    widest : int
        Bytes of the widest vector register that is named.
    """

    loops: list[Loop]
    products: int
    spills: int
    widest: int

    @classmethod
    def of(cls, text: str) -> "Assembly":
        """Read it from the text of all functions of a module."""
        loops: list[Loop] = []
        products, spills = 0, 0
        for lines in functions(text):
            if not any(pattern.match(line) for pattern in (FUSED, PRODUCT, INTEGER_PRODUCT) for line in lines):
                continue
            every = list(backward_jumps(lines))
            inner = [(a, b) for a, b in every if not any(a <= c and d <= b for c, d in every if (a, b) != (c, d))]
            bodies = [lines[a : b + 1] for a, b in inner]
            found = [Loop(count(FUSED, body), count(PRODUCT, body)) for body in bodies]
            loops += [loop for loop in found if loop.fused or loop.products]
            products += count(PRODUCT, lines) - sum(loop.products for loop in found)
            stack = STACK_OR_FRAME if any(FRAME.match(line) for line in lines) else STACK
            looped = {i for a, b in every for i in range(a, b + 1)}
            spills += sum(1 for i in looped if stack.search(lines[i]) and VECTOR.search(lines[i]))
        widest = max((BYTES[letter] for letter in VECTOR.findall(text)), default=0)
        return cls(loops, products, spills, widest)


def count(pattern: re.Pattern[str], lines: list[str]) -> int:
    """Return how many lines match a pattern from their beginning."""
    return sum(1 for line in lines if pattern.match(line))


def functions(text: str) -> Iterator[list[str]]:
    """Yield the lines of each function."""
    for part in re.split(r"^\.Lfunc_end\d+:", text, flags=re.MULTILINE)[:-1]:
        yield part.splitlines()


def backward_jumps(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where each loop begins and ends."""
    at: dict[str, int] = {}
    for i, line in enumerate(lines):
        if label := LABEL.match(line):
            at[label[1]] = i
        elif (jump := JUMP.match(line)) and jump[1] in at:
            yield at[jump[1]], i
