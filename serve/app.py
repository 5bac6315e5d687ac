"""The application: which address does what. `create_app` is the stage's one function."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from serve import problems
from serve.metrics import Metrics
from serve.middleware import RequestContext
from serve.routes import model, operations, pages, segment
from serve.service import Service
from serve.settings import ServeSettings


def create_app(settings: ServeSettings) -> FastAPI:
    """Serve one package over HTTP.

    The package is opened, checked and replayed in the background once the application starts: `/livez`
    answers at once, `/readyz` when that is done. `app.state.loading` is the task; it raises what is wrong.
    """
    metrics = Metrics()
    service = Service(settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loading = asyncio.create_task(service.load())
        try:
            yield
        finally:
            await asyncio.wait((app.state.loading,))
            service.close()

    app = FastAPI(
        title="afdcd serve",
        summary="Semantic segmentation over HTTP.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.settings = settings
    app.state.metrics = metrics
    for routes in (segment.router, model.router, operations.router, pages.router):
        app.include_router(routes)
    app.mount("/web", pages.files)
    problems.install(app)
    app.add_middleware(RequestContext, metrics=metrics, logs_requests=settings.log_requests)
    return app
