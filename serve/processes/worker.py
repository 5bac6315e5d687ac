"""What a worker does: answer the connections that its supervisor hands over, and carry out orders."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from fastapi import FastAPI

from modelpack.errors import SegError
from serve.app import create_app
from serve.http_server import HttpServer
from serve.logs import logging_in_background
from serve.processes.colleagues import Colleagues
from serve.processes.link import Link, LinkClosedError, LinkFullError, Message
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

SIGN_OF_LIFE_S = 0.5
EXIT_CODE_OF_A_BUG = 70


def work(settings: ServeSettings, slot: int, link: Link, agreed: Sequence[Message]) -> NoReturn:
    """The whole life of a forked worker. `agreed` are orders that others carried out before it was born."""
    code = EXIT_CODE_OF_A_BUG
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the supervisor decides
        with logging_in_background(settings.log_format):
            colleagues = Colleagues(slot, link)
            server = WorkerServer(create_app(settings, colleagues, agreed), settings, link, colleagues)
            with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                runner.run(server.serve(sockets=[]))
        code = 0 if server.failure is None else 1
    except BaseException:
        logger.exception("worker %d fails", os.getpid())
    finally:
        os._exit(code)


class WorkerServer(HttpServer):
    """A server for connections that were accepted elsewhere. Leaves when the supervisor is gone."""

    signals = (signal.SIGTERM,)

    def __init__(self, app: FastAPI, settings: ServeSettings, link: Link, colleagues: Colleagues) -> None:
        super().__init__(app, settings, on_closed=partial(self._say, {"kind": "closed"}))
        self._link = link
        self._colleagues = colleagues
        self._taken = 0
        """Connections so far: until the supervisor knows, it would give them to another if we died."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._listen)
        self.keep(self._give_signs_of_life())
        self.keep(self._report_loading())

    def _listen(self) -> None:
        try:
            while (received := self._link.receive()) is not None:
                self._take(*received)
        except LinkClosedError:
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            logger.error("the supervisor is gone")
            self.leave()

    def _take(self, message: Message, connection: socket.socket | None) -> None:
        match message["kind"]:
            case "connection":
                self._taken += 1
                self._say_alive()
                if connection is None:  # there was no file handle left for it
                    self._say({"kind": "closed"})
                else:
                    self.keep(self._adopt(connection))
            case "order":
                self.keep(self._colleagues.carry_out(message))
            case "outcome":
                self._colleagues.take_outcome(message)
            case "reload":
                self.reload()
            case "drain":
                self._app.state.service.start_draining()
            case "leave":
                self.should_exit = True

    async def _adopt(self, connection: socket.socket) -> None:
        """Serve a connection that somebody else accepted."""
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        protocol = partial(
            make,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        try:
            await loop.connect_accepted_socket(protocol, connection)
        except OSError:  # the client has left already
            connection.close()
            self._say({"kind": "closed"})

    async def _give_signs_of_life(self) -> None:
        """From the event loop: a worker whose loop is stuck falls silent."""
        while True:
            self._say_alive()
            await asyncio.sleep(SIGN_OF_LIFE_S)

    async def _report_loading(self) -> None:
        if await self.loaded():
            self._say({"kind": "state", "state": "ready", "reason": ""})
        else:
            reason = str(self.failure) if isinstance(self.failure, SegError) else ""
            self._say({"kind": "state", "state": "failed", "reason": reason})

    def _say_alive(self) -> None:
        self._say({"kind": "alive", "taken": self._taken})

    def _say(self, message: Message) -> None:
        try:
            self._link.send(message)
        except (LinkClosedError, LinkFullError):
            logger.debug("nobody hears %r", message)
