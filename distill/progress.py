"""Show how far a run is: a live line on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

PLAIN_LINE_EVERY_S = 15.0


class StepProgress:
    """Progress over optimiser steps. `is_shown=False` (other ranks) shows nothing."""

    def __init__(self, title: str, start: int, steps: int, *, is_shown: bool = True) -> None:
        self._title, self._steps, self._shown = title, steps, is_shown
        self._is_live = is_shown and sys.stderr.isatty()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=Console(stderr=True),
            disable=not self._is_live,
        )
        self._task = self._bar.add_task(title, total=steps, completed=start, numbers="")
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, step: int, numbers: Mapping[str, float]) -> None:
        """step: optimiser steps done; numbers: the few figures worth watching."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        if self._is_live:
            self._bar.update(self._task, completed=step, numbers=text)
        elif self._shown and (time.monotonic() - self._last_line > PLAIN_LINE_EVERY_S or step == self._steps):
            self._last_line = time.monotonic()
            log.info("%s: step %d of %d  %s", self._title, step, self._steps, text)
