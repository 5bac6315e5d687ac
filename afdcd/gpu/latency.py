"""Step `latency`: the package through ONNX Runtime on CUDA and on the CPU."""

from pathlib import Path
from typing import Any

from afdcd.gpu.step import Context, Note, StepSkippedError
from bench.config import BenchConfig
from bench.latency import RESULT_FILE, measure_latency
from bench.result import BenchResult
from modelpack.errors import RuntimeUnavailableError

SETTINGS: dict[str, dict[str, Any]] = {
    "cuda": {"artifacts": "all", "batch_sizes": (1, 4, 16), "seconds": 2.0, "warm_up": {"max_seconds": 8.0}},
    "cpu": {"artifacts": "first", "batch_sizes": (1,), "seconds": 5.0, "warm_up": {"max_seconds": 8.0}},
}


def run(context: Context, note: Note) -> None:
    if not context.package.is_dir():
        raise StepSkippedError("there is no package to measure: the export left none")
    rows: list[dict[str, Any]] = []
    for device in dict.fromkeys((context.device, "cpu")):
        folder = context.out / f"latency-{device}"
        rows += measured(context.package, device, folder, SETTINGS[device])
        note("cases", rows)


def measured(package: Path, device: str, folder: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per case; raw samples and settings stay in `folder`.

    Raises RuntimeUnavailableError where a session ran elsewhere.
    """
    config = BenchConfig.model_validate({"packages": {"student": package}, "device": device, **settings})
    result = measure_latency(config, folder)
    for session in result.sessions:
        if session.device.partition(":")[0] != device:
            raise RuntimeUnavailableError(f"asked for {device}, {session.name} ran on {session.provider}.")
    return _rows(result, device, f"{folder.name}/{RESULT_FILE}")


def _rows(result: BenchResult, device: str, file: str) -> list[dict[str, Any]]:
    rows = []
    for case in result.cases:
        session = result.session(case.session)
        rows.append(
            {
                "device": device,
                "precision": session.precision,
                "size": "x".join(map(str, session.input_size)),
                "boundary": case.boundary,
                "batch": case.batch,
                **{f"p{entry.percent}_ms": entry.value for entry in case.percentiles},
                "images_per_s": case.images_per_second,
                "verdict": str(case.verdict),
                "file": file,
            }
        )
    return rows
