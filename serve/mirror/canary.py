"""The canary of one process: a new version that computes a share of the images beside the old one."""

import asyncio
from contextlib import ExitStack
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from serve.deployment import Deployment
from serve.mirror.metrics import MirrorMetrics
from serve.mirror.mirror import Fate, Frame, Mirror
from serve.mirror.settings import CanarySettings
from serve.mirror.tally import Tally, compare_masks

ROLE = "canary"


class Canary:
    """Clients get the old one's answers until the trial is won: a bad canary costs none of them anything."""

    def __init__(
        self, deployment: Deployment, incumbent: Deployment, rules: CanarySettings, metrics: MirrorMetrics
    ) -> None:
        self.deployment = deployment
        self.incumbent = incumbent
        """The old one. Held, as the new one: neither leaves during the trial, whatever is loaded."""
        self._rules = rules
        self.tally = Tally(incumbent.model.manifest.labels.num_classes)
        self._metrics = metrics
        self._mirror = Mirror(ROLE, rules.share, self._look, self._count)
        self._held = ExitStack()
        for held in (incumbent, deployment):
            self._held.enter_context(held.use())

    def offer(self, frame: Frame) -> None:
        """An answered image; from any thread."""
        if frame.deployment is self.incumbent:
            self._mirror.offer(frame)

    async def end(self) -> None:
        """Let go of both when the image in work is done."""
        await asyncio.to_thread(self._mirror.close)
        self._held.close()

    def close(self) -> None:
        """At the end of the service."""
        self._mirror.close()
        self.deployment.model.runtime.close()

    def _look(self, frame: Frame) -> None:
        """Both graphs are timed here, in turns the one or the other first: an answer's own time was taken at
        another priority, and would not compare.
        """
        old_goes_first = self.tally.compared % 2 == 0
        if old_goes_first:
            _, old_s = _timed(self.incumbent, frame)
        mask_hw, new_s = _timed(self.deployment, frame)
        if not old_goes_first:
            _, old_s = _timed(self.incumbent, frame)
        labels = self.incumbent.model.manifest.labels
        confusion = compare_masks(frame.mask_hw, mask_hw, labels.num_classes)
        self._metrics.observe(ROLE, frame.deployment.model.title, labels.names, confusion, new_s)
        self.tally.slower += new_s > self._rules.max_latency_factor * old_s
        self.tally.take(confusion)

    def _count(self, frame: Frame, fate: Fate) -> None:
        self._metrics.count(ROLE, frame.deployment.model.title, fate)
        if fate == "failed":
            self.tally.failed += 1
        elif fate == "dropped":
            self.tally.dropped += 1


def _timed(deployment: Deployment, frame: Frame) -> tuple[NDArray[np.uint8], float]:
    """Its mask (H, W) of a frame, and the seconds that its graph took."""
    input_hwc = deployment.model.fit(frame.image_hwc)
    begun = perf_counter()
    mask_hw = deployment.model.infer(input_hwc)
    return mask_hw, perf_counter() - begun
