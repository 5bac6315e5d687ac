"""Run the steps one after the other, each in a process of its own, until the deadline.

A process of its own gives each step an empty device, and lets a broken or hanging one end without the others.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from afdcd.gpu.record import Status, StepRecord, record_path
from afdcd.gpu.step import Context, Step
from modelpack.environment import fingerprint

log = logging.getLogger(__name__)

GRACE_S = 20.0
"""From the request to stop to the end by force: time to save a training state."""
_POLL_S = 0.1


class StopRequest(Protocol):
    """Set by a signal."""

    requested: bool


@dataclass
class Runner:
    """One call of the proof."""

    steps: Mapping[str, Step]
    context: Context
    """`seconds` is the time until the deadline, from the making of this object."""
    stop: StopRequest
    _deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.context.seconds

    def run(self) -> dict[str, StepRecord]:
        """What is known of every step when the call ends; writes each one's JSON."""
        records = {name: StepRecord.read(record_path(self.context.out, name)) for name in self.steps}
        pending = [name for name in self.steps if not _is_done(records[name])]
        while pending and not self.stop.requested:
            name = pending.pop(0)
            records[name] = self._run_or_skip(name, records[name], [self.steps[later] for later in pending])
        return {name: record for name, record in records.items() if record is not None}

    def _run_or_skip(self, name: str, before: StepRecord | None, later: list[Step]) -> StepRecord:
        step, left = self.steps[name], self._deadline - time.monotonic()
        if left < step.least_s:
            reason = f"{max(left, 0):.0f} s were left until the deadline, it needs {step.least_s:.0f} s"
            return self._skip(name, before, reason)
        free = max(step.least_s, left - sum(other.least_s for other in later))
        record = self._run(name, step, min(step.limit_s, free), is_cut=free < step.limit_s)
        log.info("%s: %s %s", name, record.status, record.reason)
        return record

    def _skip(self, name: str, before: StepRecord | None, reason: str) -> StepRecord:
        """A record of what an earlier call did is kept."""
        log.info("%s: skipped, %s", name, reason)
        if before is not None and before.status != "skipped":
            return before
        record = StepRecord.begin(name, "skipped", reason=reason)
        record.write(record_path(self.context.out, name))
        return record

    def _run(self, name: str, step: Step, seconds: float, *, is_cut: bool) -> StepRecord:
        log.info("%s: at most %.0f s ...", name, seconds)
        path = record_path(self.context.out, name)
        path.unlink(missing_ok=True)
        context = self.context.model_copy(update={"seconds": seconds})
        command = [sys.executable, "-m", "afdcd.gpu.worker", name, step.target, context.model_dump_json()]
        begun = time.monotonic()
        process = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)
        try:
            while process.poll() is None and time.monotonic() - begun < seconds and not self.stop.requested:
                time.sleep(_POLL_S)
            was_stopped = process.poll() is None
            _end(process)
        finally:
            _end_by_force(process)
        record = StepRecord.read(path) or StepRecord.begin(name, "running", limit_s=seconds)
        ended_s = time.monotonic() - begun
        if was_stopped and record.status != "finished":
            record = record.with_end(*self._why_stopped(seconds, is_cut), ended_s)
        elif record.status == "running":
            reason = f"its process ended with code {process.returncode} and no last word"
            record = record.with_end("failed", reason, ended_s)
        record.write(path)
        return record

    def _why_stopped(self, seconds: float, is_cut: bool) -> tuple[Status, str]:
        if self.stop.requested:
            return "interrupted", "stopped by a signal; the same command goes on"
        if is_cut:
            return (
                "interrupted",
                f"its {seconds:.0f} s before the deadline were over; the same command goes on",
            )
        return "failed", f"it took longer than its limit of {seconds:.0f} s"


def skip_all(steps: Iterable[str], out: Path, reason: str) -> None:
    """Record every step that is not finished as skipped."""
    for name in steps:
        record = StepRecord.read(record_path(out, name))
        if record is None or record.status != "finished":
            StepRecord.begin(name, "skipped", reason=reason).write(record_path(out, name))


def _is_done(record: StepRecord | None) -> bool:
    """Finished, and on a GPU of the kind that is here."""
    if record is None or record.status != "finished":
        return False
    here = fingerprint()
    if record.gpu != here["gpu"]:
        log.info("%s: finished on another machine (%s), repeated here", record.step, record.gpu)
        return False
    other = "" if record.environment.get("code") == here["code"] else ", by another version of the code"
    log.info("%s: finished before (%s%s), not repeated", record.step, record.started, other)
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to stop, and wait for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning("process %d does not stop within %.0f s; killed", process.pid, GRACE_S)


def _end_by_force(process: "subprocess.Popen[bytes]") -> None:
    """Kill it with everything that it started, unless it ended by itself and cleaned up."""
    if process.poll() is None or process.returncode < 0:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
