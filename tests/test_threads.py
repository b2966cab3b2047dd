"""Many threads, forked and spawned children, a pool that cannot start: right answers and no abort."""

import runpy
import threading
import weakref
from typing import Any, TypeAlias

import numpy as np
import pytest

import npconv as nc
from npconv import helpers, recent, threads
from npconv.kernels.compile import compiled
from npconv.kernels.sharing import give_way, pause, peek
from npconv.kernels.tile import DESK, THREAD
from npconv.kernels.work import BEGUN, GIVEN, LINE, LOOKS_AT_A_TIME, next_unit, rest, wait
from processes import COMPILED, compiled_kernels, run_python

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# Small layers that two threads share all the same, in a tile that other tests compile as well.
LAYER = """
import os, threading
import numpy as np
import npconv as nc
from npconv.geometry import conv2d_geometry
from npconv.plan import Conv2dPlan

def plan(num_threads):
    return Conv2dPlan(geometry, weight, None, (x.dtype, x.dtype), "direct", num_threads, tile=(3, 2), pieces=8)

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


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> helpers.Helpers:
    """Let the caller share work with helpers that nobody else has asked for anything."""
    mine = helpers.Helpers(2)
    monkeypatch.setattr(helpers, "_helpers", mine)
    return mine


def test_work_is_shared_and_every_thread_that_began_is_waited_for() -> None:
    seen: list[int] = []
    helpers.share(lambda thread, _: seen.append(thread), 3)
    assert 0 in seen
    assert len(seen) == len(set(seen))
    assert set(seen) <= {0, 1, 2}


def test_every_helper_has_a_desk_of_its_own_and_the_caller_has_none(alone: helpers.Helpers) -> None:
    together, desks = threading.Barrier(3), {}

    def task(thread: int, desk: int) -> None:
        together.wait(60)
        desks[thread] = desk

    helpers.share(task, 3)
    alone.dismiss()
    assert desks.pop(0) == 0
    assert len(set(desks.values()) - {0}) == 2


def test_a_helper_that_has_not_begun_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(helpers.Helper):
        def __init__(self) -> None:
            self.requests: list[helpers.Request] = []

        def ask(self, request: helpers.Request | None) -> None:
            assert request is not None
            self.requests.append(request)

    lazy = Lazy()
    monkeypatch.setattr(helpers.Helpers, "borrow", lambda _, wanted: [lazy] * wanted)
    monkeypatch.setattr(helpers.Helpers, "give_back", lambda _, lent: lent.clear())
    seen: list[int] = []
    helpers.share(lambda thread, _: seen.append(thread), 2)
    assert seen == [0]
    # Its arrays may have gone back to the caller long since.
    assert [request.take() for request in lazy.requests] == [False]


def test_a_helper_that_fails_is_heard_and_goes_on(alone: helpers.Helpers) -> None:
    began = threading.Event()

    def task(thread: int, _: int) -> None:
        if thread:
            began.set()
            raise ArithmeticError("in a helper")
        began.wait(60)

    for _ in range(3):
        began.clear()
        with pytest.raises(ArithmeticError, match="in a helper"):
            helpers.share(task, 2)
    assert len(alone.borrow(5)) == 2


@pytest.mark.parametrize("failing", range(3))
def test_nothing_is_still_at_work_when_a_thread_has_failed(failing: int, alone: helpers.Helpers) -> None:
    all_began, ended = threading.Barrier(3), []

    def task(thread: int, _: int) -> None:
        all_began.wait(60)
        if thread == failing:
            raise ArithmeticError(f"in thread {thread}")
        if thread > 0:
            # Longer than it takes to hear of the failure.
            threading.Event().wait(0.3)
        ended.append(thread)

    with pytest.raises(ArithmeticError, match=f"in thread {failing}"):
        helpers.share(task, 3)
    assert sorted(ended) == [thread for thread in range(3) if thread != failing]
    alone.dismiss()


@pytest.mark.usefixtures("alone")
def test_where_no_thread_can_be_started_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread {thread.name}")

    seen: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        helpers.share(lambda thread, _: seen.append(thread), 2)
    assert seen == [0]


def test_helpers_are_lent_to_one_caller_at_a_time_and_dismissed_in_the_end(alone: helpers.Helpers) -> None:
    before = set(threading.enumerate())
    lent = alone.borrow(1)
    assert len(lent) == 1
    assert len(alone.borrow(2)) == 1
    assert alone.borrow(2) == []
    alone.give_back(lent)
    assert alone.borrow(1) == lent
    alone.give_back(lent)
    first, second = (thread for thread in threading.enumerate() if thread not in before)
    alone.dismiss()
    # The second was never given back.
    first.join(60)
    assert [thread.is_alive() for thread in (first, second)] == [False, True]


def test_a_helper_that_sleeps_keeps_nothing_of_its_last_task(alone: helpers.Helpers) -> None:
    both_began = threading.Barrier(2)

    class Task:
        def __call__(self, *_: int) -> None:
            both_began.wait(60)

    task = Task()
    gone = threading.Event()
    weakref.finalize(task, gone.set)
    helpers.share(task, 2)
    del task
    assert gone.wait(60)
    alone.dismiss()


@pytest.mark.skipif(helpers.current_cpu() is None, reason="this system does not tell")
def test_a_helper_keeps_off_the_cpu_of_its_caller(alone: helpers.Helpers, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[set[int]] = []
    monkeypatch.setattr("os.sched_setaffinity", lambda _, cpus: kept.append(cpus))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5})
    (helper,) = alone.borrow(1)
    # One CPU after another; the last one is not ours, as if the caller's own had been taken from it meanwhile.
    for cpu in (3, 3, 5, 7):
        monkeypatch.setattr(helpers, "current_cpu", lambda cpu=cpu: cpu)
        helper.ask(helpers.Request(lambda *_: None, 1, None))
    assert kept == [{5}, {3}, {3, 5}]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {9})
    monkeypatch.setattr(helpers, "current_cpu", lambda: 9)
    helper.ask(None)
    assert len(kept) == 3


def test_where_the_system_does_not_tell_the_cpu_helpers_run_anywhere(
    alone: helpers.Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "_sched_getcpu", None)
    assert helpers.current_cpu() is None
    seen: list[int] = []
    helpers.share(lambda thread, _: seen.append(thread), 2)
    assert 0 in seen
    alone.dismiss()


def test_a_caller_that_has_waited_long_enough_is_told_in_python(alone: helpers.Helpers) -> None:
    began, ended = threading.Event(), []
    memory = np.zeros(2, np.int64)
    # Written down by nobody, so the caller looks in vain.
    progress = helpers.Progress(memory, memory.ctypes.data, memory.ctypes.data + memory.itemsize)

    def task(thread: int, _: int) -> None:
        if thread:
            began.set()
        else:
            began.wait(60)
        ended.append(thread)

    helpers.share(task, 2, progress)
    assert sorted(ended) == [0, 1]
    alone.dismiss()


def test_a_forked_child_has_helpers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    inherited = helpers.Helpers(1)
    monkeypatch.setattr(helpers, "_helpers", inherited)
    helpers._forget_helpers()
    assert helpers._helpers is not inherited


def claim_all(counters: Array, tally: Array, units: int, taken: Array) -> None:
    unit = next_unit(counters, tally, units)
    while unit < units:
        taken[unit] += 1
        unit = next_unit(counters, tally, units)
    rest(counters, tally)


@pytest.mark.kernels
@pytest.mark.parametrize(("units", "num_threads"), [(0, 1), (5, 1), (1, 3), (100, 3), (4000, 4)])
def test_threads_take_each_unit_once_and_say_when_none_is_left(units: int, num_threads: int) -> None:
    counters, taken = np.zeros((num_threads + 1) * LINE, np.int64), np.zeros(units, np.int64)
    tallies = np.zeros((num_threads, LINE), np.int64)
    tallies[:, THREAD] = range(num_threads)
    workers = [threading.Thread(target=compiled(claim_all), args=(counters, tally, units, taken)) for tally in tallies]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert taken.tolist() == [1] * units
    assert counters[num_threads * LINE] == num_threads


@pytest.mark.kernels
def test_a_thread_begins_with_units_of_its_own() -> None:
    claim_first = compiled(next_unit_of)
    counters, tally = np.zeros(4 * LINE, np.int64), np.zeros(LINE, np.int64)
    for thread, first in ((0, 0), (1, 10), (2, 20), (1, 11)):
        tally[THREAD] = thread
        assert claim_first(counters, tally, 30) == first


def next_unit_of(counters: Array, tally: Array, units: int) -> int:
    return next_unit(counters, tally, units)


@pytest.mark.kernels
def test_a_helper_rests_until_its_next_task_has_begun_or_it_has_waited_long_enough() -> None:
    finish = compiled(claim_all)
    counters, tally, taken = np.zeros(2 * LINE, np.int64), np.zeros(LINE, np.int64), np.zeros(0, np.int64)
    begun, desk = np.zeros(1, np.int64), np.zeros(LINE, np.int64)
    tally[DESK] = desk.ctypes.data
    desk[BEGUN] = begun.ctypes.data
    for given, beginning in ((0, 0), (1, 0), (1, 1)):
        desk[GIVEN], begun[0] = given, beginning
        finish(counters, tally, 0, taken)
    assert counters[LINE] == 3


@pytest.mark.kernels
def test_who_waits_looks_so_often_and_no_more() -> None:
    number = np.array([3, 0], np.int64)
    assert not wait(number.ctypes.data, 4, 2 * LOOKS_AT_A_TIME)
    assert wait(number.ctypes.data, 3, 1)
    assert not wait(number.ctypes.data, 4, 5)
    assert not wait(number.ctypes.data, 3, 0)


@compiled_kernels
def test_machines_that_cannot_pause_or_give_way_do_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.delattr("os.sched_yield", raising=False)

    def look(address: int) -> int:
        pause()
        give_way()
        return peek(address)

    number = np.array([7], np.int64)
    assert compiled(look)(number.ctypes.data) == look(number.ctypes.data) == 7


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
    for name in ("register_at_fork", "sched_getaffinity", "sched_setaffinity"):
        monkeypatch.delattr(f"os.{name}", raising=False)
    assert runpy.run_path(threads.__file__)["_num_threads"] >= 1
    assert runpy.run_path(helpers.__file__)["_helpers"].borrow(0) == []
    assert not runpy.run_path(recent.__file__)["_calls"]
