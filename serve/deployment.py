"""One loaded model in service: how many requests it answers now, and how it leaves."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serve.batching.line import Line
from serve.lane import Lane
from serve.model import Replay, ServedModel
from serve.timing import Timings

T = TypeVar("T")


class Deployment:
    """A model that was replayed, and where its images are computed."""

    def __init__(
        self, model: ServedModel, replay: Replay, source: Path, lane: Lane, line: Line | None = None
    ) -> None:
        self.model = model
        self.line = line
        """Joins its requests with each other; None where each runs alone."""
        self.replay = replay
        self.source = source
        """The package's folder."""
        self._lane = lane
        self._in_use = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def name(self) -> str:
        return self.model.manifest.name

    @property
    def version(self) -> str:
        return self.model.manifest.version

    @property
    def in_use(self) -> int:
        """Requests that hold it."""
        return self._in_use

    @contextmanager
    def use(self) -> Iterator["Deployment"]:
        """Hold it: a deployment that is replaced leaves when nobody does."""
        self._in_use += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self._in_use -= 1
            if not self._in_use:
                self._idle.set()

    async def run(self, timings: Timings, work: Callable[..., T], *args: object) -> T:
        """`work(*args)`, which counts its own stages, where the graph is computed: one after the other."""
        return await self._lane.run(timings, None, work, *args)

    def coming(self) -> AbstractContextManager[None]:
        """While an image is being decoded for `infer`: others may wait for it."""
        return nullcontext() if self.line is None else self.line.coming()

    def finishing(self) -> AbstractContextManager[None]:
        """While what `infer` gave becomes an answer: how long that takes, later requests need to know."""
        return nullcontext() if self.line is None else self.line.finishing()

    async def infer(
        self, images_nhwc: NDArray[np.uint8], timings: Timings, deadline: float
    ) -> dict[str, NDArray[Any]]:
        """All outputs of the graph for uint8 RGB (N, H, W, 3). Raises ShapeError for what does not fit.

        deadline: when the answer must be there, by `time.perf_counter`. Where requests are joined, one that
        is over it is not begun, and TimeoutError raised.
        """
        if self.line is not None:
            return await self.line.infer(images_nhwc, deadline, timings)
        return await self._lane.run(timings, "infer", self.model.runtime.run, images_nhwc)

    async def retire(self) -> None:
        """Wait for the last request that holds it, then free its memory."""
        await self._idle.wait()
        if self.line is not None:
            await self.line.settle()
        self.model.runtime.close()
