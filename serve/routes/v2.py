"""`/v2`: the Open Inference Protocol, for `tritonclient[http]` and whatever else speaks it."""

import json
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from modelpack.environment import code_version
from serve.deployment import Deployment
from serve.disconnect import unless_gone
from serve.errors import EmptyBodyError, InferRequestError
from serve.oip import description
from serve.oip.answer import HEADER_LENGTH
from serve.oip.errors import PREFIX, declared_errors
from serve.oip.inference import InferCall, infer
from serve.oip.statistics import ASK, summed
from serve.repository import Repository
from serve.routes.segment import ORIGIN_HEADER, DeadlineMs
from serve.settings import ServeSettings
from serve.timing import Timings
from serve.uploads import read_body

EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "statistics",
)
LARGEST_ORDER_BYTES = 64 * 1024
"""Of the bodies that ask for no inference."""

router = APIRouter(prefix=PREFIX, tags=["open inference protocol"])
MODEL = ("/models/{name}", "/models/{name}/versions/{version}")
"""Without a version, the one that was loaded last answers."""

_OBJECT: dict[str, Any] = {
    "requestBody": {"required": False, "content": {"application/json": {"schema": {"type": "object"}}}}
}
_JSON_OR_BINARY: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}
_INFER_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _JSON_OR_BINARY}}


@router.get("", summary="The server and what it can do")
async def server() -> dict[str, Any]:
    return {"name": "afdcd", "version": code_version(), "extensions": EXTENSIONS}


@router.get("/health/live", summary="Is the process alive?", response_class=Response)
async def live() -> Response:
    return Response()


@router.get(
    "/health/ready",
    summary="May requests be sent here?",
    response_class=Response,
    responses=declared_errors(503),
)
async def ready(request: Request) -> Response:
    """As Triton has it, a model that was unloaded does not count, not even the last one."""
    if request.app.state.service.state != "ready":
        raise request.app.state.service.not_ready()
    return Response()


@router.get("/models/stats", summary="Statistics of all models", responses=declared_errors(401, 403, 503))
async def all_statistics(request: Request) -> dict[str, Any]:
    """Requests under `/v2` only, of all workers together."""
    outcome = await request.app.state.control.ask(ASK)
    return {"model_stats": summed(outcome, request.app.state.repository.all())}


async def model_ready(request: Request, name: str, version: str | None = None) -> Response:
    _find(request, name, version)
    return Response()


