"""The figures of all workers on one page, in Prometheus' text format."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from serve.control import Outcome


def families(registry: CollectorRegistry) -> list[dict[str, Any]]:
    """What one process has counted, as plain JSON types."""
    return [
        {
            "name": family.name,
            "help": family.documentation,
            "type": family.type,
            "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
        }
        for family in registry.collect()
    ]


def render(outcome: Outcome) -> bytes:
    """One page: with several workers each sample names its own, so that a restart resets that one alone."""
    generated: bytes = generate_latest(_Page(outcome))
    return generated


class _Page:
    """What `generate_latest` wants of a registry."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def collect(self) -> Iterator[Metric]:
        answers = sorted(self._outcome.answers, key=lambda answer: answer["worker"])
        merged: dict[str, Metric] = {}
        for answer in answers:
            own = {"worker": str(answer["worker"])} if len(answers) > 1 else {}
            for family in answer["families"]:
                _add(merged, family, own)
        yield from merged.values()
        crew = self._outcome.crew
        yield GaugeMetricFamily("afdcd_workers", "Workers there should be.", crew["workers"])
        yield GaugeMetricFamily("afdcd_workers_alive", "Workers there are.", crew["alive"])
        restarts = Metric("afdcd_worker_restarts", "Workers that had to be replaced.", "counter")
        restarts.add_sample("afdcd_worker_restarts_total", {}, crew["restarts"])
        yield restarts


def _add(merged: dict[str, Metric], family: Mapping[str, Any], own: Mapping[str, str]) -> None:
    metric = merged.setdefault(family["name"], Metric(family["name"], family["help"], family["type"]))
    samples: Sequence[tuple[str, dict[str, str], float]] = family["samples"]
    for name, labels, value in samples:
        metric.add_sample(name, {**labels, **own}, value)
