"""`/v1/models/NAME/canary`: let a new version that is on trial take over at once, or send it away."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from serve.mirror.mirrors import Mirrors
from serve.mirror.settings import CanarySettings
from serve.problems import declared
from serve.settings import ServeSettings

router = APIRouter(prefix="/v1/models/{name}/canary", tags=["models"])

OnTrial = Annotated[str, Path(description="The name of the model, or of the package's folder.")]
_DECLARED = declared(401, 403, 404, 409, 422, 503)


async def rules_of(
    request: Request,
    share: Annotated[float | None, Query(gt=0, le=1, description="Share of the images to compute.")] = None,
    min_images: Annotated[int | None, Query(ge=1, description="Images to compare before deciding.")] = None,
    at_least_s: Annotated[float | None, Query(ge=0, description="Shortest trial in seconds.")] = None,
    at_most_s: Annotated[float | None, Query(gt=0, description="Longest trial in seconds.")] = None,
    min_agreement: Annotated[
        float | None, Query(ge=0, le=1, description="Least share of equal pixels.")
    ] = None,
    min_class_iou: Annotated[float | None, Query(ge=0, le=1, description="Least IoU of each class.")] = None,
    max_latency_factor: Annotated[
        float | None, Query(gt=0, description="Most time of its graph, as a multiple of the other's.")
    ] = None,
) -> CanarySettings:
    """The service's own settings, but what the request says otherwise."""
    settings: ServeSettings = request.app.state.settings
    asked = {
        "share": share,
        "min_images": min_images,
        "at_least_s": at_least_s,
        "at_most_s": at_most_s,
        "min_agreement": min_agreement,
        "min_class_iou": min_class_iou,
        "max_latency_factor": max_latency_factor,
    }
    return settings.canary.model_copy(
        update={name: value for name, value in asked.items() if value is not None}
    )


@router.post("/promote", summary="Let the canary take over now", responses=_DECLARED)
async def promote(request: Request, name: OnTrial) -> dict[str, Any]:
    """Whatever was counted up to now."""
    mirrors: Mirrors = request.app.state.mirrors
    await mirrors.trial.promote(name)
    return await mirrors.describe()


@router.post("/abort", summary="Send the canary away", responses=_DECLARED)
async def abort(request: Request, name: OnTrial) -> dict[str, Any]:
    """The old version goes on as if nothing had been."""
    mirrors: Mirrors = request.app.state.mirrors
    await mirrors.trial.abort(name)
    return await mirrors.describe()
