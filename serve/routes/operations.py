"""What the people and programs that run the service ask it."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from serve.exposition import render
from serve.problems import declared
from serve.repository import NO_MODEL

router = APIRouter(tags=["operations"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/readyz", summary="May requests be sent here?", responses=declared(503))
async def readyz(request: Request) -> dict[str, str]:
    """200 from the moment the samples were replayed until SIGTERM; 503 with the reason before and after.

    A model that an operator unloaded is no fault, not even the last one: the service stays within reach.
    """
    service = request.app.state.service
    if service.state != "ready":
        raise service.not_ready()
    if not request.app.state.repository.all():
        return {"status": "ready", "model": "", "choice": NO_MODEL}
    return {"status": "ready", "model": service.model.title, "choice": service.model.choice}


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {"description": "The text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **declared(401, 403),
    },
)
async def metrics(request: Request) -> Response:
    """Of all workers, whichever answers."""
    outcome = await request.app.state.control.ask({"do": "metrics"})
    return Response(render(outcome), media_type=CONTENT_TYPE_LATEST)
