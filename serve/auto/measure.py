"""Asks trial processes: what could serve the package here, and how much each candidate does."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from modelpack.errors import SegError
from modelpack.settings import StrictModel
from serve.auto.candidates import Candidate
from serve.auto.messages import Order, Ready, Survey, Unfit, Worked
from serve.settings import ServeSettings

STOP_S = 5.0
LAST_WORDS_CHARACTERS = 1000

T = TypeVar("T", bound=StrictModel)


class TrialError(SegError):
    """What was to be measured cannot be served here; the message says why."""


class Trial(StrictModel):
    """How one candidate did; without figures where it cannot serve."""

    workers: int
    images_per_second: float | None
    median_ms: float | None
    obstacle: str = ""


def survey(settings: ServeSettings) -> Survey:
    """What could serve the package. Raises TrialError with the words of what stands in the way."""
    with _process(settings, None) as process:
        return process.reply(Survey)


def try_out(candidate: Candidate, settings: ServeSettings, seconds: float) -> Trial:
    """All workers of a candidate at work at once. `settings`: as `Candidate.laid_upon` gives them."""
    workers = max(1, candidate.workers)
    try:
        done = _work_together(workers, settings, seconds)
    except TrialError as error:
        return Trial(workers=workers, images_per_second=None, median_ms=None, obstacle=str(error))
    return Trial(
        workers=workers,
        images_per_second=sum(part.images / part.seconds for part in done),
        median_ms=max(part.median_ms for part in done),
    )


def _work_together(workers: int, settings: ServeSettings, seconds: float) -> Sequence[Worked]:
    with ExitStack() as stack:
        processes = [stack.enter_context(_process(settings, seconds)) for _ in range(workers)]
        for process in processes:
            process.reply(Ready)
        for process in processes:
            process.go()
        return [process.reply(Worked) for process in processes]


class _Process:
    """The command's end of one trial process."""

    def __init__(self, process: subprocess.Popen[str], said: Any) -> None:
        self._process = process
        self._said = said

    def go(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def reply(self, expected: type[T]) -> T:
        """The next line. Raises TrialError for a candidate that is unfit and for a process that died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            words = os.pread(self._said.fileno(), 1 << 20, 0).decode(errors="replace").strip()
            raise TrialError(f"a trial ended with exit code {code}: {words[-LAST_WORDS_CHARACTERS:]}")
        values = json.loads(line)
        if values.keys() == Unfit.model_fields.keys():
            raise TrialError(Unfit.model_validate(values).error)
        return expected.model_validate(values)


@contextmanager
def _process(settings: ServeSettings, seconds: float | None) -> Iterator[_Process]:
    """One trial, given its order; ended when the block is left."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "serve.auto.trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            text=True,
            encoding="utf-8",
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(Order(settings=settings, seconds=seconds).model_dump_json() + "\n")
            process.stdin.flush()
            yield _Process(process, said)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
