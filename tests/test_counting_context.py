"""Who is told what a call counted: blocks, nested ones, threads, tasks and generators."""

import asyncio
import contextvars
import threading
from collections.abc import Generator
from dataclasses import FrozenInstanceError

import pytest

from npconv.counts import Counting, CountRecord, OpCount, counting, is_counting, record


def call(n: int) -> CountRecord:
    """Return the record of a call that multiplied so often."""
    return CountRecord("conv2d", "direct", (n, 1, 1, 1), (1, 1, 1, 1), (n, 1, 1, 1), OpCount(mul=n))


def told(block: Counting) -> list[int]:
    """Return how often each call of a block multiplied."""
    return [record.counts.mul for record in block]


def test_a_block_keeps_the_records_of_its_calls_in_order() -> None:
    record(call(1))
    with counting() as block:
        assert (len(block), list(block), block.records, block.total) == (0, [], [], OpCount())
        record(call(2))
        record(call(3))
    record(call(4))
    assert block.records == list(block) == [call(2), call(3)]
    assert len(block) == 2
    assert block.total == OpCount(mul=5)


def test_a_record_says_which_call_it_was() -> None:
    shuffle = CountRecord("channel_shuffle", "shuffle", (1, 2, 3, 4), None, (1, 2, 3, 4), OpCount(moved=24))
    assert (shuffle.operation, shuffle.method, shuffle.weight_shape) == ("channel_shuffle", "shuffle", None)
    assert (shuffle.x_shape, shuffle.y_shape) == ((1, 2, 3, 4), (1, 2, 3, 4))
    assert shuffle.counts == OpCount(moved=24)
    assert shuffle == CountRecord("channel_shuffle", "shuffle", (1, 2, 3, 4), None, (1, 2, 3, 4), OpCount(moved=24))
    assert len({shuffle, call(1), call(1)}) == 2
    for name in ("method", "something new"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(shuffle, name, "direct")
    assert not hasattr(shuffle, "__dict__")


def test_counting_is_on_inside_blocks_alone() -> None:
    assert is_counting() is False
    with counting():
        assert is_counting() is True
        with counting():
            assert is_counting() is True
        assert is_counting() is True
    assert is_counting() is False


def test_nested_blocks_each_get_every_record() -> None:
    with counting() as outer:
        record(call(1))
        with counting() as inner:
            record(call(2))
        with counting() as second:
            record(call(3))
        record(call(4))
    assert (told(outer), told(inner), told(second)) == ([1, 2, 3, 4], [2], [3])


def test_blocks_are_told_apart_even_if_they_hold_the_same() -> None:
    with counting() as outer, counting() as inner:
        record(call(1))
    assert outer.records == inner.records
    assert outer != inner
    assert len({outer, inner}) == 2
    assert not hasattr(outer, "__dict__")


def test_an_error_ends_its_block() -> None:
    blocks = []

    def fail() -> None:
        with counting() as block:
            blocks.append(block)
            record(call(1))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    record(call(2))
    assert told(blocks[0]) == [1]
    assert not is_counting()


def test_blocks_may_end_in_any_order() -> None:
    first, second = counting(), counting()
    one, two = first.__enter__(), second.__enter__()
    record(call(1))
    first.__exit__(None, None, None)
    record(call(2))
    second.__exit__(None, None, None)
    record(call(3))
    assert (told(one), told(two)) == ([1], [1, 2])


def test_a_thread_takes_part_in_a_copy_of_the_context_alone() -> None:
    with counting() as block:
        stranger = threading.Thread(target=record, args=(call(1),))
        guest = threading.Thread(target=contextvars.copy_context().run, args=(record, call(2)))
        for thread in (stranger, guest):
            thread.start()
            thread.join()
    assert told(block) == [2]


def test_records_of_many_threads_are_all_kept() -> None:
    def work() -> None:
        for _ in range(500):
            record(call(1))

    with counting() as block:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert block.total.mul == len(block) == 4000


def test_tasks_that_take_turns_keep_their_records_apart() -> None:
    async def task(n: int) -> list[int]:
        with counting() as block:
            for _ in range(3):
                record(call(n))
                await asyncio.sleep(0)
        return told(block)

    async def both() -> list[list[int]]:
        return list(await asyncio.gather(task(1), task(2)))

    with counting() as block:
        assert asyncio.run(both()) == [[1, 1, 1], [2, 2, 2]]
    assert told(block) == [1, 2] * 3


def test_a_block_in_a_generator_may_be_closed_in_another_context() -> None:
    def measured() -> Generator[Counting, None, None]:
        with counting() as block:
            yield block

    generator = measured()
    block = contextvars.copy_context().run(next, generator)
    record(call(1))
    generator.close()
    record(call(2))
    assert told(block) == []
    assert not is_counting()


def test_the_total_is_read_whenever_it_is_asked_for() -> None:
    with counting() as block:
        record(call(2))
        assert block.total.mul == 2
        record(call(3))
        assert block.total.mul == 5
    assert repr(block).startswith(
        "Counting(records=[CountRecord(operation='conv2d', method='direct', x_shape=(2, 1, 1, 1)"
    )
