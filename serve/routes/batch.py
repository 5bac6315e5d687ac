"""`POST /v1/segment/batch`: many images in, lines of JSON or a zip out."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serve.batch import BatchResponse
from serve.batch_answers import PACKERS, Container, NdjsonPacker, ZipPacker, choose_container
from serve.batch_upload import ZIP_TYPES, check_batch_type, uploads_in
from serve.formats import FORMATS
from serve.multipart import MULTIPART
from serve.negotiation import choose_format
from serve.problems import PROBLEM_SCHEMA, declared
from serve.rendering import Rendering
from serve.repository import Repository
from serve.routes.segment import FORMAT_HELP, ORIGIN_HEADER, ChosenOptions, DeadlineMs, ModelName
from serve.service import Service
from serve.settings import ServeSettings
from serve.uploads import read_body

router = APIRouter(tags=["segmentation"])

_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"image": {"type": "array", "items": _BINARY}}}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {MULTIPART: {"schema": _FORM}, ZIP_TYPES[0]: {"schema": _BINARY}},
}
_LINE: dict[str, Any] = {
    "type": "object",
    "description": "One line for each image, in their order.",
    "required": ["index", "name", "status"],
    "properties": {
        "index": {"type": "integer"},
        "name": {"type": "string"},
        "status": {"type": "integer", "description": "What the image alone would have been answered with."},
        "media_type": {"type": "string"},
        "answer": {"description": "The answer, where the format is JSON."},
        "content_base64": {"type": "string", "description": "The answer, where it is not."},
        "problem": PROBLEM_SCHEMA,
    },
}


@router.post(
    "/v1/segment/batch",
    summary="Segment many images",
    response_class=Response,
    responses={
        200: {
            "description": "An answer for each image, in their order, as they get ready.",
            "content": {
                NdjsonPacker.media_type: {"schema": _LINE},
                ZipPacker.media_type: {"schema": _BINARY},
            },
        },
        **declared(400, 401, 403, 404, 408, 413, 415, 422, 500, 503),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def segment_batch(
    request: Request,
    options: ChosenOptions,
    response_format: Annotated[
        str, Query(alias="format", description=FORMAT_HELP, json_schema_extra={"enum": list(FORMATS)})
    ] = "png",
    container: Annotated[
        Container | None,
        Query(
            description="`zip` or `ndjson`; without it by `Accept`, in which application/zip asks for one."
        ),
    ] = None,
    model: ModelName = None,
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Files of a form, or the entries of a zip. An image that is refused has a `problem` in its place.

    The deadline holds for each image. `batch_max_images` and `batch_max_bytes` bound the whole.
    """
    service: Service = request.app.state.service
    settings: ServeSettings = request.app.state.settings
    repository: Repository = request.app.state.repository
    chosen = FORMATS[choose_format(FORMATS, response_format, None)]
    packer = PACKERS[choose_container(container, request.headers.get("accept"))]()
    content_type = request.headers.get("content-type", "")
    check_batch_type(content_type)
    if service.state not in ("ready", "draining"):
        raise service.not_ready()
    with repository.find(model).use() as deployment:
        rendering = Rendering(deployment.model, chosen, options)
        body = await read_body(request, settings.batch_max_bytes, settings.body_timeout_s)
        uploads = await asyncio.to_thread(
            uploads_in,
            body,
            content_type,
            max_images=settings.batch_max_images,
            max_bytes=settings.batch_max_bytes,
        )
        response = BatchResponse(request, uploads, rendering, deployment, deadline_ms, packer)
    response.headers[ORIGIN_HEADER] = deployment.model.origin
    return response