async def model_metadata(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Inputs and outputs. The two inputs are alternatives: pixels, or encoded images."""
    deployment = _find(request, name, version)
    repository: Repository = request.app.state.repository
    return description.metadata(
        deployment, [entry.version for entry in repository.all() if entry.name == deployment.name]
    )


async def model_config(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """As Triton writes a model's configuration."""
    return description.config(_find(request, name, version), request.app.state.settings.v2_max_batch)


async def model_statistics(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Requests under `/v2` only, of all workers together."""
    deployment = _find(request, name, version)
    outcome = await request.app.state.control.ask(ASK)
    return {"model_stats": summed(outcome, [deployment])}


async def model_infer(
    request: Request,
    name: str,
    version: str | None = None,
    header_length: Annotated[str | None, Header(alias=HEADER_LENGTH)] = None,
    content_encoding: Annotated[str, Header()] = "",
    accept_encoding: Annotated[str, Header()] = "",
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Class indices of pixels (the graph's own input) or of image files (`encoded_image`).

    Binary tensors follow the JSON, whose length is in `Inference-Header-Content-Length`; 0 there: the body is
    one image file. The request's parameter `size` is `model` (the default) or `original`: the outputs' size.
    """
    deployment = _find(request, name, version)
    settings: ServeSettings = request.app.state.settings
    timings = request.state.timings = Timings(request.state.request_id)
    with deployment.use():
        body = await read_body(request, settings.max_bytes, settings.body_timeout_s)
        call = InferCall(body, header_length, content_encoding, accept_encoding, deadline_ms)
        begun = perf_counter()
        try:
            work = infer(call, deployment, request.app.state.service, settings, timings)
            answer, batch_size = await unless_gone(request, work)
        except Exception:
            request.app.state.statistics.failed(deployment, perf_counter() - begun)
            raise
    request.app.state.statistics.succeeded(deployment, batch_size, timings, perf_counter() - begun)
    request.app.state.metrics.observe_stages(timings)
    headers = {
        "Server-Timing": timings.header(),
        "Vary": "Accept-Encoding",
        ORIGIN_HEADER: deployment.model.origin,
    }
    return Response(answer.content, headers={**headers, **answer.headers}, media_type=answer.media_type)


@router.post(
    "/repository/index",
    summary="The models that are loaded, and those that were",
    responses=declared_errors(400, 401, 403, 408, 413),
    openapi_extra=_OBJECT,
)
async def index(request: Request) -> list[dict[str, str]]:
    """`ready`: only those that are loaded."""
    order = await _order(request)
    repository: Repository = request.app.state.repository
    loaded = [(entry.name, entry.version, "READY", "") for entry in repository.all()]
    unloaded = [(*key, "UNAVAILABLE", "unloaded") for key in repository.unloaded]
    entries = loaded if order.get("ready") else loaded + unloaded
    return [dict(zip(("name", "version", "state", "reason"), entry, strict=True)) for entry in entries]


@router.post(
    "/repository/models/{name}/load",
    summary="Load or replace a model",
    response_class=Response,
    responses=declared_errors(400, 401, 403, 404, 408, 409, 413, 422, 503),
    openapi_extra=_OBJECT,
)
async def load(request: Request, name: str) -> Response:
    """As `/v1/models/NAME/load`. Configurations and files cannot be sent along: a package has its own."""
    order = await _order(request)
    if order.get("parameters"):
        raise InferRequestError("a model is loaded as its package says; config and files are not accepted.")
    await request.app.state.repository.load(name)
    return Response()


@router.post(
    "/repository/models/{name}/unload",
    summary="Unload a model",
    response_class=Response,
    responses=declared_errors(400, 401, 403, 404, 408, 409, 413, 422, 503),
    openapi_extra=_OBJECT,
)
async def unload(request: Request, name: str) -> Response:
    """As `/v1/models/NAME/unload`: the last version of the name."""
    await _order(request)
    await request.app.state.repository.unload(name)
    return Response()


for _path in MODEL:
    _known = declared_errors(401, 403, 404, 422, 503)
    router.get(_path, summary="Inputs and outputs of a model", responses=_known)(model_metadata)
    router.get(f"{_path}/ready", summary="Does a model answer?", response_class=Response, responses=_known)(
        model_ready
    )
    router.get(f"{_path}/config", summary="Configuration of a model", responses=_known)(model_config)
    router.get(f"{_path}/stats", summary="Statistics of a model", responses=_known)(model_statistics)
    router.post(
        f"{_path}/infer",
        summary="Segment tensors or encoded images",
        response_class=Response,
        responses={
            200: {"description": "The outputs.", "content": _JSON_OR_BINARY},
            **declared_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504),
        },
        openapi_extra=_INFER_BODY,
    )(model_infer)


def _find(request: Request, name: str, version: str | None) -> Deployment:
    service = request.app.state.service
    if service.state not in ("ready", "draining"):
        raise service.not_ready()
    repository: Repository = request.app.state.repository
    return repository.get(name, version)


async def _order(request: Request) -> dict[str, Any]:
    """The JSON object of a body that may be empty. Raises InferRequestError, and as `read_body` does."""
    try:
        body = await read_body(request, LARGEST_ORDER_BYTES, request.app.state.settings.body_timeout_s)
        order = json.loads(body)
    except EmptyBodyError:
        return {}
    except (ValueError, RecursionError) as error:
        raise InferRequestError(f"the request is not JSON: {str(error)[:200]}.") from None
    if not isinstance(order, dict):
        raise InferRequestError("the request is a JSON object, or empty.")
    return order
