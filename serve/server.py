"""The service as processes: listens, says when it is ready, and leaves without dropping a request."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

import cv2

from serve.app import create_app
from serve.errors import ServerStartError
from serve.http_server import BACKLOG, HttpServer
from serve.keys import read_keys
from serve.logs import logging_in_background
from serve.processes.link import Link, Message
from serve.processes.preload import preload
from serve.processes.supervisor import Supervisor
from serve.processes.worker import work
from serve.settings import ServeSettings
from serve.sizing import worker_count

PARENT_CHECK_S = 0.5
"""How often a service that belongs to another process looks whether that is still there."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run_server(settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the URL once requests may be sent.

    Raises ServerStartError for an address that cannot be listened on, SettingsError for
    a key file that cannot be read, and what `load_model` raises (from
    workers as a ServerStartError with the same words).
    """
    if settings.keys is not None:
        read_keys(settings.keys)
    cv2.setNumThreads(0)  # several images at once are faster than several threads on one
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        if settings.workers == 0:
            _serve_alone(settings, listener, on_ready)
        else:
            _serve_with_workers(settings, listener, on_ready)


def _serve_alone(settings: ServeSettings, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
    with logging_in_background(settings.log_format):
        server = _Alone(settings, on_ready)
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listener]))
    if server.failure is not None:
        raise server.failure


def _serve_with_workers(
    settings: ServeSettings, listener: socket.socket, on_ready: Callable[[str], None]
) -> None:
    url = url_of(listener)
    listener.listen(BACKLOG)
    settings, count = worker_count(settings)
    preload(settings)

    def be_a_worker(slot: int, link: Link, agreed: Sequence[Message]) -> NoReturn:
        listener.close()
        work(settings, slot, link, agreed)

    Supervisor(
        be_a_worker,
        count,
        listener,
        on_ready=lambda: on_ready(url),
        drain_delay_s=settings.drain_delay_s,
        drain_timeout_s=settings.drain_timeout_s,
        hang_timeout_s=settings.hang_timeout_s,
        parent_is_gone=lambda: settings.parent_pid not in (None, os.getppid()),
    ).run()


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


class _Alone(HttpServer):
    """One process that listens and answers."""

    def __init__(self, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
        super().__init__(create_app(settings), settings)
        self._on_ready = on_ready
        self._parent_pid = settings.parent_pid

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        self.keep(self._announce(url_of(sockets[0])))
        if self._parent_pid is not None:
            self.keep(self._leave_with(self._parent_pid))

    async def _announce(self, url: str) -> None:
        if await self.loaded() and not self.is_draining:
            self._on_ready(url)

    async def _leave_with(self, parent_pid: int) -> None:
        while os.getppid() == parent_pid:
            await asyncio.sleep(PARENT_CHECK_S)
        self.leave()
