"""One keep-alive connection, and the pool of them: no more machinery than a measurement can stand."""

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass

from bench.load.http_response import MalformedResponseError, Response, ResponseReader


class ConnectionLostError(Exception):
    """The connection could not be made, or closed before the answer was complete."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered
        """A part of the answer had come."""


@dataclass(frozen=True)
class Address:
    """Where connections go, and how their answers are read."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    method: str
    keeps_content: bool


@dataclass(slots=True)
class Exchange:
    """One request on its way: when it went, and what came when."""

    answer: asyncio.Future[Response]
    sent_ns: int
    done_ns: int = 0


class Connection(asyncio.Protocol):
    """Sends one request at a time and notes the time in the callback that completes its answer."""

    def __init__(self, address: Address) -> None:
        self.is_open = False
        self.requests = 0
        self._loop = asyncio.get_running_loop()
        self._reader = ResponseReader(address.method, address.keeps_content)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None

    def begin(self, request: bytes) -> Exchange:
        """Hand over the bytes of a request; `answer` of what it returns resolves or raises."""
        assert self._transport is not None
        self.requests += 1
        self._exchange = Exchange(self._loop.create_future(), time.monotonic_ns())
        self._transport.write(request)
        return self._exchange

    def abort(self) -> None:
        """Hang up at once; an unfinished request is forgotten."""
        self._exchange = None
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if self._exchange is None:  # bytes that nobody asked for
            self.abort()
            return
        try:
            self._complete(self._reader.feed(data), now_ns)
        except MalformedResponseError as error:
            self._fail(error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._exchange is None:
            return
        try:
            self._complete(self._reader.end(), time.monotonic_ns())
        except MalformedResponseError as error:
            self._fail(error)
        if self._exchange is not None:
            self._fail(ConnectionLostError(str(exc or "closed"), answered=self._reader.has_begun))

    def _complete(self, response: Response | None, now_ns: int) -> None:
        if response is None or self._exchange is None:
            return
        exchange, self._exchange = self._exchange, None
        exchange.done_ns = now_ns
        if not response.keeps_alive:
            self.is_open = False
        if not exchange.answer.done():
            exchange.answer.set_result(response)

    def _fail(self, error: Exception) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not exchange.answer.done():
            exchange.answer.set_exception(error)


class ConnectionPool:
    """Idle connections, the last used first; opens more up to `limit`, then callers queue in order."""

    def __init__(self, address: Address, limit: int) -> None:
        self.opened = 0
        self.waits = 0
        self._address = address
        self._limit = limit
        self._in_use = 0
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """A connection nobody else uses. Raises ConnectionLostError where none can be made."""
        if self._in_use >= self._limit:
            self.waits += 1
            await self._turn()
        else:
            self._in_use += 1
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        try:
            return await self._connect()
        except BaseException:
            self._leave()
            raise

    def release(self, connection: Connection) -> None:
        """Give it back; one that is closed, or is to be, does not return."""
        if connection.is_open:
            self._idle.append(connection)
        else:
            connection.abort()
        self._leave()

    def close(self) -> None:
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def _connect(self) -> Connection:
        self.opened += 1
        address = self._address
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(address), address.host, address.port, ssl=address.tls
            )
        except OSError as error:
            raise ConnectionLostError(str(error), answered=False) from error
        return connection

    async def _turn(self) -> None:
        """Wait for the place of one that leaves: `_in_use` stays as it is."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._in_use -= 1
