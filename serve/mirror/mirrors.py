"""Everything that looks at the answers of one process, and what all processes say of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from serve.control import Control, Execute, Order
from serve.deployment import Deployment
from serve.mirror.metrics import MirrorMetrics
from serve.mirror.mirror import Frame
from serve.mirror.shadow import Shadow, add_up
from serve.mirror.trial import ASK, Trial
from serve.model import ServedModel
from serve.repository import Repository
from serve.settings import ServeSettings


class Mirrors:
    """The shadow, if there is to be one, and the trial of a canary."""

    def __init__(
        self, settings: ServeSettings, control: Control, repository: Repository, registry: CollectorRegistry
    ) -> None:
        metrics = MirrorMetrics(registry)
        self.trial = Trial(control, repository, metrics)
        self._shadow = None if settings.shadow.package is None else Shadow(settings, metrics)
        self._control = control
        self._loading: asyncio.Task[None] | None = None

    @property
    def orders(self) -> Mapping[str, Execute]:
        return {**self.trial.orders, ASK["do"]: self._tell}

    def load(self, answering: ServedModel) -> None:
        """Begin to load the shadow, beside the answers of this model."""
        if self._shadow is not None:
            self._loading = asyncio.create_task(self._shadow.load(answering))

    def offer(
        self,
        image_hwc: NDArray[np.uint8],
        mask_hw: NDArray[np.uint8],
        deployment: Deployment,
        request_id: str,
    ) -> None:
        """An image, (H, W, 3) RGB, and its answer at the size of the model's input; from any thread."""
        frame = Frame(image_hwc, mask_hw, deployment, request_id)
        self.trial.offer(frame)
        if self._shadow is not None:
            self._shadow.offer(frame)

    async def describe(self) -> dict[str, Any]:
        """`canary` and `shadow` over all processes, None where there is none."""
        outcome = await self._control.ask(ASK)
        shadows = [answer["shadow"] for answer in outcome.answers if answer["shadow"] is not None]
        return {"canary": self.trial.describe(outcome), "shadow": add_up(shadows) if shadows else None}

    def close(self) -> None:
        self.trial.close()
        if self._loading is not None:
            self._loading.cancel()
        if self._shadow is not None:
            self._shadow.close()

    async def _tell(self, order: Order) -> dict[str, Any]:
        shadow = None if self._shadow is None else self._shadow.tell()
        return {"canary": self.trial.tell(), "shadow": shadow}
