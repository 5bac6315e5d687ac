"""`/v1/models`: which models answer, and how that is changed while the service runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from serve.deployment import Deployment
from serve.problems import declared
from serve.repository import Repository

router = APIRouter(prefix="/v1/models", tags=["models"])

Name = Annotated[str, Path(description="The name in the package's manifest.")]


@router.get("", summary="The models that are loaded", responses=declared(401, 403, 503))
async def index(request: Request) -> dict[str, Any]:
    """The first is the default; of the versions of a name the last one answers where none is asked for."""
    repository: Repository = request.app.state.repository
    if request.app.state.service.state == "starting":
        raise request.app.state.service.not_ready()
    return {"models": [_entry(deployment) for deployment in repository.all()]}


@router.post("/{name}/load", summary="Load or replace a model", responses=declared(401, 403, 404, 409, 503))
async def load(request: Request, name: Name) -> dict[str, Any]:
    """Read the package again, or for the first time from the repository folder, in all workers.

    It is checked and its samples are replayed before it takes over; requests that the old one has begun are
    answered by it. Where one worker cannot load it, all go on as before.
    """
    repository: Repository = request.app.state.repository
    return _entry(await repository.load(name))


@router.post("/{name}/unload", summary="Unload a model", responses=declared(401, 403, 404, 409, 503))
async def unload(
    request: Request, name: Name, version: Annotated[str | None, Query()] = None
) -> dict[str, Any]:
    """The last version of the name, or the one that is named. The only model that is left stays."""
    repository: Repository = request.app.state.repository
    await repository.unload(name, version)
    return {"models": [_entry(deployment) for deployment in repository.all()]}


def _entry(deployment: Deployment) -> dict[str, Any]:
    model = deployment.model
    return {
        "name": deployment.name,
        "version": deployment.version,
        "manifest_sha256": model.manifest_sha256,
        "choice": model.choice,
        "classes": list(model.manifest.labels.names),
        "in_use": deployment.in_use,
    }
