"""Errors as clients of the protocol read them: a status and `{"error": "..."}`."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

PREFIX = "/v2"

ERROR_SCHEMA: dict[str, Any] = {
    "title": "OipError",
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}


def speaks_oip(path: str) -> bool:
    """Is this address one of the protocol, whether it exists or not?"""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def error_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps({"error": detail}), status, dict(headers or {}), media_type="application/json")


def declared_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for an endpoint that can answer with these errors."""
    content = {"application/json": {"schema": ERROR_SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
