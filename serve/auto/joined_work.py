"""A worker's work for a moment, where images of several requests become one run."""

import asyncio
from collections.abc import Sequence
from itertools import cycle
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from modelpack.pixels import decode_image
from serve.auto.messages import Worked
from serve.batching.line import Line
from serve.lane import Lane
from serve.model import ServedModel
from serve.rendering import Rendering
from serve.settings import ServeSettings
from serve.timing import Timings

CLIENTS_PER_PLACE = 2
"""For each image that a run may have: while one run computes, the next one is made ready."""

Images = NDArray[np.uint8]


async def work_joined(
    images: Sequence[bytes],
    rendering: Rendering,
    model: ServedModel,
    line: Line,
    settings: ServeSettings,
    *,
    warm_up_s: float,
    seconds: float,
) -> Worked:
    """Answer images of clients that never pause, as many of them as keep the runs full."""
    codecs = Lane("codec", 1 if settings.codec_threads == "auto" else settings.codec_threads)
    requests = cycle(images)
    begun_s = perf_counter()
    took_s: list[float] = []

    def decode(image: bytes) -> tuple[Images, Images, Images]:
        image_hwc = decode_image(image, max_pixels=settings.max_pixels)
        input_hwc = model.fit(image_hwc)
        return image_hwc, input_hwc, rendering.padded(input_hwc)

    async def answer(image: bytes) -> None:
        timings = Timings()
        with line.coming():
            image_hwc, input_hwc, padded_nhwc = await codecs.run(timings, "decode", decode, image)
        outputs = await line.infer(padded_nhwc, perf_counter() + settings.deadline_s, timings)
        with line.finishing():
            maps = rendering.maps(outputs, input_hwc)
            await codecs.run(timings, "encode", rendering.encode, image_hwc, input_hwc, maps)

    async def be_a_client() -> None:
        while (start_s := perf_counter()) < begun_s + warm_up_s + seconds or not took_s:
            await answer(next(requests))
            if start_s >= begun_s + warm_up_s:
                took_s.append(perf_counter() - start_s)

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS_PER_PLACE * line.most_images):
            clients.create_task(be_a_client())
    recorded_s = perf_counter() - begun_s - warm_up_s
    codecs.close()
    return Worked(images=len(took_s), seconds=recorded_s, median_ms=median(took_s) * 1e3)
