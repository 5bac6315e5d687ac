"""Latency results put together by hand: known samples, no measurement."""

import numpy as np

from bench.config import BOUNDARIES, BenchConfig
from bench.messages import WarmUp
from bench.result import BenchResult, CaseResult, SessionResult
from bench.validity import judge_case, verdict

WARM = WarmUp(runs=10, seconds=1.0, is_stationary=True, window_medians_ms=(1.0, 1.0, 1.0))
ENVIRONMENT = {
    "python": "3.11.9",
    "cpu": {"model": "Planted CPU", "cores": 4, "flags": ["avx512f", "avx512_vnni"]},
    "packages": {"numpy": "2.4.6", "onnxruntime": "1.31.1"},
    "code": "0.1.0+0123456789abcdef",
}


def noise(median_ms, *, rounds=10, runs=30, spread=0.02, drift=0.0, seed=0):
    """Rounds of samples around a median: each round has an offset of its own, as on a real machine."""
    random = np.random.default_rng(seed)
    offsets = random.normal(0, spread, rounds) + np.linspace(0, drift, rounds)
    return tuple(
        tuple((median_ms * (1 + offset + random.normal(0, spread, runs))).tolist()) for offset in offsets
    )


def result_of(rounds_by_artifact, *, label="package", boundary="graph", warm_up=WARM, **changes):
    """A result with one session per artifact; `changes` are fields of BenchResult."""
    cases = tuple(
        CaseResult.of_rounds(
            f"{label} {artifact}",
            boundary,
            1,
            list(rounds),
            peak_memory_bytes=1 << 28,
            warm_up=warm_up,
            verdict=judge_case(rounds, warm_up),
        )
        for artifact, rounds in rounds_by_artifact.items()
    )
    values = {
        "created": "2026-01-02T03:04:05+00:00",
        "seconds": 60.0,
        "verdict": verdict(reason for case in cases for reason in case.verdict.reasons),
        "other_load": 0.01,
        "settings": BenchConfig(packages={label: "package"}),
        "environment": ENVIRONMENT,
        "boundaries": {boundary: BOUNDARIES[boundary]},
        "rules": {},
        "images": (),
        "skipped": (),
        "sessions": tuple(_session(label, artifact) for artifact in rounds_by_artifact),
        "cases": cases,
        "comparisons": (),
    }
    return BenchResult.model_validate({**values, **changes})


def _session(label, artifact):
    return SessionResult(
        name=f"{label} {artifact}",
        label=label,
        package_name="planted",
        package_version="1",
        artifact=artifact,
        precision="fp32",
        sha256="0" * 64,
        size_bytes=1 << 20,
        input_size=(360, 480),
        runtime="onnxruntime",
        threads=1,
        device="cpu",
        provider="CPUExecutionProvider",
        description={"version": "1.31.1"},
        open_ms=12.0,
        claims=(),
    )
