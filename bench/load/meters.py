"""CPU and memory of the server while it is loaded, with all its processes."""

import ipaddress
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from modelpack.errors import UsageError
from modelpack.settings import StrictModel

MEMORY_PERIOD_SECONDS = 1.0
"""Reading the memory of a large process costs it milliseconds; once a second is not noticed."""
_BYTES_PER_KB = 1024


class ServerUse(StrictModel):
    """What the server's processes used during one run."""

    cpu: float | None
    """CPU seconds per second: 1.0 is one core. None where a process ended meanwhile."""
    memory_bytes: int
    """Largest sum of proportional set sizes (PSS): pages that processes share are counted once."""


class ServerMeter:
    """Watches a process and its children. Use as a context manager around the load; then read `use`."""

    def __init__(self, pid: int) -> None:
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise UsageError(f"pid {pid}: there is no such process; give the server's.") from None
        self._over = threading.Event()
        self._memory_bytes = 0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._begin_s, self._begin_cpu_s = time.monotonic(), self._cpu_seconds()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        end_cpu_s = self._cpu_seconds()
        cpu = None
        if self._begin_cpu_s is not None and end_cpu_s is not None:
            wall_s = time.monotonic() - self._begin_s
            cpu = max(end_cpu_s - self._begin_cpu_s, 0.0) / wall_s
        self.use = ServerUse(cpu=cpu, memory_bytes=self._memory_bytes)

    def _watch(self) -> None:
        while True:
            self._memory_bytes = max(self._memory_bytes, sum(map(_pss_bytes, self.pids())))
            if self._over.wait(MEMORY_PERIOD_SECONDS):
                return

    def pids(self) -> list[int]:
        """The process and its children, as they are now."""
        try:
            return [self._process.pid, *(child.pid for child in self._process.children(recursive=True))]
        except psutil.Error:
            return []

    def _cpu_seconds(self) -> float | None:
        try:
            times = [psutil.Process(pid).cpu_times() for pid in self.pids()]
        except psutil.Error:
            return None
        return sum(used.user + used.system for used in times) if times else None


def is_this_machine(host: str) -> bool:
    """Whether a host name means the loopback interface."""
    try:
        return ipaddress.ip_address(socket.getaddrinfo(host, None)[0][4][0]).is_loopback
    except OSError:
        return False


def listening_pid(port: int) -> int | None:
    """The process that listens on a port of this machine, the parent where several share it.

    None where this user may not look into it.
    """
    try:
        listening = [entry for entry in psutil.net_connections("tcp") if entry.status == psutil.CONN_LISTEN]
        pids = {entry.pid for entry in listening if entry.laddr.port == port and entry.pid}
        tops = [pid for pid in pids if psutil.Process(pid).ppid() not in pids]
    except (OSError, psutil.Error):
        return None
    return min(tops, default=None)


def _pss_bytes(pid: int) -> int:
    """0 for a process that is gone, or that this user may not look into."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _BYTES_PER_KB
    return 0
