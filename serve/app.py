"""The application: which address does what. `create_app` is the stage's one function."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from serve import problems
from serve.control import Alone, Control, Order
from serve.metrics import Metrics
from serve.middleware import RequestContext
from serve.oip.statistics import Statistics
from serve.orders import Orders
from serve.repository import Repository
from serve.routes import model, models, operations, pages, segment, v2
from serve.service import Service
from serve.settings import ServeSettings


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
    repository = Repository(settings, control)
    service = Service(settings, metrics, repository)
    statistics = Statistics()
    control.execute = Orders(metrics, repository, statistics).execute

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loading = asyncio.create_task(service.load(agreed))
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
    app.state.control = control
    app.state.repository = repository
    app.state.statistics = statistics
    for routes in (segment.router, model.router, models.router, operations.router, pages.router, v2.router):
        app.include_router(routes)
    app.mount("/web", pages.files)
    problems.install(app)
    app.add_middleware(RequestContext, metrics=metrics, logs_requests=settings.log_requests)
    return app
