"""`POST /v1/segment`: one image in, its segmentation out."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serve.disconnect import unless_gone
from serve.formats import FORMATS
from serve.negotiation import choose_format
from serve.problems import declared
from serve.repository import Repository
from serve.service import Service
from serve.settings import ServeSettings
from serve.timing import Timings
from serve.uploads import FIELD, IMAGE_TYPES, MULTIPART, check_media_type, read_body

router = APIRouter(tags=["segmentation"])

ORIGIN_HEADER = "X-Model"
"""The manifest that a mask came from: docs/lineage.md."""

_BINARY = {"type": "string", "format": "binary"}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        MULTIPART: {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}}},
        **{media_type: {"schema": _BINARY} for media_type in (*IMAGE_TYPES, "application/octet-stream")},
    },
}
_ANSWERS = {
    entry.media_type: {"schema": {"type": "object"} if entry.media_type == "application/json" else _BINARY}
    for entry in FORMATS.values()
}
_FORMAT_HELP = "Wins over Accept. " + " ".join(
    f"`{name}`: {entry.summary}" for name, entry in FORMATS.items()
)


@router.post(
    "/v1/segment",
    summary="Segment one image",
    response_class=Response,
    responses={
        200: {"description": "The segmentation, at the size of the image.", "content": _ANSWERS},
        **declared(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def segment(
    request: Request,
    response_format: Annotated[
        str | None, Query(alias="format", description=_FORMAT_HELP, json_schema_extra={"enum": list(FORMATS)})
    ] = None,
    model: Annotated[
        str | None, Query(description="NAME or NAME:VERSION of a loaded model; without it the default.")
    ] = None,
) -> Response:
    """JPEG, PNG or WebP, as the body or as the multipart field `image`; the mask has the image's size."""
    service: Service = request.app.state.service
    settings: ServeSettings = request.app.state.settings
    chosen = FORMATS[choose_format(FORMATS, response_format, request.headers.get("accept"))]
    content_type = request.headers.get("content-type", "")
    check_media_type(content_type)
    if service.state not in ("ready", "draining"):
        raise service.not_ready()
    timings = Timings()
    repository: Repository = request.app.state.repository
    with repository.find(model).use() as deployment:
        body = await read_body(request, settings.max_bytes, settings.body_timeout_s)
        work = service.segment(body, content_type, chosen, timings, deployment)
        content = await unless_gone(request, work)
    request.app.state.metrics.observe_stages(timings)
    headers = {"Server-Timing": timings.header(), "Vary": "Accept", ORIGIN_HEADER: deployment.model.origin}
    return Response(content, media_type=chosen.media_type, headers=headers)
