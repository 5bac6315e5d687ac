"""Many images in one request: each answer is written once it and those before it are done."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from modelpack.errors import ImageError, SegError
from serve.batch_answers import BatchPacker, ImageAnswer
from serve.batch_upload import Upload
from serve.deployment import Deployment
from serve.errors import BodyTooLargeError, EmptyBodyError
from serve.metrics import Metrics
from serve.problems import PROBLEM_TYPE, answer, unexpected
from serve.rendering import Rendering
from serve.service import Service
from serve.settings import ServeSettings
from serve.timing import Timings


class BatchResponse(StreamingResponse):
    """Holds its model until the last byte is sent; a client that hangs up costs at most what is running."""

    def __init__(
        self,
        request: Request,
        uploads: Sequence[Upload],
        rendering: Rendering,
        deployment: Deployment,
        deadline_ms: int | None,
        packer: BatchPacker,
    ) -> None:
        super().__init__(self._packed(), media_type=packer.media_type)
        self._request = request
        self._uploads = uploads
        self._rendering = rendering
        self._deployment = deployment
        self._deadline_ms = deadline_ms
        self._packer = packer
        self._running: deque[asyncio.Task[ImageAnswer]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._deployment.use():
            try:
                await super().__call__(scope, receive, send)
            finally:
                for task in self._running:
                    task.cancel()
                if self._running:
                    await asyncio.wait(self._running)

    async def _packed(self) -> AsyncIterator[bytes]:
        """In the order of the images; as many at once as the service works on."""
        service: Service = self._request.app.state.service
        for index, upload in enumerate(self._uploads):
            if len(self._running) >= service.most_active:
                yield await self._next()
            self._running.append(asyncio.create_task(self._answer(index, upload)))
        while self._running:
            yield await self._next()
        yield self._packer.end()

    async def _next(self) -> bytes:
        answered = await self._running[0]
        self._running.popleft()
        return await asyncio.to_thread(self._packer.pack, answered)

    async def _answer(self, index: int, upload: Upload) -> ImageAnswer:
        try:
            content = await self._segment(upload.content)
        except SegError as error:
            return _problem(index, upload, await answer(self._request, error))
        except Exception as error:
            return _problem(index, upload, unexpected(self._request, error))
        return ImageAnswer(index, upload.name, 200, self._rendering.format.media_type, content)

    async def _segment(self, content: bytes | ImageError) -> bytes:
        state = self._request.app.state
        service: Service = state.service
        settings: ServeSettings = state.settings
        metrics: Metrics = state.metrics
        if isinstance(content, ImageError):
            raise content
        if not content:
            raise EmptyBodyError("the file is empty.")
        if len(content) > settings.max_bytes:
            raise BodyTooLargeError(settings.max_bytes, len(content))
        timings = Timings(self._request.state.request_id)
        done = await service.segment(
            content, "", self._rendering, timings, self._deployment, self._deadline_ms
        )
        metrics.observe_stages(timings)
        return done


def _problem(index: int, upload: Upload, response: Response) -> ImageAnswer:
    return ImageAnswer(index, upload.name, response.status_code, PROBLEM_TYPE, bytes(response.body))
