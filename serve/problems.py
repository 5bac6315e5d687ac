"""Errors as `application/problem+json` (RFC 9457): the one place that knows which is which HTTP status.

Below `/v2` the same errors are written as that protocol wants them.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from modelpack import errors as model_errors
from serve import errors
from serve.oip.errors import error_response, speaks_oip

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a client that hung up; seen in logs and metrics only."""

STATUS: dict[type[Exception], int] = {
    errors.EmptyBodyError: 400,
    errors.MalformedBodyError: 400,
    errors.InferRequestError: 400,
    errors.MissingOutputError: 400,
    model_errors.UnknownNameError: 400,
    errors.UnauthorizedError: 401,
    errors.ForbiddenError: 403,
    errors.UnknownModelError: 404,
    errors.UnknownSampleError: 404,
    errors.NotAcceptableError: 406,
    errors.SlowClientError: 408,
    errors.BodyTooLargeError: 413,
    errors.BatchTooLargeError: 413,
    model_errors.ImageTooLargeError: 413,
    errors.MediaTypeError: 415,
    model_errors.UnsupportedImageError: 415,
    model_errors.ImageError: 422,
    RequestValidationError: 422,
    errors.ControlError: 409,
    errors.OverloadedError: 429,
    errors.ClientGoneError: CLIENT_CLOSED_REQUEST,
    errors.NotReadyError: 503,
    errors.DeadlineError: 504,
}
"""Error class (and its subclasses) to status. Whatever is not here is ours: 500."""

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string"},
        "request_id": {"type": "string"},
    },
}


def status_of(error: Exception) -> int:
    """The status of the nearest class in the error's ancestry."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for an endpoint that can answer with these problems."""
    content = {PROBLEM_TYPE: {"schema": PROBLEM_SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem(
    request: Request, status: int, detail: str, *, error: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """`error` is the class name: a word for programs, where `detail` is a sentence for people."""
    request.state.error = error
    if speaks_oip(request.url.path):
        return error_response(status, detail, headers)
    title = "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else HTTPStatus(status).phrase
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "error": error,
        "request_id": request.state.request_id,
    }
    return Response(json.dumps(body), status, dict(headers or {}), media_type=PROBLEM_TYPE)


def install(app: FastAPI) -> None:
    """Errors raised by endpoints become problems; what nobody expected is caught by `RequestContext`."""
    app.add_exception_handler(model_errors.SegError, answer)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


async def answer(request: Request, error: Exception) -> Response:
    """The problem that an error of ours is, or a 500."""
    status = status_of(error)
    if status == 500:
        return unexpected(request, error)
    headers = {}
    if isinstance(error, errors.BusyError):
        headers = {"Retry-After": str(error.retry_after_s)}
    elif isinstance(error, errors.UnauthorizedError | errors.ForbiddenError):
        headers = {"WWW-Authenticate": error.challenge}
    return problem(request, status, str(error), error=type(error).__name__, headers=headers)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = " ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}." for item in error.errors())
    return problem(request, STATUS[RequestValidationError], detail, error="RequestValidationError")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}."
    return problem(request, error.status_code, detail, error="HTTPException", headers=error.headers)


def unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: logged with its traceback, answered without it."""
    request_id = request.state.request_id
    logger.error("request %s failed", request_id, exc_info=error)
    return problem(
        request,
        500,
        f"the service failed on this request; its log names {request_id}.",
        error="InternalError",
    )
