"""What the measuring process and the process with MLPerf's LoadGen say to each other."""

from pathlib import Path
from typing import Literal

from bench.load.config import Scenario, ScenarioConfig
from bench.load.target import Target
from bench.messages import Message


class LoadgenOrder(Message):
    """Run one scenario."""

    do: Literal["loadgen"] = "loadgen"
    target: Target
    scenario: Scenario
    config: ScenarioConfig
    expected_latency_ms: float
    """Of one query of SingleStream or MultiStream: LoadGen lays out so many queries beforehand."""
    rate: float
    """Queries per second of Server, samples per second expected of Offline."""
    timeout_seconds: float
    seed: int
    folder: Path
    """For its logs; it is there."""


class LoadgenDone(Message):
    """Reply; the figures are in the logs."""

    seconds: float
    failed: dict[str, int]
    """How samples failed -> how many. LoadGen itself does not know of failures."""
