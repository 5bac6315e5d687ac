"""A child's end of the talk: one order per line on stdin, one reply per line on stdout."""

import json
import os
import sys
from collections.abc import Callable

from bench.messages import Failed, Message
from modelpack.errors import RuntimeUnavailableError, SegError


def answer_orders(answer: Callable[[str], Message]) -> None:
    """Until the other side closes; a failure is a reply. stdout is for replies alone: what a library prints
    there goes to stderr.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        reply = _guarded(answer, line)
        values = {"kind": type(reply).__name__, "reply": reply.model_dump(mode="json")}
        replies.write(json.dumps(values) + "\n")
        replies.flush()


def _guarded(answer: Callable[[str], Message], line: str) -> Message:
    try:
        return answer(line)
    except RuntimeUnavailableError as error:
        return Failed(error=str(error), is_unavailable=True)
    except SegError as error:
        return Failed(error=str(error))
    except Exception as error:  # the process edge: the measuring process must hear of it
        cause = _first(error)
        return Failed(error=f"{type(cause).__name__}: {cause}")


def _first(error: Exception) -> Exception:
    """The first of those that failed together."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
