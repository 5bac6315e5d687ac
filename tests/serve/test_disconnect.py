"""A client that hangs up costs nothing further, and is never taken for another reason to stop."""

import asyncio

import pytest
from starlette.requests import Request

from serve.disconnect import HANG_UP, unless_gone
from serve.errors import ClientGoneError


class Line:
    """A connection that can be hung up on, and says so as ours do."""

    def __init__(self):
        self.told = None

    def listen(self, told):
        self.told = told

    @property
    def request(self):
        return Request({"type": "http", "extensions": {HANG_UP: self.listen}})


class Work:
    """Waits until it is told to go on; remembers whether it was cancelled."""

    def __init__(self):
        self.go_on, self.was_cancelled = asyncio.Event(), False

    async def __call__(self, deadline_s=None):
        try:
            async with asyncio.timeout(deadline_s):
                await self.go_on.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return "done"


def test_the_work_of_a_client_that_stays_is_answered():
    async def ask():
        line, work = Line(), Work()
        work.go_on.set()
        return await unless_gone(line.request, work()), line.told

    assert asyncio.run(ask()) == ("done", None)


@pytest.mark.parametrize("deadline_s", [None, 0], ids=["in time", "at its deadline"])
def test_the_work_of_a_client_that_hangs_up_is_cancelled(deadline_s):
    async def ask():
        line, work = Line(), Work()
        asking = asyncio.create_task(unless_gone(line.request, work(deadline_s)))
        await asyncio.sleep(0)
        line.told()
        with pytest.raises(ClientGoneError):
            await asking
        return work.was_cancelled or deadline_s == 0, line.told, asking.cancelling()

    assert asyncio.run(ask()) == (True, None, 0)


def test_whoever_is_cancelled_otherwise_stays_cancelled():
    async def ask():
        line, work = Line(), Work()
        asking = asyncio.create_task(unless_gone(line.request, work()))
        await asyncio.sleep(0)
        line.told()
        asking.cancel()
        await asyncio.wait((asking,))
        return asking.cancelled(), work.was_cancelled

    assert asyncio.run(ask()) == (True, True)
