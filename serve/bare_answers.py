"""Answers that a connection gives by itself: there is no request yet that the application could answer.

They are problems, and clients of `/v2` can read them too: both have a key `error`.
"""

import json
from http import HTTPStatus

from serve.security_headers import SECURITY_HEADERS


def bare_answer(status: HTTPStatus, detail: str, error: str) -> bytes:
    """The whole answer, header and body; the connection is to be closed after it."""
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "error": error,
    }
    body = json.dumps(problem).encode()
    headers = {
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
        "connection": "close",
        **SECURITY_HEADERS,
    }
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join((*lines, "", "")).encode() + body


LATE = bare_answer(
    HTTPStatus.REQUEST_TIMEOUT,
    "the request's header did not come in time; send it at once.",
    "SlowClientError",
)
MALFORMED = bare_answer(
    HTTPStatus.BAD_REQUEST,
    "this is not HTTP/1.1 as it must be: a header, a length or a chunk breaks the rules.",
    "MalformedRequestError",
)
TOO_LONG = bare_answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the request's address and header are longer than 64 KiB; send fewer or shorter ones.",
    "HeaderTooLargeError",
)
