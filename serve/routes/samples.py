"""`/v1/samples`: the images that a package brings along, to try its model with."""

import asyncio
import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from modelpack.manifest import SampleFile
from serve.deployment import Deployment
from serve.errors import UnknownSampleError
from serve.problems import declared
from serve.repository import Repository
from serve.routes.segment import ModelName

router = APIRouter(prefix="/v1/samples", tags=["models"])

MEDIA_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_IMAGE = {"schema": {"type": "string", "format": "binary"}}


@router.get("", summary="The samples of a model", responses=declared(401, 403, 404, 503))
async def index(request: Request, model: ModelName = None) -> dict[str, Any]:
    """Real images that the package was checked with when it was loaded."""
    deployment = _find(request, model)
    samples = deployment.model.manifest.samples
    return {
        "model": deployment.model.title,
        "samples": [
            {"index": number, "media_type": _media_type(sample)} for number, sample in enumerate(samples)
        ],
    }


@router.get(
    "/{index}",
    summary="One sample, as it was encoded",
    response_class=Response,
    responses={
        200: {"description": "The image.", "content": dict.fromkeys(MEDIA_TYPES.values(), _IMAGE)},
        **declared(401, 403, 404, 422, 503),
    },
)
async def sample(
    request: Request,
    index: Annotated[int, Path(description="Its place in the list.")],
    model: ModelName = None,
) -> Response:
    deployment = _find(request, model)
    samples = deployment.model.manifest.samples
    if not 0 <= index < len(samples):
        raise UnknownSampleError(f"{deployment.model.title} has {len(samples)} samples, no number {index}.")
    content = await asyncio.to_thread(_read, deployment, samples[index])
    return Response(content, media_type=_media_type(samples[index]))


def _read(deployment: Deployment, sample: SampleFile) -> bytes:
    """The folder may have changed since the model was loaded: only what the manifest knows is given."""
    try:
        content = (deployment.source / sample.image).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != sample.image_sha256:
        raise UnknownSampleError(
            f"{sample.image} of {deployment.model.title} is not on disk as it was when the model was loaded. "
            "Load the model again."
        )
    return content


def _media_type(sample: SampleFile) -> str:
    return MEDIA_TYPES.get(PurePosixPath(sample.image).suffix.lower(), "application/octet-stream")


def _find(request: Request, model: str | None) -> Deployment:
    if request.app.state.service.state in ("starting", "failed"):
        raise request.app.state.service.not_ready()
    repository: Repository = request.app.state.repository
    return repository.find(model)
