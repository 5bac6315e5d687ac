"""What happened to every request: raw times, kept as arrays and in one `.npz` per run."""

from dataclasses import dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.timing import NS_PER_MS, NS_PER_S
from modelpack.atomic import write_with


class Outcome(IntEnum):
    """How a request ended; of a query of several samples, the worst of them."""

    OK = 0
    WRONG_STATUS = 1
    WRONG_ANSWER = 2
    """Not the bytes that the same body was answered with before."""
    TIMEOUT = 3
    DROPPED = 4
    """No connection, or one that was closed before the answer was complete."""
    MALFORMED = 5
    """Something came that is no HTTP answer."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Reply:
    """How one query went on its way through a transport. Times as of `time.monotonic_ns`."""

    sent_ns: int
    """When its bytes were handed to the system; 0 where it never came to that."""
    done_ns: int
    status: int
    """HTTP status; 0 without an answer, or without HTTP."""
    outcome: Outcome
    received_bytes: int


@dataclass
class Recorder:
    """Collects while the load runs: appending to lists costs least."""

    intended_ns: list[int] = field(default_factory=list)
    started_ns: list[int] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def add(self, intended_ns: int, started_ns: int, reply: Reply) -> None:
        self.intended_ns.append(intended_ns)
        self.started_ns.append(started_ns)
        self.replies.append(reply)

    def samples(self, start_ns: int) -> "Samples":
        """Arrays of what was recorded, times relative to `start_ns`."""
        replies = self.replies
        sent_ns = np.array([reply.sent_ns for reply in replies], np.int64)
        return Samples(
            intended_ns=np.array(self.intended_ns, np.int64) - start_ns,
            started_ns=np.array(self.started_ns, np.int64) - start_ns,
            sent_ns=np.where(sent_ns == 0, -1, sent_ns - start_ns),
            done_ns=np.array([reply.done_ns for reply in replies], np.int64) - start_ns,
            status=np.array([reply.status for reply in replies], np.int16),
            outcome=np.array([reply.outcome for reply in replies], np.uint8),
            received_bytes=np.array([reply.received_bytes for reply in replies], np.int64),
        )


@dataclass(frozen=True)
class Samples:
    """One entry per query (n,), ordered by intended time; nanoseconds from the recorded start."""

    intended_ns: NDArray[np.int64]
    """Open loop: by the schedule. Closed loop: as `started_ns`."""
    started_ns: NDArray[np.int64]
    """When the generator turned to it."""
    sent_ns: NDArray[np.int64]
    """-1 where nothing was sent."""
    done_ns: NDArray[np.int64]
    status: NDArray[np.int16]
    outcome: NDArray[np.uint8]
    received_bytes: NDArray[np.int64]

    @classmethod
    def merged(cls, parts: list["Samples"]) -> Self:
        """The samples of several generator processes in one order."""
        names = [entry.name for entry in fields(cls)]
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        order = np.argsort(joined["intended_ns"], kind="stable")
        return cls(**{name: values[order] for name, values in joined.items()})

    def write(self, path: Path) -> None:
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}

        def fill(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **values)

        write_with(path, fill)

    @classmethod
    def read(cls, path: Path) -> Self:
        with np.load(path) as stored:
            return cls(**{entry.name: stored[entry.name] for entry in fields(cls)})

    def __len__(self) -> int:
        return len(self.intended_ns)

    @property
    def busy_seconds(self) -> float:
        """From the first query that was turned to until the last answer."""
        return float(self.done_ns.max() - self.started_ns.min()) / NS_PER_S if len(self) else 0.0

    @property
    def is_ok(self) -> NDArray[np.bool_]:
        return np.equal(self.outcome, Outcome.OK)

    @property
    def counts(self) -> NDArray[np.bool_]:
        """Those whose time is a latency: answered rightly, or given up after the timeout."""
        return np.isin(self.outcome, (Outcome.OK, Outcome.TIMEOUT))

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """From the intended send, for those that count."""
        return (self.done_ns - self.intended_ns)[self.counts] / NS_PER_MS

    @property
    def service_ms(self) -> NDArray[np.float64]:
        """From the actual send, for those that were answered: blind to time spent waiting to be sent."""
        sent = self.is_ok & (self.sent_ns >= 0)
        return (self.done_ns - self.sent_ns)[sent] / NS_PER_MS

    @property
    def lag_ms(self) -> NDArray[np.float64]:
        """How late the generator turned to each query."""
        return (self.started_ns - self.intended_ns) / NS_PER_MS
