"""The service of one process: its state, and the way of an image through the stages."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import SegError
from modelpack.pixels import check_header, decode_image
from modelpack.replay import MASK
from serve.admission import Admission
from serve.control import Execute, Order
from serve.deployment import Deployment
from serve.errors import DeadlineError, NotReadyError
from serve.lane import Lane
from serve.metrics import Metrics
from serve.mirror.mirrors import Mirrors
from serve.model import ServedModel
from serve.rendering import Rendering
from serve.repository import Repository
from serve.settings import ServeSettings
from serve.timing import Timings
from serve.uploads import image_in

T = TypeVar("T")
State = Literal["starting", "ready", "draining", "failed"]

CODEC_THREADS = 2
ACTIVE = 4
"""Requests that are worked on at once, where nobody says otherwise and none are joined."""
INLINE_BYTES = 256 * 1024
"""Bodies up to this size are taken apart on the event loop: that costs less than a change of thread."""


class Service:
    """Loads its models in the background, then answers. Everything slow runs in threads of its own."""

    def __init__(
        self, settings: ServeSettings, metrics: Metrics, repository: Repository, mirrors: Mirrors
    ) -> None:
        self.state: State = "starting"
        self._settings = settings
        self._metrics = metrics
        self._reason = "the model is being loaded."
        self._repository = repository
        self._mirrors = mirrors
        active = ACTIVE if settings.active == "auto" else settings.active
        self._admission = Admission(active, settings.queue_length, metrics)
        threads = CODEC_THREADS if settings.codec_threads == "auto" else settings.codec_threads
        self._codecs = Lane("codec", threads) if threads else None

    async def load(self, agreed: Sequence[Order], execute: Execute) -> None:
        """Open, check and replay the packages, then carry out what was agreed; `state` is `ready` afterwards.

        Raises what `load_model` raises, and then `state` is `failed`.
        """
        try:
            await self._repository.load_first()
            first = self._repository.get().model
            if self._settings.active == "auto" and any(entry.line for entry in self._repository.all()):
                self._admission.allow(2 * self._settings.batching.max_images)
            for order in agreed:
                await execute(order)
        except BaseException as error:
            self.state = "failed"
            self._reason = (
                f"the model failed to load: {error if isinstance(error, SegError) else 'see the log.'}"
            )
            raise
        if self.state == "starting":
            self.state = "ready"
            self._metrics.ready.set(1)
            self._mirrors.load(self.model if self._repository.all() else first)

    @property
    def most_active(self) -> int:
        """Requests that are worked on at once, at most."""
        return self._admission.active

    @property
    def model(self) -> ServedModel:
        """The default model. Raises NotReadyError before there is one, UnknownModelError after the last."""
        if self.state in ("starting", "failed"):
            raise self.not_ready()
        return self._repository.get().model

    def not_ready(self) -> NotReadyError:
        return NotReadyError(self._reason, retry_after_s=1)

    def start_draining(self) -> None:
        """Readiness turns false; what arrives is still answered until the port is closed."""
        self.state, self._reason = "draining", "the service is shutting down."
        self._metrics.ready.set(0)

    def close(self) -> None:
        """Stop the threads and free the device. Called when no request is in flight."""
        if self._codecs is not None:
            self._codecs.close()
        self._mirrors.close()
        self._repository.close()

    async def segment(
        self,
        body: bytes,
        content_type: str,
        rendering: Rendering,
        timings: Timings,
        deployment: Deployment,
        deadline_ms: int | None = None,
    ) -> bytes:
        """One upload to one encoded answer of one model, within the service's time or `deadline_ms`.

        Raises an ImageError or RequestError for what is wrong with it, OverloadedError when the queue is full
        and DeadlineError when the time is over. Cancelled, it costs at most the stage that is running.
        """
        model = deployment.model
        begun = perf_counter()
        deadline_s = self.deadline_s(deadline_ms)
        try:
            async with asyncio.timeout(deadline_s):
                if len(body) <= INLINE_BYTES:
                    encoded = self._take_apart(body, content_type)
                else:
                    with timings.stage("read"):
                        encoded = await asyncio.to_thread(self._take_apart, body, content_type)
                async with self._admission.turn(timings):
                    if self._codecs is None:
                        return await deployment.run(
                            timings, self._in_one_go, encoded, deployment, rendering, timings
                        )
                    with deployment.coming():
                        image_hwc, input_hwc, images_nhwc = await self._codecs.run(
                            timings, "decode", self._decode_padded, encoded, model, rendering
                        )
                    outputs = await deployment.infer(images_nhwc, timings, begun + deadline_s)
                    with deployment.finishing():
                        answer, mask_hw = await self._codecs.run(
                            timings, "encode", self._encode, rendering, image_hwc, input_hwc, outputs
                        )
                    self._mirrors.offer(image_hwc, mask_hw, deployment, timings.request_id)
                    return answer
        except TimeoutError:
            raise DeadlineError(
                f"no answer within {deadline_s:g} s; send smaller images or fewer at once."
            ) from None

    def deadline_s(self, asked_ms: int | None) -> float:
        """The service's own, or what the client asked for where that is less."""
        own_s = self._settings.deadline_s
        return own_s if asked_ms is None else min(own_s, asked_ms / 1000)

    async def in_turn(
        self,
        deployment: Deployment,
        decode: Callable[[], NDArray[np.uint8]],
        encode: Callable[[dict[str, NDArray[Any]]], T],
        timings: Timings,
        deadline: float,
    ) -> T:
        """Wait for a turn; then from `decode`'s images (N, H, W, 3) through the graph to what `encode` makes.

        deadline: when the answer must be there, by `time.perf_counter`. It decides who goes first; to hold it
        is the caller's matter. Raises OverloadedError when the queue is full, and what the stages raise.
        """

        def in_one_go() -> T:
            with timings.stage("decode"):
                images_nhwc = decode()
            with timings.stage("infer"):
                outputs = deployment.model.runtime.run(images_nhwc)
            with timings.stage("encode"):
                answer = encode(outputs)
            self._show(images_nhwc, outputs, deployment, timings)
            return answer

        async with self._admission.turn(timings):
            if self._codecs is None:
                return await deployment.run(timings, in_one_go)
            with deployment.coming():
                images_nhwc = await self._codecs.run(timings, "decode", decode)
            outputs = await deployment.infer(images_nhwc, timings, deadline)
            with deployment.finishing():
                answer = await self._codecs.run(timings, "encode", encode, outputs)
            self._show(images_nhwc, outputs, deployment, timings)
            return answer

    def _show(
        self,
        images_nhwc: NDArray[np.uint8],
        outputs: dict[str, NDArray[Any]],
        deployment: Deployment,
        timings: Timings,
    ) -> None:
        """Answered images to whoever compares answers."""
        for image_hwc, mask_hw in zip(images_nhwc, outputs[MASK], strict=True):
            self._mirrors.offer(image_hwc, mask_hw, deployment, timings.request_id)

    def _take_apart(self, body: bytes, content_type: str) -> bytes:
        """The encoded image, whose header was found to be within the limits."""
        encoded = image_in(body, content_type)
        check_header(encoded, max_pixels=self._settings.max_pixels)
        return encoded

    def _in_one_go(
        self, encoded: bytes, deployment: Deployment, rendering: Rendering, timings: Timings
    ) -> bytes:
        model = deployment.model
        with timings.stage("decode"):
            image_hwc, input_hwc = self._decode(encoded, model)
        with timings.stage("infer"):
            maps = rendering.maps(model.runtime.run(rendering.padded(input_hwc)), input_hwc)
        with timings.stage("encode"):
            answer = rendering.encode(image_hwc, input_hwc, maps)
        self._mirrors.offer(image_hwc, maps[MASK], deployment, timings.request_id)
        return answer

    def _decode(self, encoded: bytes, model: ServedModel) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The image as it was sent and as the model takes it, both (H, W, 3) RGB."""
        image_hwc = decode_image(encoded, max_pixels=self._settings.max_pixels)
        return image_hwc, model.fit(image_hwc)

    def _decode_padded(
        self, encoded: bytes, model: ServedModel, rendering: Rendering
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """The same, and what the graph gets: (1, H, W, 3)."""
        image_hwc, input_hwc = self._decode(encoded, model)
        return image_hwc, input_hwc, rendering.padded(input_hwc)

    def _encode(
        self,
        rendering: Rendering,
        image_hwc: NDArray[np.uint8],
        input_hwc: NDArray[np.uint8],
        outputs: dict[str, NDArray[Any]],
    ) -> tuple[bytes, NDArray[np.uint8]]:
        """The answer's body, and the mask (H, W) at the size of the model's input."""
        maps = rendering.maps(outputs, input_hwc)
        return rendering.encode(image_hwc, input_hwc, maps), maps[MASK]
