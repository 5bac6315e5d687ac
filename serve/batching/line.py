"""The way of one model's images to the graph, in company: what may be joined, and the run itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.runtimes.runtime import GatheringRuntime
from serve.batching.bucket import Bucket, Outputs
from serve.batching.contract import is_joining, most_images
from serve.batching.estimate import RunTimes, Size
from serve.model import ServedModel
from serve.settings import ServeSettings
from serve.timing import Timings

if TYPE_CHECKING:
    from serve.batching.scheduler import Scheduler


class Line:
    """One loaded model and the scheduler that it shares with the others."""

    def __init__(self, model: ServedModel, settings: ServeSettings, scheduler: "Scheduler") -> None:
        self.title = model.title
        self.times = RunTimes()
        self.metrics = scheduler.metrics.of(model.title)
        self._model = model
        self._settings = settings.batching
        self._max_pixels = settings.max_pixels
        self._scheduler = scheduler
        self._coming = 0

    @property
    def more_may_come(self) -> bool:
        """Whether images of this model are being decoded."""
        return self._coming > 0

    @contextmanager
    def coming(self) -> Iterator[None]:
        """An image is on its way; runs wait for it, within `max_delay_ms`."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._scheduler.look_soon()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """The way from the graph's outputs to an answer."""
        begun = perf_counter()
        yield
        self.times.add_finishing(perf_counter() - begun)

    async def infer(self, images_nhwc: NDArray[np.uint8], deadline: float, timings: Timings) -> Outputs:
        """See `Scheduler.infer`."""
        return await self._scheduler.infer(self, images_nhwc, deadline, timings)

    async def settle(self) -> None:
        """Wait for a run that has begun: the clients that it was for may be gone."""
        await self._scheduler.settle()

    def compute(self, images_nhwc: Sequence[NDArray[np.uint8]]) -> Outputs:
        """All images in one run. Takes a thread's time."""
        runtime = self._model.runtime
        if isinstance(runtime, GatheringRuntime):
            return runtime.run_gathered(images_nhwc)
        return runtime.run(images_nhwc[0] if len(images_nhwc) == 1 else np.concatenate(images_nhwc))

    def new_bucket(self, size: Size) -> Bucket:
        """An empty one for images of that size."""
        most = self._most(size)
        full = sorted({most, *(number for number in self._settings.preferred_sizes if number < most)})
        return Bucket(size, full, self._settings.max_delay_ms / 1000, self.times)

    def warm_up(self) -> None:
        """Run every number of images twice, the second time to know how long it takes.

        The first run of a shape is a slow one on a GPU (kernels are chosen for it). Takes a thread's time. Of
        a model that takes any size nothing is known beforehand. Raises RuntimeUnavailableError where so many
        are too many for the device.
        """
        height, width = self._model.manifest.resizing.height, self._model.manifest.resizing.width
        if height is None or width is None:
            return
        image = np.zeros((1, height, width, 3), np.uint8)
        for number in range(1, self.most_images + 1):
            try:
                self.compute([image] * number)
                begun = perf_counter()
                self.compute([image] * number)
            except SegError as error:
                raise RuntimeUnavailableError(
                    f"{self.title} fails with {number} images in a run: {error} Set batching.max_images to "
                    "fewer, or batching.enabled=false."
                ) from error
            self.times.add((height, width), number, perf_counter() - begun)

    @property
    def most_images(self) -> int:
        """In one run; of a model that takes any size, where the artifact sets no limit of its own."""
        resizing = self._model.manifest.resizing
        if resizing.height is None or resizing.width is None:
            return self._settings.max_images
        return self._most((resizing.height, resizing.width))

    def describe(self) -> dict[str, Any]:
        """The limits that hold for this model, as plain JSON types."""
        most = self.most_images
        return {
            "max_images": most,
            "max_delay_ms": self._settings.max_delay_ms,
            "preferred_sizes": sorted(size for size in self._settings.preferred_sizes if size < most),
        }

    def _most(self, size: Size) -> int:
        height, width = size
        allowed = most_images(self._model.manifest, self._model.artifact, size)
        affordable = max(1, self._max_pixels // (height * width))
        return min(self._settings.max_images, affordable, *([] if allowed is None else [allowed]))


def open_line(model: ServedModel, settings: ServeSettings, scheduler: "Scheduler") -> Line | None:
    """None where its requests are not joined: nobody wants that, or it takes one image at a time.

    On a GPU all numbers of images are tried out first; takes a thread's time, and raises as `Line.warm_up`.
    """
    device = model.runtime.device
    if not is_joining(settings.batching, device, has_codec_threads=settings.codec_threads != 0):
        return None
    line = Line(model, settings, scheduler)
    if line.most_images == 1:
        return None
    if device.startswith("cuda"):
        line.warm_up()
    return line
