"""What `/v2` has done with each model, as Triton counts it: of one process, and summed over all."""

from collections.abc import Iterable, Mapping
from time import time
from typing import Any
from weakref import WeakKeyDictionary

from serve.control import Order, Outcome
from serve.deployment import Deployment
from serve.timing import Timings

STAGES = {"compute_input": "decode", "compute_infer": "infer", "compute_output": "encode"}
"""The protocol's name to the stage of `Timings`."""
NEVER_USED = ("cache_hit", "cache_miss")
"""There is no cache of answers."""
COUNTED = ("success", "fail", "queue", *STAGES, *NEVER_USED)

Counts = dict[str, Any]
"""inference_count (images), execution_count (runs), last_inference (ms since 1970), inference_stats and,
by batch size, batch_stats; their leaves are {count, ns}."""


class Statistics:
    """Counts of one process. A model that is loaded again starts from nothing."""

    def __init__(self) -> None:
        self._counts: WeakKeyDictionary[Deployment, Counts] = WeakKeyDictionary()

    def succeeded(self, deployment: Deployment, batch_size: int, timings: Timings, seconds: float) -> None:
        """One request; a run that it shared counts with its first request, at the size of the whole run."""
        counts = self._of(deployment)
        stages_ms = timings.stages_ms
        run_size, leads_run = timings.run or (batch_size, True)
        counts["inference_count"] += batch_size
        counts["execution_count"] += leads_run
        counts["last_inference"] = int(time() * 1000)
        stats = counts["inference_stats"]
        _count(stats["success"], seconds)
        _count(stats["queue"], (stages_ms.get("queue", 0.0) + stages_ms.get("batch", 0.0)) / 1000)
        for name, stage in STAGES.items():
            _count(stats[name], stages_ms.get(stage, 0.0) / 1000)
        if leads_run:
            batch = counts["batch_stats"].setdefault(str(run_size), {name: _nothing() for name in STAGES})
            for name, stage in STAGES.items():
                _count(batch[name], stages_ms.get(stage, 0.0) / 1000)

    def failed(self, deployment: Deployment, seconds: float) -> None:
        _count(self._of(deployment)["inference_stats"]["fail"], seconds)

    def tell(self, deployments: Iterable[Deployment]) -> dict[str, Counts]:
        """By `NAME:VERSION`, as plain JSON types."""
        return {deployment.model.title: self._of(deployment) for deployment in deployments}

    def _of(self, deployment: Deployment) -> Counts:
        return self._counts.setdefault(deployment, _no_counts())


ASK: Order = {"do": "v2_statistics"}
"""Answered by every process with `models`: what `Statistics.tell` gives."""


def summed(outcome: Outcome, deployments: Iterable[Deployment]) -> list[dict[str, Any]]:
    """`model_stats` of these models over all processes."""
    entries = []
    for deployment in deployments:
        total = _no_counts()
        for answer in outcome.answers:
            _add(total, answer["models"].get(deployment.model.title, {}))
        batches = total.pop("batch_stats")
        batch_stats = [{"batch_size": int(size), **batches[size]} for size in sorted(batches, key=int)]
        entries.append(
            {"name": deployment.name, "version": deployment.version, **total, "batch_stats": batch_stats}
        )
    return entries


def _nothing() -> dict[str, int]:
    return {"count": 0, "ns": 0}


def _no_counts() -> Counts:
    return {
        "last_inference": 0,
        "inference_count": 0,
        "execution_count": 0,
        "inference_stats": {name: _nothing() for name in COUNTED},
        "batch_stats": {},
    }


def _count(duration: dict[str, int], seconds: float) -> None:
    duration["count"] += 1
    duration["ns"] += int(seconds * 1e9)


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    """Sums everywhere, but the latest `last_inference`."""
    for key, value in counts.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(key, {}), value)
        elif key == "last_inference":
            total[key] = max(total[key], value)
        else:
            total[key] = total.get(key, 0) + value
