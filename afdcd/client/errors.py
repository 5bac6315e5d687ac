"""What the service refuses, as an exception."""

from __future__ import annotations

import json
from typing import Any

import httpx

from modelpack.errors import SegError


class ServiceError(SegError):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(f"{status}: {problem.get('detail') or 'the answer is no problem document.'}")
        self.status = status
        self.error = str(problem.get("error", ""))
        """The problem in one word, for programs."""
        self.request_id = str(problem.get("request_id", ""))
        """Under which the service's log names the request."""
        self.retry_after_s = retry_after_s
        """When the request may be repeated; None where that would not help."""


def error_of(response: httpx.Response) -> ServiceError:
    """The error of a response that was read and is not a success."""
    try:
        problem = json.loads(response.content)
    except ValueError:
        problem = {}
    after = response.headers.get("retry-after", "")
    return ServiceError(
        response.status_code,
        problem if isinstance(problem, dict) else {},
        float(after) if after.isdecimal() else None,
    )
