"""`/openapi.json`: what FastAPI knows of the endpoints, and what surrounds them: keys, problems, limits."""

from typing import Any

from fastapi import FastAPI

from serve.access import scope_for
from serve.keys import Scope
from serve.oip.errors import declared_errors, speaks_oip
from serve.problems import declared

SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "X-API-Key: KEY"},
}
_UNKNOWN_TO_US = ("HTTPValidationError", "ValidationError")
"""FastAPI's own answer to wrong parameters, in place of which `serve.problems` writes a problem."""


def install(app: FastAPI, *, asks_for_keys: bool) -> None:
    """Make the application describe itself so; `asks_for_keys`: requests without a key are refused."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(describe(), asks_for_keys=asks_for_keys)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def completed(api: dict[str, Any], *, asks_for_keys: bool) -> dict[str, Any]:
    """The description with keys and their scopes, and with all errors as they are really written."""
    components = api.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    for schema in _UNKNOWN_TO_US:
        components.get("schemas", {}).pop(schema, None)
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            _complete(operation, path, scope_for(method.upper(), path), asks_for_keys)
    return api


def _complete(operation: dict[str, Any], path: str, needed: Scope | None, asks_for_keys: bool) -> None:
    errors = declared_errors if speaks_oip(path) else declared
    responses = operation["responses"]
    if _is_fastapis(responses.get("422", {})):
        responses["422"] = errors(422)[422]
    operation["security"] = []
    if needed is not None:
        for status in (401, 403):
            responses.setdefault(str(status), errors(status)[status])
        schemes: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]
        operation["security"] = schemes if asks_for_keys else [{}, *schemes]
        scope = f"Takes a key of scope `{needed}` where the service has keys."
        operation["description"] = f"{operation.get('description', '')}\n\n{scope}".strip()
    operation["responses"] = dict(sorted(responses.items()))


def _is_fastapis(response: dict[str, Any]) -> bool:
    return any(name in str(response) for name in _UNKNOWN_TO_US)
