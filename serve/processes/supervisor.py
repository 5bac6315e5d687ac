"""The supervisor: accepts connections, hands each to the worker with the fewest, and takes the signals."""

import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.errors import ServerStartError
from serve.processes.crew import Crew, Work
from serve.processes.link import LinkClosedError, LinkFullError
from serve.processes.member import Member

logger = logging.getLogger(__name__)

TICK_S = 0.1
"""How often the clock is looked at when nothing happens."""
ACCEPTED_AT_ONCE = 64
ACCEPT_PAUSE_S = 0.1
"""After the system refused a connection (no file handle or memory left), which it would at once again."""
SILENT_S = 2.0
"""A worker that has said nothing for so long gets no new connections while another speaks."""
LEAVE_S = 2.0
"""What a worker needs to exit besides the time for the requests in flight."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """A process that loads no model and answers no request, and so has little that can fail."""

    def __init__(
        self,
        work: Work,
        count: int,
        listener: socket.socket,
        *,
        on_ready: Callable[[], None],
        drain_delay_s: float,
        drain_timeout_s: float,
        hang_timeout_s: float,
        parent_is_gone: Callable[[], bool],
    ) -> None:
        self._listener = listener
        self._on_ready: Callable[[], None] | None = on_ready
        self._drain_delay_s = drain_delay_s
        self._drain_timeout_s = drain_timeout_s
        self._parent_is_gone = parent_is_gone
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(work, count, self._selector, hang_timeout_s)
        self._is_accepting = False
        self._accepts_from = 0.0
        self._close_at: float | None = None
        """When the port closes; None before SIGTERM."""

    def run(self) -> None:
        """Until SIGTERM or SIGINT, then until the last worker has left.

        Raises ServerStartError, in a worker's own words, where the first workers do not get ready.
        """
        self._listener.setblocking(False)
        with _signals_to_socket() as signals:
            self._selector.register(signals, selectors.EVENT_READ, lambda: self._take(signals.recv(64)))
            self._crew.fill_vacancies()
            while self._crew.members or (self._close_at is None and self._crew.failure is None):
                for key, _ in self._selector.select(TICK_S):
                    if key.fileobj in self._selector.get_map():  # not closed by what came before it
                        key.data()
                self._look_at_the_clock()
        self._selector.close()
        if self._crew.failure is not None:
            raise ServerStartError(self._crew.failure)

    def _take(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGHUP:
                self._reload()
            elif self._close_at is None:
                self._drain()
            else:
                self._crew.kill()

    def _reload(self) -> None:
        """One worker looks what has changed, and asks all others to follow."""
        for member in self._crew.members.values():
            if member.state == "ready" and member.tell({"kind": "reload"}):
                return

    def _drain(self) -> None:
        logger.info("leaving: readiness is false, the port closes in %g s", self._drain_delay_s)
        self._close_at = time.monotonic() + self._drain_delay_s
        self._crew.disband({"kind": "drain"})

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._crew.kill_the_hung()
        self._crew.fill_vacancies()
        while self._crew.orphans and self._crew.members:
            self._give(self._crew.orphans.pop())
        if self._on_ready is not None and self._crew.is_ready:
            self._on_ready()
            self._on_ready = None
        if self._close_at is None and self._parent_is_gone():
            self._drain()
        if self._close_at is not None and now >= self._close_at and self._listener.fileno() >= 0:
            self._accept(False)
            self._hand_over()  # who came in the meantime
            self._listener.close()
            self._crew.tell({"kind": "leave"})
        if self._crew.failure is not None or (
            self._close_at is not None and now >= self._close_at + self._drain_timeout_s + LEAVE_S
        ):
            self._crew.kill()
        elif self._listener.fileno() >= 0:
            self._accept(bool(self._crew.members) and now >= self._accepts_from)

    def _accept(self, wanted: bool) -> None:
        """While nobody could answer, connections wait in the kernel's queue."""
        if wanted and not self._is_accepting:
            self._selector.register(self._listener, selectors.EVENT_READ, self._hand_over)
        elif not wanted and self._is_accepting:
            self._selector.unregister(self._listener)
        self._is_accepting = wanted

    def _hand_over(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if not self._crew.members:
                return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("a connection waits, it cannot be accepted: %s", error)
                self._accepts_from = time.monotonic() + ACCEPT_PAUSE_S
                self._accept(False)
                return
            self._give(connection)

    def _give(self, connection: socket.socket) -> None:
        for member in sorted(self._crew.members.values(), key=_preference):
            try:
                member.give(connection)
            except (LinkClosedError, LinkFullError):
                continue
            return
        connection.close()


def _preference(member: Member) -> tuple[bool, bool, int]:
    """Ready before starting, speaking before silent, then the one with the fewest connections."""
    return member.state != "ready", member.silence_s > SILENT_S, member.connections


@contextmanager
def _signals_to_socket() -> Iterator[socket.socket]:
    """A socket that gives one byte, its number, for each signal of `SIGNALS`."""
    woken, wakes = socket.socketpair()
    with woken, wakes:
        wakes.setblocking(False)
        before = signal.set_wakeup_fd(wakes.fileno())
        handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
