"""The process: listens, says when it is ready, and on SIGTERM leaves without dropping a request."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from math import ceil

import uvicorn
from fastapi import FastAPI

from serve.app import create_app
from serve.errors import ServerStartError
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that may wait for being accepted."""
PARENT_CHECK_S = 0.5
"""How often a service that belongs to another process looks whether that is still there."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run_server(settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the URL once requests may be sent.

    Raises ServerStartError for an address that cannot be listened on, and what `load_model` raises.
    """
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        server = _Server(create_app(settings), settings, on_ready)
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listener]))
        if server.failure is not None:
            raise server.failure


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ServerStartError, one sentence, where the address is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as on_error:
            listener = on_error.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            on_error.pop_all()
    except OSError as error:
        raise ServerStartError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. Stop what listens there, or "
            "choose another with --port (0 takes any free one) or --host."
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """An address that a browser on this machine can open."""
    host, port = listener.getsockname()[:2]
    host = _WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn with other signal handlers: its own close the port at once and exit with the signal's code."""

    def __init__(self, app: FastAPI, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
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
        self._parent_pid = settings.parent_pid
        self._watching: asyncio.Task[None] | None = None
        self._on_ready = on_ready
        self._announcing: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        self._announcing = asyncio.create_task(self._announce(url_of(sockets[0])))
        if self._parent_pid is not None:
            self._watching = asyncio.create_task(self._leave_with(self._parent_pid))

    async def _announce(self, url: str) -> None:
        loading: asyncio.Task[None] = self._app.state.loading
        await asyncio.wait((loading,))
        self.failure = loading.exception()
        if self.failure is not None:
            self.should_exit = True
        elif self._draining is None:
            self._on_ready(url)

    async def _leave_with(self, parent_pid: int) -> None:
        while os.getppid() == parent_pid:
            await asyncio.sleep(PARENT_CHECK_S)
        logger.warning("process %d, which started this service, is gone", parent_pid)
        self._leave()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        """First signal: drain. Second: do not wait for what is in flight."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        else:
            self.force_exit = True

    async def _drain(self) -> None:
        logger.info("leaving: readiness is false, the port closes in %g s", self._drain_delay_s)
        self._app.state.service.start_draining()
        await asyncio.sleep(self._drain_delay_s)
        self.should_exit = True
