"""The application: which address does what. `create_app` is the stage's one function."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from serve import openapi, problems
from serve.access import Access
from serve.batching.metrics import BatchMetrics
from serve.batching.scheduler import Scheduler
from serve.control import Alone, Control, Order
from serve.head import Head
from serve.keys import KeyFile
from serve.known_requests import KnownRequests
from serve.metrics import Metrics
from serve.middleware import RequestContext
from serve.mirror.mirrors import Mirrors
from serve.oip.statistics import Statistics
from serve.orders import Orders
from serve.repository import Repository
from serve.routes import batch, canary, model, models, operations, pages, samples, segment, v2
from serve.security_headers import SecurityHeaders
from serve.service import Service
from serve.settings import ServeSettings
from serve.telemetry import open_tracing


def create_app(
    settings: ServeSettings, control: Control | None = None, agreed: Sequence[Order] = ()
) -> FastAPI:
    """Serve one package over HTTP.

    control: the way to the other processes of the service, and `agreed` the orders that they carried out
    before this one was born; None for a service of one process.

    The package is opened, checked and replayed in the background once the application starts: `/livez`
    answers at once, `/readyz` when that is done. `app.state.loading` is the task; it raises what is wrong.
    """
    control = control or Alone()
    metrics = Metrics()
    repository = Repository(settings, control, Scheduler(BatchMetrics(metrics.registry)))
    mirrors = Mirrors(settings, control, repository, metrics.registry)
    service = Service(settings, metrics, repository, mirrors)
    statistics = Statistics()
    control.execute = Orders(metrics, repository, statistics, mirrors).execute

    tracing = open_tracing()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loading = asyncio.create_task(service.load(agreed, control.execute))
        try:
            yield
        finally:
            await asyncio.wait((app.state.loading,))
            service.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    app = FastAPI(
        title="afdcd serve",
        summary="Semantic segmentation over HTTP.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `serve.tracing` sees more
    )
    app.state.service = service
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.control = control
    app.state.repository = repository
    app.state.statistics = statistics
    app.state.mirrors = mirrors
    for part in (segment, batch, model, models, canary, samples, operations, pages, v2):
        app.include_router(part.router)
    app.mount("/web", pages.files)
    problems.install(app)
    openapi.install(app, asks_for_keys=settings.keys is not None)
    key_file = None if settings.keys is None else KeyFile(settings.keys)
    app.add_middleware(Head)
    app.add_middleware(KnownRequests)
    app.add_middleware(Access, key_file=key_file, origins=settings.cors_origins)
    app.add_middleware(RequestContext, metrics=metrics, logs_requests=settings.log_requests, tracing=tracing)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(SecurityHeaders)
    return app
