"""How far a build is: a bar on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import Progress

from export.progress import LINE_EVERY_S
from modelpack.tensorrt.flavour import Flavour

log = logging.getLogger(__name__)


class BuildProgress:
    """Steps of all phases together, told by TensorRT from threads of its own."""

    def __init__(self, what: str, bar: Progress | None) -> None:
        self.what = what
        self.done = 0
        self.total = 0
        self.interruption: BaseException | None = None
        """What was raised in the middle; the build then stops and this is to be raised again."""
        self._bar = bar
        self._task = bar.add_task(what, total=None) if bar else None
        self._said = time.monotonic()
        self._lock = threading.Lock()

    def begin(self, steps: int) -> None:
        """A phase of that many steps starts."""
        with self._lock:
            self.total += steps

    def step(self, phase: str) -> bool:
        """One step of it is done; False asks the build to stop."""
        try:
            with self._lock:
                self.done += 1
                self._show(phase)
        except BaseException as error:  # TensorRT's C++ must not see it, and the user's Ctrl-C comes here
            self.interruption = error
        return self.interruption is None

    def _show(self, phase: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, total=self.total)
        elif time.monotonic() - self._said > LINE_EVERY_S:
            self._said = time.monotonic()
            log.info("%s: %s, %d of %d steps", self.what, phase, self.done, self.total)


@contextmanager
def shown(flavour: Flavour, builder_config: Any, what: str) -> Iterator[None]:
    """Progress of the build inside the block, where this TensorRT tells; a Ctrl-C in it comes out of it."""
    bar = Progress(console=Console(stderr=True), transient=True) if sys.stderr.isatty() else None
    with bar or nullcontext():
        progress = BuildProgress(what, bar)
        monitor = _monitor(flavour, progress) if flavour.has("progress") else None
        if monitor is not None:
            builder_config.progress_monitor = monitor
        try:
            yield
        finally:
            if monitor is not None:
                builder_config.progress_monitor = None
    if progress.interruption is not None:
        raise progress.interruption


def _monitor(flavour: Flavour, progress: BuildProgress) -> Any:
    trt = flavour.trt

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.begin(num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            pass

    return Monitor()
