"""Many threads, forked and spawned children, a pool that cannot start: right answers and no abort."""

import runpy
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import npconv as nc
from npconv import threads
from processes import COMPILED, compiled_kernels, run_python

# Small layers that two threads share all the same, in a tile that other tests compile as well.
LAYER = """
import os, threading
import numpy as np
import npconv as nc
from npconv.geometry import conv2d_geometry
from npconv.plan import Conv2dPlan

def plan(num_threads):
    return Conv2dPlan(geometry, weight, None, (x.dtype, x.dtype), "direct", num_threads, tile=(3, 2), bands=8)

draw = np.random.default_rng(0)
x = draw.standard_normal((1, 8, 24, 24), np.float32)
weight = draw.standard_normal((8, 8, 3, 3), np.float32)
geometry = conv2d_geometry(x.shape, weight.shape, padding=1)
alone, together = plan(1)(x), plan(2)
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
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(len(wrong), "wrong")
"""

FORKED = """
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of what is under test: a fork while threads exist
assert right(together(x))
child = os.fork()
if child == 0:
    answers = [right(together(x)) for _ in range(20)] + [right(nc.conv2d(x, weight, padding=1))]
    os._exit(0 if all(answers) and threads_of_pool() else 1)
print(os.waitpid(child, 0)[1], right(together(x)))
"""

THREADS_OF_POOL = """
def threads_of_pool():
    return any(thread.name.startswith("npconv") for thread in threading.enumerate())
"""

LAST_CALL = """
import atexit

together(x)
atexit.register(lambda: print("right" if right(together(x)) else "wrong"))
"""

SPAWNED = """
import functools, multiprocessing
import numpy as np
import npconv as nc

if __name__ == "__main__":
    x, weight = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), np.float32)
    convolve = functools.partial(nc.conv2d, weight=weight, method="naive")
    print(convolve(x).ravel().tolist())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print([y.ravel().tolist() for y in pool.map(convolve, [x, x + 1])])
"""


@compiled_kernels
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_eight_python_threads_are_right_on_every_threading_layer(layer: str) -> None:
    assert run_python(LAYER + EIGHT_THREADS, NUMBA_THREADING_LAYER=layer, **COMPILED) == "0 wrong\n"


@compiled_kernels
def test_a_forked_child_convolves_in_parallel_after_its_parent_did() -> None:
    assert run_python(LAYER + THREADS_OF_POOL + FORKED, **COMPILED) == "0 True\n"


@pytest.mark.kernels
def test_spawned_children_convolve() -> None:
    expected = "[8.0, 12.0, 20.0, 24.0]\n[[8.0, 12.0, 20.0, 24.0], [12.0, 16.0, 24.0, 28.0]]\n"
    assert run_python(SPAWNED) == expected


@compiled_kernels
def test_a_call_while_the_interpreter_shuts_down_is_done_alone() -> None:
    assert run_python(LAYER + LAST_CALL, **COMPILED) == "right\n"


def test_work_is_shared_and_every_thread_that_began_is_waited_for() -> None:
    seen: list[int] = []
    threads.share(seen.append, 3)
    assert 0 in seen
    assert len(seen) == len(set(seen))
    assert set(seen) <= {0, 1, 2}


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
    began = threading.Event()

    def task(thread: int) -> None:
        if thread:
            began.set()
            raise ArithmeticError("in a helper")
        began.wait(60)

    with pytest.raises(ArithmeticError, match="in a helper"):
        threads.share(task, 2)


@pytest.mark.parametrize("failing", range(3))
def test_nothing_is_still_at_work_when_a_thread_has_failed(failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    all_began, ended = threading.Barrier(3), []

    def task(thread: int) -> None:
        all_began.wait(60)
        if thread == failing:
            raise ArithmeticError(f"in thread {thread}")
        if thread > 0:
            # Longer than it takes to hear of the failure.
            threading.Event().wait(0.3)
        ended.append(thread)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(threads, "_helpers", lambda: pool)
        with pytest.raises(ArithmeticError, match=f"in thread {failing}"):
            threads.share(task, 3)
        assert sorted(ended) == [thread for thread in range(3) if thread != failing]


def test_where_no_thread_can_be_started_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_helpers", none_left)
    seen: list[int] = []
    threads.share(seen.append, 2)
    assert seen == [0]


def test_work_that_no_thread_could_begin_is_not_begun_later(monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[int] = []
    second: list[int] = []
    begun = threading.Event()

    def task(thread: int) -> None:
        second.append(thread)
        if thread:
            begun.set()
        else:
            begun.wait(60)

    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread {thread.name}")

    monkeypatch.setattr(threads, "_pool", None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        threads.share(first.append, 2)
    # The pool has kept the first call's work; its arrays may have gone back to the caller long since.
    threads.share(task, 2)
    threads._helpers().shutdown()
    assert (first, sorted(second)) == ([0], [0, 1])


def test_the_pool_is_made_once_and_dropped_in_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_pool", None)
    # Held at the moment of the fork by a thread that the child does not have.
    monkeypatch.setattr(threads, "_lock", threading.Lock())
    pool = threads._helpers()
    assert threads._helpers() is pool
    threads._lock.acquire()
    threads._forget_pool()
    new = threads._helpers()
    assert new is not pool
    for each in (pool, new):
        each.shutdown()


def test_the_number_of_threads_is_an_integer_from_one_up() -> None:
    before = nc.get_num_threads()
    try:
        nc.set_num_threads(np.int64(3))
        assert nc.get_num_threads() == 3
        assert type(nc.get_num_threads()) is int
        for wrong in (0, -1):
            with pytest.raises(ValueError, match=f"set_num_threads: n is {wrong}, but must be at least 1"):
                nc.set_num_threads(wrong)
        mistyped: Any
        for mistyped in (2.0, "2", None):
            with pytest.raises(TypeError, match="set_num_threads: n"):
                nc.set_num_threads(mistyped)
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


def test_systems_that_cannot_fork_have_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.register_at_fork", raising=False)
    found = runpy.run_path(threads.__file__)
    ran: list[int] = []
    found["share"](ran.append, 1)
    assert ran == [0]
