"""How far a loop is: a bar on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import track as rich_track

log = logging.getLogger(__name__)

LINE_EVERY_S = 10.0


def track(indices: Sequence[int], what: str) -> Iterator[int]:
    """The indices, one after the other, with progress on stderr."""
    if sys.stderr.isatty():
        yield from rich_track(indices, description=what, console=Console(stderr=True), transient=True)
        return
    said = time.monotonic()
    for done, index in enumerate(indices, start=1):
        yield index
        if time.monotonic() - said > LINE_EVERY_S:
            said = time.monotonic()
            log.info("%s: %d of %d", what, done, len(indices))
