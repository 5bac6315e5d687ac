"""Stop working for a client that hung up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from serve.errors import ClientGoneError

T = TypeVar("T")
Listen = Callable[[Callable[[], object] | None], None]
"""Takes what to call when the client hangs up, None to call nothing any more."""

HANG_UP = "afdcd.hang_up"
"""Extension of the scope by which our own connections (`serve.connection`) offer a `Listen`."""


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client disconnects (then ClientGoneError is raised).

    The request's body must have been read.
    """
    listen: Listen | None = request.scope.get("extensions", {}).get(HANG_UP)
    if listen is None:
        return await _beside_a_watch(request, work)
    task = asyncio.current_task()
    assert task is not None
    cancelled_before = task.cancelling()
    is_gone = False

    def stop() -> None:
        nonlocal is_gone
        is_gone = True
        task.cancel()

    listen(stop)
    try:
        return await work
    except asyncio.CancelledError:
        if is_gone and task.uncancel() <= cancelled_before:
            raise _gone() from None
        raise
    finally:
        listen(None)


async def _beside_a_watch(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """For other servers: ASGI tells of a disconnect only whoever waits for it, which takes two tasks."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _gone()
        return working.result()
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gone() -> ClientGoneError:
    return ClientGoneError("the client hung up before its answer.")
