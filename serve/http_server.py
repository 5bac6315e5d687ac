"""uvicorn as we run it: slow headers are cut, and signals mean a drain in which no request is dropped."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from math import ceil
from typing import Any

import uvicorn
from fastapi import FastAPI

from modelpack.errors import SegError
from serve.connection import Connection
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that may wait for being accepted."""


class HttpServer(uvicorn.Server):
    """uvicorn with other signal handlers: its own close the port at once and exit with the signal's code."""

    signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)

    def __init__(
        self, app: FastAPI, settings: ServeSettings, on_closed: Callable[[], None] | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=partial(  # type: ignore[arg-type]
                    Connection,
                    header_timeout_s=settings.header_timeout_s,
                    answer_timeout_s=settings.answer_timeout_s,
                    on_closed=on_closed,
                ),
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=ceil(settings.drain_timeout_s),
            )
        )
        self.failure: BaseException | None = None
        """Why the model could not be loaded."""
        self._app = app
        self._drain_delay_s = settings.drain_delay_s
        self._draining: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def loaded(self) -> bool:
        """Wait for the model; False, and the server exits, where it could not be loaded."""
        loading: asyncio.Task[None] = self._app.state.loading
        await asyncio.wait((loading,))
        self.failure = loading.exception()
        if self.failure is not None:
            self.should_exit = True
        return self.failure is None

    @property
    def is_draining(self) -> bool:
        return self._draining is not None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in self.signals:
            loop.add_signal_handler(number, self.leave)
        try:
            yield
        finally:
            for number in self.signals:
                loop.remove_signal_handler(number)

    def reload(self) -> None:
        """Look for packages that have changed on disk. What fails is logged, and all goes on as before."""
        self.keep(self._reload())

    async def _reload(self) -> None:
        try:
            titles = await self._app.state.repository.reload()
        except SegError as error:
            logger.error("reload: %s", error)
        else:
            logger.info("reload: %s", ", ".join(titles) or "nothing has changed")

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the requests, and hold it: the event loop itself does not."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def leave(self) -> None:
        """First call: drain. Second: do not wait for what is in flight."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        else:
            self.force_exit = True

    async def _drain(self) -> None:
        logger.info("leaving: readiness is false, the port closes in %g s", self._drain_delay_s)
        self._app.state.service.start_draining()
        await asyncio.sleep(self._drain_delay_s)
        self.should_exit = True
