"""`GET /v1/model`: what answers here."""

from typing import Any

from fastapi import APIRouter, Request

from modelpack.environment import code_version
from serve.problems import declared

router = APIRouter(tags=["model"])


@router.get("/v1/model", summary="The model being served", responses=declared(503))
def model(request: Request) -> dict[str, Any]:
    """Classes and colours, input size, artifact and precision, runtime and versions, claims, lineage."""
    described: dict[str, Any] = request.app.state.service.model.describe()
    return {**described, "code": code_version()}
