"""Log lines for operators, plain or JSON, written by a thread of their own: no request waits for them."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any, Literal


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the `fields` that the caller gave."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Forward(QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """As it is: the listener lives in this process, and formatting is its work."""
        return record


@contextmanager
def logging_in_background(log_format: Literal["plain", "json"]) -> Iterator[None]:
    """Put the root logger's handlers behind a queue; on exit what waits is written and they are put back."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    if log_format == "json":
        stream = logging.StreamHandler()
        stream.setFormatter(JsonLines())
        written_by: list[logging.Handler] = [stream]
    else:
        written_by = handlers
    lines: SimpleQueue[Any] = SimpleQueue()
    listener = QueueListener(lines, *written_by, respect_handler_level=True)
    root.handlers = [_Forward(lines)]
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        root.handlers = handlers
