"""Results that lie where others lay that nobody holds any more, and never where somebody may still look."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import npconv as nc
from npconv import reuse
from npconv.memory import LINE_BYTES, WORTH_ALIGNING
from npconv.reuse import new_result
from processes import run_python

F32 = np.dtype(np.float32)
LARGE = (1, 1, 1, WORTH_ALIGNING)


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    reuse._places.clear()
    yield
    reuse._places.clear()


def result(shape: tuple[int, ...] = LARGE, dtype: np.dtype = F32) -> np.ndarray:
    """Return a result."""
    return new_result("conv2d", "the result", shape, dtype)


def test_a_result_that_nobody_holds_gives_its_memory_to_the_next() -> None:
    first = result()
    address = first.ctypes.data
    assert address % LINE_BYTES == 0
    del first
    assert result().ctypes.data == address
    # Of the same size but another form.
    for other in (result((1, 1, WORTH_ALIGNING, 1)), result(dtype=np.dtype(np.int32))):
        assert other.ctypes.data != address
    assert result().ctypes.data == address


HOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "itself": lambda y: y,
    "view": lambda y: y[0, 0, 0, ::2].reshape(2, -1).T,
    "memoryview": lambda y: y.data,
    "memory": lambda y: y.base,
    "DLPack": np.from_dlpack,
    "iterator": lambda y: y.flat,
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_memory_that_is_still_looked_at_is_left_alone(hold: Callable[[np.ndarray], Any]) -> None:
    y = result()
    address = y.ctypes.data
    held = hold(y)
    del y
    others = [result(), result()]
    assert all(other.ctypes.data != address for other in others)
    del held
    # Each has a place of its own again, whichever of the three is taken first.
    del others
    assert address in {each.ctypes.data for each in [result(), result(), result()]}


def test_results_that_are_held_in_turn_share_two_places() -> None:
    y = result()
    addresses = set()
    for _ in range(6):
        y = result()
        addresses.add(y.ctypes.data)
    assert len(addresses) == 2


def test_no_more_is_kept_than_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [result() for _ in range(5)]
    assert len(reuse._places[LARGE, F32]) == reuse.MOST_ALIKE
    del held
    monkeypatch.setattr(reuse, "MOST_FORMS", 2)
    shapes = [(n, WORTH_ALIGNING) for n in (1, 2, 3)]
    for shape in shapes:
        result(shape)
    assert [shape for shape, _ in reuse._places] == shapes[1:]
    monkeypatch.setattr(reuse, "MOST_BYTES", 17 * WORTH_ALIGNING)
    result((1, WORTH_ALIGNING))
    assert [shape for shape, _ in reuse._places] == [shapes[2], shapes[0]]
    result((2, WORTH_ALIGNING))
    assert [shape for shape, _ in reuse._places] == shapes[:2]
    # Of what takes more than half of all that is kept only one could be.
    result((3, WORTH_ALIGNING))
    assert [shape for shape, _ in reuse._places] == shapes[:2]


def test_small_and_empty_results_are_not_kept() -> None:
    for shape in ((1, 2, 3, 4), (0, 5, 5, 5)):
        assert result(shape).shape == shape
        assert (shape, F32) not in reuse._places


def test_a_place_that_another_thread_took_meanwhile_is_not_missed() -> None:
    class Emptied(deque[Any]):
        def __len__(self) -> int:
            return 1

    reuse._places[LARGE, F32] = Emptied()
    assert result().shape == LARGE


def test_threads_never_share_a_place() -> None:
    def fill(number: int) -> bool:
        for _ in range(200):
            y = result()
            y.fill(number)
            if not (y == number).all():
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(8)))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_whose_last_result_was_let_go_writes_to_the_same_memory(threads: int) -> None:
    x, weight = np.ones((1, 3, 64, 64), np.float32), np.ones((8, 3, 3, 3), np.float32)
    plan = nc.plan_conv2d(x.shape, weight, padding=1, num_threads=threads)
    kept = plan(x)
    expected = kept.copy()
    addresses = {plan(x).ctypes.data for _ in range(9)}
    # A helper may hold a result for a moment longer than its caller.
    assert len(addresses) <= threads
    assert kept.ctypes.data not in addresses
    assert np.array_equal(kept, expected)


@pytest.mark.parametrize("hook", ["settrace", "setprofile"])
def test_whoever_looks_on_at_the_import_does_not_count(hook: str) -> None:
    code = (
        f"import sys; look = lambda *_: look; sys.{hook}(look); from npconv import reuse; sys.{hook}(None); import numpy as np;"
        f"kept = [reuse.new_result('a', 'b', (1, {WORTH_ALIGNING}), np.dtype('float32')) for _ in range(4)];"
        "assert len({y.ctypes.data for y in kept}) == 4"
    )
    run_python(code)
