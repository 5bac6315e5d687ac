"""Step `export`: the student in fp32 and fp16, held against the network on CUDA and on the CPU."""

import json
from pathlib import Path
from typing import Any

from afdcd.gpu.step import Context, Note, StepSkippedError
from distill.run import RESULT_FILE
from export.build import export_model
from export.config import ExportConfig
from export.errors import StageError
from export.gate import PARITY_FILE
from modelpack.errors import GateError

TARGETS = ("onnx-fp32", "onnx-fp16")
CPU_IMAGES = 16
"""Of the split; a GPU machine's CPU takes too long for all of them."""
SHOWN = ("artifact", "images", "agreement", "agreement_confident", "miou_reference", "miou_artifact")
SHOWN_ERRORS = ("miou_difference_points", "max_logit_error", "non_finite_logits")


def run(context: Context, note: Note) -> None:
    if not (context.student_run / RESULT_FILE).is_file():
        raise StepSkippedError("there is no finished student to export")
    limits = {context.device: None} if context.device == "cpu" else {context.device: None, "cpu": CPU_IMAGES}
    rows: list[dict[str, Any]] = []
    refusals: list[str] = []
    for device, most_images in limits.items():
        package = context.package if device == context.device else context.work / f"package-{device}"
        built, refused = build(context.student_run, package, device, most_images)
        rows += built
        refusals += [f"on {device}: {refusal}" for refusal in refused]
        note("parity", rows)
        note("refused", refusals)
    if refusals:
        raise GateError(" ".join(refusals))


def build(
    run_dir: Path, package: Path, device: str, most_images: int | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Parity of each artifact, and what the gate refused: without a refused target the others still ship."""
    targets, refusals = list(TARGETS), []
    while targets:
        config = ExportConfig.model_validate(
            {
                "run_dir": run_dir,
                "package_dir": package,
                "name": "published-pair-student",
                "replace": True,
                "targets": tuple(targets),
                "device": device,
                "parity": {"max_images": most_images},
            }
        )
        try:
            folder = export_model(config).path
        except StageError as error:
            refusals.append(str(error))
            if error.stage not in targets:
                break  # the network itself is refused
            targets.remove(error.stage)
        else:
            report = json.loads((folder / "reports" / PARITY_FILE).read_text(encoding="utf-8"))
            return [_row(device, report, artifact) for artifact in report["artifacts"]], refusals
    return [], refusals


def _row(device: str, report: dict[str, Any], artifact: dict[str, Any]) -> dict[str, Any]:
    figures = {key: artifact[key] for key in SHOWN + SHOWN_ERRORS}
    return {"device": device, "dataset": report["dataset"], "split": report["split"], **figures}
