"""A lane does its work beside the event loop, gives up what nobody waits for, and ends with its owner."""

import asyncio
import threading

import pytest

from serve.lane import Lane
from serve.timing import Timings


@pytest.fixture
def lane():
    lane = Lane("work", 1)
    yield lane
    lane.close()


def test_work_is_done_in_a_thread_of_that_name_and_its_time_is_counted(lane):
    timings = Timings()

    def work(value):
        return value, threading.current_thread().name

    assert asyncio.run(lane.run(timings, "stage", work, 7)) == (7, "work_0")
    assert list(timings.stages_ms) == ["queue", "stage"]


def test_what_the_work_raises_reaches_its_caller(lane):
    def fail():
        raise ZeroDivisionError("from the thread")

    with pytest.raises(ZeroDivisionError, match="from the thread"):
        asyncio.run(lane.run(Timings(), None, fail))
    assert asyncio.run(lane.run(Timings(), None, int)) == 0


def test_a_caller_that_is_cancelled_while_it_waits_never_reaches_the_thread(lane):
    done, begun, may_end = [], threading.Event(), threading.Event()

    def occupy():
        begun.set()
        may_end.wait()

    async def ask():
        first = asyncio.create_task(lane.run(Timings(), None, occupy))
        await asyncio.to_thread(begun.wait)
        waiting = asyncio.create_task(lane.run(Timings(), None, done.append, "cancelled"))
        last = asyncio.create_task(lane.run(Timings(), None, done.append, "last"))
        await asyncio.sleep(0)
        waiting.cancel()
        may_end.set()
        await asyncio.gather(first, last)

    asyncio.run(ask())
    assert done == ["last"]


def test_closing_waits_for_the_work_that_runs_and_drops_what_waits():
    lane, done, begun, may_end = Lane("work", 1), [], threading.Event(), threading.Event()

    def occupy():
        begun.set()
        may_end.wait()
        done.append("first")

    async def ask():
        first = asyncio.create_task(lane.run(Timings(), None, occupy))
        await asyncio.to_thread(begun.wait)
        waiting = asyncio.create_task(lane.run(Timings(), None, done.append, "second"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(lane.close))
        while not waiting.done():
            await asyncio.sleep(0)
        may_end.set()
        await closing
        await first
        return waiting.cancelled()

    assert asyncio.run(ask())
    assert done == ["first"]
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(lane.run(Timings(), None, int))


def test_threads_begin_with_the_first_work():
    before = threading.active_count()
    Lane("work", 2).close()
    assert threading.active_count() == before
