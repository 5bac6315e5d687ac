"""`GET /v1/model`: what answers here."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from modelpack.environment import code_version
from serve.problems import declared
from serve.repository import Repository

router = APIRouter(tags=["model"])


@router.get("/v1/model", summary="One model", responses=declared(401, 403, 404, 503))
async def model(
    request: Request,
    model: Annotated[str | None, Query(description="NAME or NAME:VERSION; without it the default.")] = None,
) -> dict[str, Any]:
    """Classes and colours, input size, artifact and precision, runtime and versions, claims, lineage.

    `batching`: how requests for it are joined; null where each runs alone.
    """
    if request.app.state.service.state in ("starting", "failed"):
        raise request.app.state.service.not_ready()
    repository: Repository = request.app.state.repository
    deployment = repository.find(model)
    batching = None if deployment.line is None else deployment.line.describe()
    return {**deployment.model.describe(), "batching": batching, "code": code_version()}
