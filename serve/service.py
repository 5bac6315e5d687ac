"""The service of one process: its state, and the way of an image through the stages."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import SegError
from modelpack.pixels import check_header, decode_image
from modelpack.preprocess import resize_mask
from serve.admission import Admission
from serve.control import Order
from serve.deployment import Deployment
from serve.errors import DeadlineError, NotReadyError
from serve.formats import Answer, Format
from serve.lane import Lane
from serve.metrics import Metrics
from serve.model import ServedModel
from serve.repository import Repository
from serve.settings import ServeSettings
from serve.timing import Timings
from serve.uploads import image_in

T = TypeVar("T")
State = Literal["starting", "ready", "draining", "failed"]

CODEC_THREADS = 2
INLINE_BYTES = 256 * 1024
"""Bodies up to this size are taken apart on the event loop: that costs less than a change of thread."""


class Service:
    """Loads its models in the background, then answers. Everything slow runs in threads of its own."""

    def __init__(self, settings: ServeSettings, metrics: Metrics, repository: Repository) -> None:
        self.state: State = "starting"
        self._settings = settings
        self._metrics = metrics
        self._reason = "the model is being loaded."
        self._repository = repository
        self._admission = Admission(settings.active, settings.queue_length, metrics)
        threads = CODEC_THREADS if settings.codec_threads == "auto" else settings.codec_threads
        self._codecs = Lane("codec", threads) if threads else None

    async def load(self, agreed: Sequence[Order]) -> None:
        """Open, check and replay the packages, then carry out what was agreed; `state` is `ready` afterwards.

        Raises what `load_model` raises, and then `state` is `failed`.
        """
        try:
            await self._repository.load_first()
            for order in agreed:
                await self._repository.orders[order["do"]](order)
        except BaseException as error:
            self.state = "failed"
            self._reason = (
                f"the model failed to load: {error if isinstance(error, SegError) else 'see the log.'}"
            )
            raise
        if self.state == "starting":
            self.state = "ready"
            self._metrics.ready.set(1)

    @property
    def model(self) -> ServedModel:
        """The default model. Raises NotReadyError before there is one."""
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
        self._repository.close()

    async def segment(
        self,
        body: bytes,
        content_type: str,
        response_format: Format,
        timings: Timings,
        deployment: Deployment,
    ) -> bytes:
        """One upload to one encoded answer of one model.

        Raises an ImageError or RequestError for what is wrong with it, OverloadedError when the queue is full
        and DeadlineError when the time is over. Cancelled, it costs at most the stage that is running.
        """
        model = deployment.model
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                if len(body) <= INLINE_BYTES:
                    encoded = self._take_apart(body, content_type)
                else:
                    with timings.stage("read"):
                        encoded = await asyncio.to_thread(self._take_apart, body, content_type)
                async with self._admission.turn(timings):
                    if self._codecs is None:
                        return await deployment.run(
                            timings, self._in_one_go, encoded, model, response_format, timings
                        )
                    image_hwc, input_hwc = await self._codecs.run(
                        timings, "decode", self._decode, encoded, model
                    )
                    mask_hw = await deployment.infer_mask(input_hwc, timings)
                    return await self._codecs.run(
                        timings, "encode", _encode, image_hwc, mask_hw, response_format, model
                    )
        except TimeoutError:
            raise DeadlineError(
                f"no answer within {self._settings.deadline_s:g} s; send smaller images or fewer at once."
            ) from None

    async def in_turn(
        self,
        deployment: Deployment,
        decode: Callable[[], NDArray[np.uint8]],
        encode: Callable[[dict[str, NDArray[Any]]], T],
        timings: Timings,
    ) -> T:
        """Wait for a turn; then from `decode`'s images (N, H, W, 3) through the graph to what `encode` makes.

        Raises OverloadedError when the queue is full, and what the stages raise. Deadlines are the caller's.
        """

        def in_one_go() -> T:
            with timings.stage("decode"):
                images_nhwc = decode()
            with timings.stage("infer"):
                outputs = deployment.model.runtime.run(images_nhwc)
            with timings.stage("encode"):
                return encode(outputs)

        async with self._admission.turn(timings):
            if self._codecs is None:
                return await deployment.run(timings, in_one_go)
            images_nhwc = await self._codecs.run(timings, "decode", decode)
            outputs = await deployment.infer(images_nhwc, timings)
            return await self._codecs.run(timings, "encode", encode, outputs)

    def _take_apart(self, body: bytes, content_type: str) -> bytes:
        """The encoded image, whose header was found to be within the limits."""
        encoded = image_in(body, content_type)
        check_header(encoded, max_pixels=self._settings.max_pixels)
        return encoded

    def _in_one_go(
        self, encoded: bytes, model: ServedModel, response_format: Format, timings: Timings
    ) -> bytes:
        with timings.stage("decode"):
            image_hwc, input_hwc = self._decode(encoded, model)
        with timings.stage("infer"):
            mask_hw = model.infer(input_hwc)
        with timings.stage("encode"):
            return _encode(image_hwc, mask_hw, response_format, model)

    def _decode(self, encoded: bytes, model: ServedModel) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The image as it was sent and as the model takes it, both (H, W, 3) RGB."""
        image_hwc = decode_image(encoded, max_pixels=self._settings.max_pixels)
        return image_hwc, model.fit(image_hwc)


def _encode(
    image_hwc: NDArray[np.uint8], mask_hw: NDArray[np.uint8], response_format: Format, model: ServedModel
) -> bytes:
    height, width = image_hwc.shape[:2]
    mask_hw = resize_mask(mask_hw, height, width)
    return response_format.encode(
        Answer(image_hwc, mask_hw, model.manifest.labels, model.title, model.origin)
    )
