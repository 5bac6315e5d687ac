"""A process that says what could serve a package, or does a worker's work for a moment and counts."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from statistics import median
from threading import Lock
from typing import TextIO

import cv2
import numpy as np
from prometheus_client import CollectorRegistry

from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.replay import MASK
from modelpack.runtimes import RUNTIMES, choose
from modelpack.runtimes.choice import RULES, Device
from modelpack.runtimes.runtime import RuntimeClass
from modelpack.settings import StrictModel
from modelpack.tables import resolve
from serve.auto.joined_work import work_joined
from serve.auto.messages import Order, Ready, Survey, Unfit, Worked
from serve.batching.line import open_line
from serve.batching.metrics import BatchMetrics
from serve.batching.scheduler import Scheduler
from serve.formats import FORMATS, Options
from serve.model import ServedModel, load_model
from serve.rendering import Rendering
from serve.settings import ServeSettings

WARM_UP_S = 0.2
BLANK_SIZE = (360, 480)


def main(orders: TextIO, replies: TextIO) -> None:
    """One order, one or two replies."""

    def reply(message: StrictModel) -> None:
        replies.write(message.model_dump_json() + "\n")
        replies.flush()

    order = Order.model_validate_json(orders.readline())
    try:
        if order.seconds is None:
            reply(survey(order.settings))
            return
        images, rendering, model = prepare(order.settings)
    except SegError as error:
        reply(Unfit(error=str(error)))
        return
    reply(Ready())
    if orders.readline():
        reply(work(images, rendering, model, order.settings, order.seconds))


def survey(settings: ServeSettings) -> Survey:
    """The artifact that the rules choose, and all runtimes that they would let answer with it here.

    Raises what `modelpack.runtimes.choose` raises.
    """
    package = ModelPackage.open(settings.package, trusted_keys=settings.trusted_keys)
    chosen = choose(package, device=settings.device, artifact=settings.artifact, runtime=settings.runtime)
    artifact = package.artifact(chosen.artifact)
    device: Device = "cuda" if chosen.device == "cuda" else "cpu"
    runtimes = [chosen.runtime]
    if settings.runtime is None:
        runtimes += [
            name
            for rule in RULES
            if (rule.device, rule.kind, rule.precision) == (device, artifact.kind, artifact.precision)
            for name in rule.runtimes
            if name != chosen.runtime and _can_run(name, package.path / artifact.path, device)
        ]
    return Survey(
        artifact=artifact.name,
        runtimes=tuple(dict.fromkeys(runtimes)),
        on_gpu=device == "cuda",
        why=chosen.reason,
    )


def prepare(settings: ServeSettings) -> tuple[list[bytes], Rendering, ServedModel]:
    """Encoded images, and the way to an answer: the package is opened, checked and replayed as in a worker.

    Raises what `load_model` raises.
    """
    model, _ = load_model(settings)
    package = ModelPackage.open(settings.package, verify=False)
    images = [image for _, image, _ in package.samples()] or [blank_image(model)]
    return images, Rendering(model, FORMATS["png"], Options()), model


def work(
    images: Sequence[bytes], rendering: Rendering, model: ServedModel, settings: ServeSettings, seconds: float
) -> Worked:
    """Answer images as a worker does whose clients never pause: one at a time, or joined where that is so."""
    scheduler = Scheduler(BatchMetrics(CollectorRegistry()))
    if (line := open_line(model, settings, scheduler)) is not None:
        joined = work_joined(images, rendering, model, line, settings, warm_up_s=WARM_UP_S, seconds=seconds)
        worked = asyncio.run(joined)
        scheduler.close()
        return worked
    codec_threads = settings.codec_threads if settings.codec_threads != "auto" else 0
    turn, requests = Lock(), cycle(images)
    begun_s = time.perf_counter()

    def answer(image: bytes) -> None:
        image_hwc = decode_image(image, max_pixels=settings.max_pixels)
        input_hwc = model.fit(image_hwc)
        with turn:
            mask_hw = model.infer(input_hwc)
        rendering.encode(image_hwc, input_hwc, {MASK: mask_hw})

    def one_after_the_other(_: int) -> list[float]:
        took_s: list[float] = []
        while (start_s := time.perf_counter()) < begun_s + WARM_UP_S + seconds or not took_s:
            answer(next(requests))
            if start_s >= begun_s + WARM_UP_S:
                took_s.append(time.perf_counter() - start_s)
        return took_s

    callers = codec_threads + 1
    with ThreadPoolExecutor(callers) as pool:
        took_s = [entry for part in pool.map(one_after_the_other, range(callers)) for entry in part]
    return Worked(
        images=len(took_s),
        seconds=time.perf_counter() - begun_s - WARM_UP_S,
        median_ms=median(took_s) * 1e3,
    )


def blank_image(model: ServedModel) -> bytes:
    """For a package without samples: a JPEG of the model's input size, or of a usual one."""
    height, width = BLANK_SIZE
    resizing = model.manifest.resizing
    size = resizing.height or height, resizing.width or width
    _, encoded = cv2.imencode(".jpg", np.zeros((*size, 3), np.uint8))
    return bytes(encoded)


def _can_run(runtime: str, file: Path, device: Device) -> bool:
    try:
        found: RuntimeClass = resolve(RUNTIMES[runtime])
    except RuntimeUnavailableError:
        return False
    return found.obstacle(file, device) is None


if __name__ == "__main__":
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no reply
    main(sys.stdin, protocol)
