"""One package in service: its state, and the way of an image through the stages."""

import asyncio
import logging
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import SegError
from modelpack.pixels import check_header, decode_image
from modelpack.preprocess import resize_mask
from serve.admission import Admission
from serve.errors import DeadlineError, NotReadyError
from serve.formats import Answer, Format
from serve.lane import Lane
from serve.metrics import Metrics
from serve.model import ServedModel, load_model
from serve.settings import ServeSettings
from serve.timing import Timings
from serve.uploads import image_in

logger = logging.getLogger(__name__)

State = Literal["starting", "ready", "draining", "failed"]

INLINE_BYTES = 256 * 1024
"""Bodies up to this size are taken apart on the event loop: that costs less than a change of thread."""


class Service:
    """Loads the model in the background, then answers. Everything slow runs in threads of its own."""

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.state: State = "starting"
        self._settings = settings
        self._metrics = metrics
        self._reason = "the model is being loaded."
        self._model: ServedModel | None = None
        self._admission = Admission(settings.active, settings.queue_length, metrics)
        self._codecs = Lane("codec", settings.codec_threads)
        self._inference = Lane("infer", 1)

    async def load(self) -> None:
        """Open, check and replay the package; `state` is `ready` afterwards.

        Raises what `load_model` raises, and then `state` is `failed`.
        """
        try:
            model, replay = await asyncio.to_thread(load_model, self._settings)
        except BaseException as error:
            self.state = "failed"
            self._reason = (
                f"the model failed to load: {error if isinstance(error, SegError) else 'see the log.'}"
            )
            raise
        self._model = model
        if self.state == "starting":
            self.state = "ready"
            self._metrics.ready.set(1)
        logger.info("%s is loaded, %s", model.title, replay)

    @property
    def model(self) -> ServedModel:
        """The loaded model. Raises NotReadyError before there is one."""
        if self._model is None:
            raise self.not_ready()
        return self._model

    def not_ready(self) -> NotReadyError:
        return NotReadyError(self._reason, retry_after_s=1)

    def start_draining(self) -> None:
        """Readiness turns false; what arrives is still answered until the port is closed."""
        self.state, self._reason = "draining", "the service is shutting down."
        self._metrics.ready.set(0)

    def close(self) -> None:
        """Stop the threads and free the device. Called when no request is in flight."""
        self._codecs.close()
        self._inference.close()
        if self._model is not None:
            self._model.runtime.close()

    async def segment(
        self, body: bytes, content_type: str, response_format: Format, timings: Timings
    ) -> bytes:
        """One upload to one encoded answer.

        Raises an ImageError or RequestError for what is wrong with it, OverloadedError when the queue is full
        and DeadlineError when the time is over. Cancelled, it costs at most the stage that is running.
        """
        model = self.model
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                if len(body) <= INLINE_BYTES:
                    encoded = self._take_apart(body, content_type)
                else:
                    encoded = await self._codecs.run(timings, "read", self._take_apart, body, content_type)
                async with self._admission.turn(timings):
                    image_hwc, input_hwc = await self._codecs.run(timings, "decode", self._decode, encoded)
                    mask_hw = await self._inference.run(timings, "infer", model.infer, input_hwc)
                    return await self._codecs.run(
                        timings, "encode", self._encode, image_hwc, mask_hw, response_format
                    )
        except TimeoutError:
            raise DeadlineError(
                f"no answer within {self._settings.deadline_s:g} s; send smaller images or fewer at once."
            ) from None

    def _take_apart(self, body: bytes, content_type: str) -> bytes:
        """The encoded image, whose header was found to be within the limits."""
        encoded = image_in(body, content_type)
        check_header(encoded, max_pixels=self._settings.max_pixels)
        return encoded

    def _decode(self, encoded: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The image as it was sent and as the model takes it, both (H, W, 3) RGB."""
        image_hwc = decode_image(encoded, max_pixels=self._settings.max_pixels)
        return image_hwc, self.model.fit(image_hwc)

    def _encode(
        self, image_hwc: NDArray[np.uint8], mask_hw: NDArray[np.uint8], response_format: Format
    ) -> bytes:
        height, width = image_hwc.shape[:2]
        model = self.model
        answer = Answer(image_hwc, resize_mask(mask_hw, height, width), model.manifest.labels, model.title)
        return response_format.encode(answer)
