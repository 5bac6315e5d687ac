"""`POST /v1/segment`: one image in, its segmentation out."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from serve.disconnect import unless_gone
from serve.formats import FORMATS, Format, Options
from serve.known_requests import remember
from serve.multipart import MULTIPART
from serve.negotiation import choose_format
from serve.problems import declared
from serve.rendering import Rendering
from serve.repository import Repository
from serve.service import Service
from serve.settings import ServeSettings
from serve.timing import Timings
from serve.uploads import FIELD, IMAGE_TYPES, check_media_type, read_body

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
_JSON: dict[str, Any] = {"type": ["object", "array"], "description": "`hf` gives an array, others an object."}
_ANSWERS = {
    media_type: {"schema": _JSON if media_type.endswith("json") else _BINARY}
    for media_type in (entry.media_type for entry in FORMATS.values())
}
FORMAT_HELP = "Wins over Accept. " + " ".join(f"`{name}`: {entry.summary}" for name, entry in FORMATS.items())


async def chosen_format(
    request: Request,
    response_format: Annotated[
        str | None, Query(alias="format", description=FORMAT_HELP, json_schema_extra={"enum": list(FORMATS)})
    ] = None,
) -> Format:
    return FORMATS[choose_format(FORMATS, response_format, request.headers.get("accept"))]


async def options_of(
    classes: Annotated[
        list[str] | None,
        Query(description="Names or indices, repeated or joined by commas: the others count as unlabelled."),
    ] = None,
    size: Annotated[
        Literal["original", "model"], Query(description="Size of the answer: the image's, or the model's.")
    ] = "original",
    alpha: Annotated[float, Query(ge=0, le=1, description="`overlay`: opacity of the colours.")] = 0.5,
    legend: Annotated[bool, Query(description="`overlay`: names of the classes to its right.")] = False,
    tolerance: Annotated[
        float,
        Query(
            ge=0, le=1000, description="`polygons`: pixels that an outline may be off; 0 keeps every corner."
        ),
    ] = 1.0,
) -> Options:
    named = tuple(name for name in classes or () if name)  # forms send what was left empty too
    return Options(named, size == "model", alpha, legend, tolerance)


ChosenFormat = Annotated[Format, Depends(chosen_format)]
ChosenOptions = Annotated[Options, Depends(options_of)]
ModelName = Annotated[
    str | None, Query(description="NAME or NAME:VERSION of a loaded model; without it the default.")
]
DeadlineMs = Annotated[
    int | None,
    Header(
        alias="X-Deadline-Ms",
        ge=1,
        description="Milliseconds from the whole body to the answer, which is of no use any later: then 504.",
    ),
]


@router.post(
    "/v1/segment",
    summary="Segment one image",
    response_class=Response,
    responses={
        200: {"description": "The segmentation, at the size of the image.", "content": _ANSWERS},
        **declared(400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
    },
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def segment(
    request: Request,
    chosen: ChosenFormat,
    options: ChosenOptions,
    model: ModelName = None,
    deadline_ms: DeadlineMs = None,
) -> Response:
    """JPEG, PNG or WebP, as the body or as the multipart field `image`; the mask has the image's size."""
    remember(request, chosen=chosen, options=options, model=model, deadline_ms=deadline_ms)
    state = request.app.state
    service: Service = state.service
    settings: ServeSettings = state.settings
    content_type = request.headers.get("content-type", "")
    check_media_type(content_type)
    if service.state not in ("ready", "draining"):
        raise service.not_ready()
    timings = request.state.timings = Timings(request.state.request_id)
    repository: Repository = state.repository
    with repository.find(model).use() as deployment:
        rendering = Rendering(deployment.model, chosen, options)
        body = await read_body(request, settings.max_bytes, settings.body_timeout_s)
        work = service.segment(body, content_type, rendering, timings, deployment, deadline_ms)
        content = await unless_gone(request, work)
    state.metrics.observe_stages(timings)
    headers = {"Server-Timing": timings.header(), "Vary": "Accept", ORIGIN_HEADER: deployment.model.origin}
    return Response(content, media_type=chosen.media_type, headers=headers)
