"""A runtime whose every call takes as long as its file says: the truth that the tool must find."""

import json
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modelpack.settings import StrictModel

SPIN_NS = 1_000_000
"""The end of each delay is spun: sleeping alone overshoots by what the scheduler likes."""
NS_PER_MS = 1e6
MEBIBYTE = 1 << 20
RECORD_SUFFIX = ".calls"
"""Of the file beside the behaviour: float64 milliseconds of every call."""


class Behaviour(StrictModel):
    """What a fake graph does; stands as JSON where a real package has its graph."""

    first_ms: tuple[float, ...] = ()
    """Durations of the first calls: a cold cache."""
    cycle_ms: tuple[float, ...] = Field(min_length=1)
    """Durations of the calls after those, again and again."""
    growth_per_call: float = 0.0
    """Share by which every call takes longer than the one before: a machine that gets hot."""
    allocates_mebibytes: int = 0
    """Held from the first call on."""

    def delay_ms(self, call: int) -> float:
        """Of the `call`-th call, from 0."""
        if call < len(self.first_ms):
            return self.first_ms[call]
        return (
            self.cycle_ms[(call - len(self.first_ms)) % len(self.cycle_ms)]
            * (1 + self.growth_per_call) ** call
        )


class KnownDelay:
    """Sleeps, then spins until the delay is over by its own reading of the monotonic clock.

    A busy machine makes calls longer than was asked for, so what each really took is recorded.
    """

    name: ClassVar[str] = "known-delay"
    artifact_kinds: ClassVar[frozenset[str]] = frozenset({"onnx"})
    provider = "sleep and spin"
    device = "cpu"

    def __init__(
        self, model_path: Path | str, *, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0
    ) -> None:
        del device, threads
        self._behaviour = Behaviour.model_validate(json.loads(Path(model_path).read_text(encoding="utf-8")))
        self._calls = 0
        self._record = Path(model_path).with_suffix(RECORD_SUFFIX).open("wb")
        self._ballast = np.zeros(0, np.uint8)

    @classmethod
    def obstacle(cls, model_path: Path, device: Literal["cpu", "cuda"]) -> str | None:
        del model_path, device
        return None

    def run(self, images_nhwc_u8: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        begun_ns = time.monotonic_ns()
        deadline_ns = begun_ns + int(self._next_delay_ms() * NS_PER_MS)
        if not len(self._ballast):
            self._ballast = np.ones(self._behaviour.allocates_mebibytes * MEBIBYTE, np.uint8)
        answer = {"mask": np.zeros(images_nhwc_u8.shape[:3], np.uint8)}
        self._wait_until(deadline_ns)
        self._record.write(np.float64((time.monotonic_ns() - begun_ns) / NS_PER_MS).tobytes())
        return answer

    def describe(self) -> dict[str, Any]:
        return {"runtime": self.name, **self._behaviour.model_dump()}

    def close(self) -> None:
        self._ballast = np.zeros(0, np.uint8)
        self._record.close()

    def _wait_until(self, deadline_ns: int) -> None:
        rest_ns = deadline_ns - time.monotonic_ns() - SPIN_NS
        if rest_ns > 0:
            time.sleep(rest_ns * 1e-9)
        while time.monotonic_ns() < deadline_ns:
            pass

    def _next_delay_ms(self) -> float:
        delay_ms = self._behaviour.delay_ms(self._calls)
        self._calls += 1
        return delay_ms
