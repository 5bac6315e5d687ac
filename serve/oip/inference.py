"""From the body of an `infer` request to the body of its answer, within the service's limits."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

from modelpack.errors import ShapeError
from serve.deployment import Deployment
from serve.errors import DeadlineError, InferRequestError
from serve.oip.answer import Encoded
from serve.oip.compression import choose_encoding, decompress
from serve.oip.job import InferJob
from serve.oip.request import parse_request
from serve.service import INLINE_BYTES, Service
from serve.settings import ServeSettings
from serve.timing import Timings

INLINE_JSON_BYTES = 16 * 1024
"""JSON up to this size is read on the event loop: that costs less than a change of thread."""


@dataclass(frozen=True)
class InferCall:
    """An `infer` request as HTTP delivers it: the body and the headers that say how to read it."""

    body: bytes
    header_length: str | None
    """`Inference-Header-Content-Length`."""
    content_encoding: str
    accept_encoding: str
    deadline_ms: int | None = None
    """`X-Deadline-Ms`."""

    @property
    def is_quick_to_read(self) -> bool:
        """False: uncompressing it, or its JSON, would hold up the event loop."""
        length = self.header_length or ""
        json_bytes = int(length) if length.isdecimal() and len(length) < 10 else len(self.body)
        is_short = len(self.body) <= INLINE_BYTES and json_bytes <= INLINE_JSON_BYTES
        return is_short and not self.content_encoding


async def infer(
    call: InferCall, deployment: Deployment, service: Service, settings: ServeSettings, timings: Timings
) -> tuple[Encoded, int]:
    """The answer, and how many images were in the request.

    Raises InferRequestError or an ImageError for what is wrong with it, OverloadedError when the queue is
    full, and DeadlineError when the service's time is over, or the shorter one of `X-Deadline-Ms` or of the
    request's `timeout`. Cancelled, it costs at most the stage that is running.
    """
    begun = perf_counter()
    deadline_s = service.deadline_s(call.deadline_ms)
    encoding = choose_encoding(call.accept_encoding)
    try:
        async with asyncio.timeout(deadline_s) as deadline:
            if call.is_quick_to_read:
                job = _read(call, deployment, settings)
            else:
                with timings.stage("read"):
                    job = await asyncio.to_thread(_read, call, deployment, settings)
            if job.timeout_s is not None and job.timeout_s < deadline_s:
                deadline_s = job.timeout_s
                deadline.reschedule(asyncio.get_running_loop().time() + begun + deadline_s - perf_counter())
            answer = await service.in_turn(
                deployment,
                job.decode,
                lambda outputs: job.encode(outputs, encoding),
                timings,
                begun + deadline_s,
            )
            return answer, job.batch_size
    except TimeoutError:
        raise DeadlineError(
            f"no answer within {deadline_s * 1000:g} ms; allow more time, or send fewer images at once."
        ) from None
    except ShapeError as error:
        raise InferRequestError(str(error)) from None


def _read(call: InferCall, deployment: Deployment, settings: ServeSettings) -> InferJob:
    body = decompress(call.body, call.content_encoding, max_bytes=settings.max_bytes)
    return InferJob(
        parse_request(body, call.header_length),
        deployment.model,
        max_batch=settings.v2_max_batch,
        max_pixels=settings.max_pixels,
    )
