"""What TensorRT says: one logger for the whole process, as it takes no second one, and what was said when."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from logging import ERROR, INFO, WARNING, getLogger
from typing import Any

from modelpack.tensorrt.flavour import Flavour

log = getLogger(__name__)

_ERRORS = ("INTERNAL_ERROR", "ERROR")
_WARNING = "WARNING"
_WITHOUT_A_DRIVER = "cudaError 35"
"""Without a GPU every error is followed by one more that asks for a driver; it is not what went wrong."""


@dataclass
class Messages:
    """What was said while it was open, oldest first. Builds side by side hear each other."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def first_error(self, otherwise: str) -> str:
        return self.errors[0] if self.errors else otherwise


_open: list[Messages] = []
_lock = threading.Lock()


@contextmanager
def collected() -> Iterator[Messages]:
    """Warnings and errors up to the end of the block, each once; what to make of them is the caller's."""
    messages = Messages()
    with _lock:
        _open.append(messages)
    try:
        yield messages
    finally:
        with _lock:
            _open[:] = [other for other in _open if other is not messages]


@cache
def shared_logger(flavour: Flavour) -> Any:
    """The `ILogger` that everything of this flavour is made with."""

    class Collector(flavour.trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            flavour.trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            receive(severity.name, message)

    return Collector()


def receive(severity: str, message: str) -> None:
    """Sort one message; called from TensorRT's own threads."""
    text = message.strip()
    if severity in _ERRORS and _WITHOUT_A_DRIVER in text:
        log.debug("%s", text)
        return
    if severity not in (*_ERRORS, _WARNING):
        log.debug("%s", text)
        return
    with _lock:
        for messages in _open:
            heard = messages.warnings if severity == _WARNING else messages.errors
            if text not in heard:
                heard.append(text)
        is_heard = bool(_open)
    level = WARNING if severity == _WARNING else ERROR
    log.log(INFO if is_heard else level, "%s", text)
