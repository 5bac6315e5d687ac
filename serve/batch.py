"""Many images in one request: a line of JSON for each, written once it and those before it are done."""

import asyncio
import json
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from modelpack.errors import ImageError, SegError
from serve.batch_upload import Upload
from serve.deployment import Deployment
from serve.errors import BodyTooLargeError, EmptyBodyError
from serve.metrics import Metrics
from serve.problems import answer, unexpected
from serve.rendering import Rendering
from serve.service import Service
from serve.settings import ServeSettings
from serve.timing import Timings

NDJSON = "application/x-ndjson"


class BatchResponse(StreamingResponse):
    """Holds its model until the last line is sent; a client that hangs up costs at most what is running."""

    def __init__(
        self,
        request: Request,
        uploads: Sequence[Upload],
        rendering: Rendering,
        deployment: Deployment,
        deadline_ms: int | None,
    ) -> None:
        super().__init__(self._lines(), media_type=NDJSON)
        self._request = request
        self._uploads = uploads
        self._rendering = rendering
        self._deployment = deployment
        self._deadline_ms = deadline_ms
        self._running: deque[asyncio.Task[bytes]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._deployment.use():
            try:
                await super().__call__(scope, receive, send)
            finally:
                for task in self._running:
                    task.cancel()
                if self._running:
                    await asyncio.wait(self._running)

    async def _lines(self) -> AsyncIterator[bytes]:
        """In the order of the images; as many at once as the service works on."""
        settings: ServeSettings = self._request.app.state.settings
        for index, upload in enumerate(self._uploads):
            if len(self._running) == settings.active:
                yield await self._next()
            self._running.append(asyncio.create_task(self._line(index, upload)))
        while self._running:
            yield await self._next()

    async def _next(self) -> bytes:
        line = await self._running[0]
        self._running.popleft()
        return line

    async def _line(self, index: int, upload: Upload) -> bytes:
        try:
            content = await self._segment(upload.content)
        except SegError as error:
            return _problem_line(index, upload, await answer(self._request, error))
        except Exception as error:
            return _problem_line(index, upload, unexpected(self._request, error))
        return await asyncio.to_thread(
            _answer_line, index, upload, content, self._rendering.format.media_type
        )

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
        timings = Timings()
        done = await service.segment(
            content, "", self._rendering, timings, self._deployment, self._deadline_ms
        )
        metrics.observe_stages(timings)
        return done


def _answer_line(index: int, upload: Upload, content: bytes, media_type: str) -> bytes:
    """`answer` where the format is JSON, else `content_base64`."""
    begin = json.dumps({"index": index, "name": upload.name, "status": 200, "media_type": media_type})[:-1]
    if media_type.endswith("json"):
        return b'%s, "answer": %s}\n' % (begin.encode(), content)
    return b'%s, "content_base64": "%s"}\n' % (begin.encode(), b64encode(content))


def _problem_line(index: int, upload: Upload, response: Response) -> bytes:
    problem = json.loads(bytes(response.body))
    line = {"index": index, "name": upload.name, "status": response.status_code, "problem": problem}
    return json.dumps(line).encode() + b"\n"
