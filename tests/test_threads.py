"""Many threads, forked and spawned children, a pool that cannot start: right answers and no abort."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

import npconv as nc
from npconv import threads
from processes import run_python

pytestmark = pytest.mark.kernels

LAYER = """
import multiprocessing, os, threading
import numpy as np
import npconv as nc

draw = np.random.default_rng(0)
x = draw.standard_normal((1, 16, 24, 24), np.float32)
weight = draw.standard_normal((16, 16, 3, 3), np.float32)
alone = nc.plan_conv2d(x.shape, weight, padding=1, num_threads=1)(x)
from npconv.plan import Conv2dPlan
from npconv.geometry import conv2d_geometry
f32 = np.dtype(np.float32)
geometry = conv2d_geometry(x.shape, weight.shape, padding=1)
together = Conv2dPlan(geometry, weight, None, (f32, f32), "direct", 2, bands=8)
assert together.num_threads == 2

def right(y):
    return y.tobytes() == alone.tobytes()
"""

EIGHT_THREADS = """
wrong = []
def work():
    for call in range(200):
        if not right(together(x) if call % 2 else nc.conv2d(x, weight, padding=1)):
            wrong.append(call)
workers = [threading.Thread(target=work) for _ in range(8)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print(len(wrong), "wrong")
"""

FORKED = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of what is under test: a fork while threads exist
assert right(together(x))
child = os.fork()
if child == 0:
    os._exit(0 if right(together(x)) and right(nc.conv2d(x, weight, padding=1)) else 1)
print(os.waitpid(child, 0)[1])
"""

LAST_CALL = """
import atexit
together(x)
atexit.register(lambda: print("right" if right(together(x)) else "wrong"))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_eight_python_threads_are_right_on_every_threading_layer(layer: str) -> None:
    assert run_python(LAYER + EIGHT_THREADS, NUMBA_THREADING_LAYER=layer) == "0 wrong\n"


def test_a_forked_child_convolves_after_its_parent_did_in_parallel() -> None:
    assert run_python(LAYER + FORKED) == "0\n"


def test_spawned_children_convolve() -> None:
    code = """
import multiprocessing, sys
import numpy as np
import npconv as nc
if __name__ == "__main__":
    x, weight = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print([y.ravel().tolist() for y in pool.starmap(nc.conv2d, [(x, weight), (x + 1, weight)])])
"""
    assert run_python(code) == "[[8.0, 12.0, 20.0, 24.0], [12.0, 16.0, 24.0, 28.0]]\n"


def test_a_call_while_the_interpreter_shuts_down_is_done_alone() -> None:
    assert run_python(LAYER + LAST_CALL) == "right\n"


def test_work_is_shared_and_every_thread_that_began_is_waited_for() -> None:
    seen: list[int] = []
    threads.share(seen.append, 3)
    assert 0 in seen
    assert len(seen) == len(set(seen))


def test_a_helper_that_has_not_begun_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy:
        def submit(self, task: Callable[[int], None], thread: int) -> Future[None]:
            assert callable(task)
            assert thread == 1
            return Future()

    monkeypatch.setattr(threads, "_helpers", Lazy)
    seen: list[int] = []
    threads.share(seen.append, 2)
    assert seen == [0]


def test_a_helper_that_fails_is_heard() -> None:
    class Busy:
        def __init__(self) -> None:
            self.began = False

        def __call__(self, thread: int) -> None:
            if thread:
                self.began = True
                raise ArithmeticError("in a helper")
            while not self.began:
                pass

    with pytest.raises(ArithmeticError, match="in a helper"):
        threads.share(Busy(), 2)


def test_where_no_thread_can_be_started_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_helpers", none_left)
    seen: list[int] = []
    threads.share(seen.append, 2)
    assert seen == [0]


def test_the_number_of_threads_is_an_integer_from_one_up() -> None:
    before = nc.get_num_threads()
    fraction: Any = 2.0
    try:
        nc.set_num_threads(np.int64(3))
        assert nc.get_num_threads() == 3
        with pytest.raises(ValueError, match="set_num_threads: n is 0, but must be at least 1"):
            nc.set_num_threads(0)
        with pytest.raises(TypeError, match="set_num_threads: n"):
            nc.set_num_threads(fraction)
        assert nc.get_num_threads() == 3
    finally:
        nc.set_num_threads(before)


def test_threads_change_no_bit_and_small_work_stays_alone() -> None:
    x = np.random.default_rng(1).standard_normal((4, 32, 40, 40), np.float32)
    weight = np.random.default_rng(2).standard_normal((32, 32, 3, 3), np.float32)
    one, two = (nc.plan_conv2d(x.shape, weight, padding=1, num_threads=n) for n in (1, 2))
    assert (one.num_threads, two.num_threads) == (1, 2)
    assert one(x).tobytes() == two(x).tobytes()
    assert nc.plan_conv2d((1, 1, 4, 4), np.ones((1, 1, 3, 3)), num_threads=2).num_threads == 1
