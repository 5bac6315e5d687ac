"""`/v1/models`: which models answer, and how that is changed while the service runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from serve.deployment import Deployment
from serve.mirror.mirrors import Mirrors
from serve.mirror.settings import CanarySettings
from serve.problems import declared
from serve.repository import Repository
from serve.routes.canary import rules_of

router = APIRouter(prefix="/v1/models", tags=["models"])

Name = Annotated[str, Path(description="The name in the package's manifest.")]


@router.get("", summary="The models that are loaded", responses=declared(401, 403, 503))
async def index(request: Request) -> dict[str, Any]:
    """The first is the default; of the versions of a name the last one answers where none is asked for.

    `canary`: the trial that there is, else how the last one ended. `shadow`: how far its masks agree with the
    answers, by the model that answered. Both over all workers, and null where there was none.
    """
    repository: Repository = request.app.state.repository
    if request.app.state.service.state == "starting":
        raise request.app.state.service.not_ready()
    mirrors: Mirrors = request.app.state.mirrors
    return {"models": [_entry(deployment) for deployment in repository.all()], **await mirrors.describe()}


@router.post(
    "/{name}/load", summary="Load or replace a model", responses=declared(401, 403, 404, 409, 422, 503)
)
async def load(
    request: Request,
    name: Name,
    rules: Annotated[CanarySettings, Depends(rules_of)],
    canary: Annotated[bool, Query(description="Try it first beside the version that answers.")] = False,
) -> dict[str, Any]:
    """Read the package again, or for the first time from the repository folder, in all workers.

    It is checked and its samples are replayed before it takes over; requests that the old one has begun are
    answered by it. Where one worker cannot load it, all go on as before.

    `canary`: NAME is the folder of a new version. The old one goes on answering, and the new one computes a
    share of the images beside it, by the rules that the other parameters give (those of the settings where
    they do not). It takes over, in all workers at once, when it has agreed with the old one on enough images,
    and is unloaded where it does not agree, fails or is too slow. `GET /v1/models` shows how it stands.
    """
    if canary:
        mirrors: Mirrors = request.app.state.mirrors
        await mirrors.trial.begin(name, rules)
        return await mirrors.describe()
    repository: Repository = request.app.state.repository
    return _entry(await repository.load(name))


@router.post("/{name}/unload", summary="Unload a model", responses=declared(401, 403, 404, 409, 503))
async def unload(
    request: Request, name: Name, version: Annotated[str | None, Query()] = None
) -> dict[str, Any]:
    """The last version of the name, or the one that is named. What it has begun it answers.

    Where no model is left, the service stays ready, and answers 404 until one is loaded again.
    """
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
