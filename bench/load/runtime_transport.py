"""Queries to a runtime in this process: what a caller gets without a server in between."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.boundaries import MAX_PIXELS
from bench.load.samples import Outcome, Reply
from bench.load.target import RuntimeTarget
from bench.load.transport import TransportFacts
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes import RUNTIMES, open_best


class RuntimeTransport:
    """See `Transport`. `lanes` threads call the runtime; what finds none free waits, first come first served.

    A query is as many calls of up to `batch` samples as it takes. A call that is running cannot be given up:
    the query counts as timed out when it ends too late.
    """

    def __init__(self, target: RuntimeTarget) -> None:
        RUNTIMES.update(target.runtime_table)
        if target.threads:
            cv2.setNumThreads(target.threads)
        package = ModelPackage.open(target.package, verify=False)
        height, width = target.input_size
        resizing = package.manifest.resizing.model_copy(update={"height": height, "width": width})
        self._images = [
            resizing.resize_image(decode_image(image, max_pixels=MAX_PIXELS)) for image in target.images
        ]
        self._batch = target.batch
        chosen, self._runtime = open_best(
            package,
            artifact=target.artifact,
            runtime=target.runtime,
            device=target.device,
            threads=target.threads,
        )
        self.description = {"artifact": chosen.artifact, **self._runtime.describe()}
        """What answers: names and versions."""
        self._lanes = ThreadPoolExecutor(target.lanes, "lane")

    async def open(self) -> None:
        """One unrecorded call."""
        await asyncio.get_running_loop().run_in_executor(self._lanes, self._call, (0,))

    async def send(self, samples: Sequence[int], deadline_ns: int) -> Reply:
        loop = asyncio.get_running_loop()
        calls = (
            loop.run_in_executor(self._lanes, self._call, samples[start : start + self._batch])
            for start in range(0, len(samples), self._batch)
        )
        starts_ns, ends_ns, sizes = zip(*await asyncio.gather(*calls), strict=True)
        outcome = Outcome.OK if max(ends_ns) <= deadline_ns else Outcome.TIMEOUT
        return Reply(min(starts_ns), max(ends_ns), 0, outcome, sum(sizes))

    def facts(self) -> TransportFacts:
        return TransportFacts()

    async def close(self) -> None:
        """The runtime serves the next loop too, and ends with the process."""

    def _call(self, samples: Sequence[int]) -> tuple[int, int, int]:
        """(start, end, bytes of all outputs) of one call; bringing images together is a part of it."""
        start_ns = time.monotonic_ns()
        images_nhwc: NDArray[np.uint8] = np.stack(
            [self._images[number % len(self._images)] for number in samples]
        )
        outputs = self._runtime.run(images_nhwc)
        return start_ns, time.monotonic_ns(), sum(output.nbytes for output in outputs.values())
