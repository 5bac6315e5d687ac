"""The measuring process's end of a worker: start it, ask it, and say clearly when it is gone."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from bench.messages import Failed, Message, Opened, OpenOrder, Timed, TimeOrder, WarmUp, WarmUpOrder
from modelpack.errors import SegError

LAST_WORDS_CHARACTERS = 2000
"""How much of a dead worker's stderr its error message quotes."""
STOP_SECONDS = 5.0
"""Time a worker gets to leave by itself."""

Reply = TypeVar("Reply", bound=Message)


class WorkerError(SegError):
    """A worker process failed or died; the message says which and while doing what."""


class UnavailableError(WorkerError):
    """What the worker was asked to load cannot run on this machine; nothing is broken."""


class WorkerProcess:
    """One worker. Use as a context manager: leaving it ends the process whatever happened."""

    def __init__(self, name: str, module: str = "bench.worker") -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            text=True,
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def open(self, order: OpenOrder) -> Opened:
        return self.ask(order, Opened, f"loading {order.artifact}")

    def warm_up(self, order: WarmUpOrder) -> WarmUp:
        return self.ask(order, WarmUp, f"warming up {order.boundary}, batch {order.batch}")

    def time(self, order: TimeOrder) -> Timed:
        return self.ask(order, Timed, f"measuring {order.boundary}, batch {order.batch}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self.end()

    def end(self) -> None:
        """Closing stdin ends the worker's loop; one that does not leave is killed. May be called again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def ask(self, order: Message, expected: type[Reply], doing: str) -> Reply:
        """Send an order and wait for its reply. Raises WorkerError, which names the worker and `doing`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(order.model_dump_json() + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (BrokenPipeError, ConnectionError):
            line = ""
        if not line:
            raise WorkerError(self._obituary(doing))
        answer = json.loads(line)
        if answer["kind"] == Failed.__name__:
            failed = Failed.model_validate(answer["reply"])
            kind = UnavailableError if failed.is_unavailable else WorkerError
            raise kind(f"{self.name}, {doing}: {failed.error}")
        return expected.model_validate(answer["reply"])

    def _obituary(self, doing: str) -> str:
        code = self._process.wait()
        how = f"ended with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"
        if how.endswith("SIGKILL"):
            how += "; usually the machine ran out of memory, so try smaller batch_sizes"
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace")[-LAST_WORDS_CHARACTERS:].strip()
        return f"{self.name}, {doing}: the worker process {how}." + (
            f" Its last words: {words}" if words else ""
        )
