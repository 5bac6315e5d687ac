"""Progress of a measurement, on stderr: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LINE_SECONDS = 10.0
"""Smallest distance between two plain lines."""


class Report(Protocol):
    """What `measure` tells while it works."""

    def stage(self, text: str, steps: int) -> None:
        """A new stretch of `steps` equal steps begins."""

    def step(self, text: str) -> None:
        """One step is about to begin; `text` says on what."""


class Silent:
    """For callers that do not watch."""

    def stage(self, text: str, steps: int) -> None:
        del text, steps

    def step(self, text: str) -> None:
        del text


class Lines:
    """Plain lines through logging: one per stage, and one every `LINE_SECONDS` within it."""

    def __init__(self) -> None:
        self._stage, self._done, self._steps, self._last_s = "", 0, 0, 0.0

    def stage(self, text: str, steps: int) -> None:
        self._stage, self._done, self._steps = text, 0, steps
        self._last_s = time.monotonic()
        log.info("%s", text)

    def step(self, text: str) -> None:
        self._done += 1
        if time.monotonic() - self._last_s >= LINE_SECONDS:
            self._last_s = time.monotonic()
            log.info("%s: %d of %d, %s", self._stage, self._done, self._steps, text)


class Bar:
    """A rich progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, case="")

    def stage(self, text: str, steps: int) -> None:
        self._progress.reset(self._task, description=text, total=steps, case="")

    def step(self, text: str) -> None:
        # The bar is drawn between steps only: a thread that redraws would compete with what is measured.
        self._progress.update(self._task, advance=1, case=text)
        self._progress.refresh()


@contextmanager
def shown() -> Iterator[Report]:
    """The fitting kind for this process's stderr."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[case]}"),
    )
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        yield Bar(progress)
