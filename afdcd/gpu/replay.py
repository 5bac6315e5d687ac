"""Step `replay`: the golden files of the authors' code, recomputed on the device."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afdcd.gpu.step import Context, Note, StepSkippedError
from distill.replay import replay
from modelpack.errors import GateError

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"


def run(context: Context, note: Note) -> None:
    files = sorted(GOLDEN.glob("*.npz"))
    if not files:
        raise StepSkippedError(f"there are no golden files in {GOLDEN}: this is no checkout")
    rows = replayed(files, context.device)
    note("files", rows)
    failures = [f"{row['file']} {row['dtype']}" for row in rows if row["verdict"] == "FAIL"]
    if failures:
        raise GateError(f"{len(failures)} of {len(rows)} comparisons fail: {', '.join(failures)}.")


def replayed(files: Sequence[Path], device: str) -> list[dict[str, Any]]:
    """One row for each line that `afdcd distill replay --device` prints."""
    rows = []
    for line in replay(files, device):
        verdict = "skip" if line.skipped is not None else "FAIL" if line.is_failure else "ok"
        errors = line.comparison.worst if line.comparison is not None else {}
        row: dict[str, Any] = {"file": Path(line.file).name, "dtype": line.dtype, "verdict": verdict}
        row |= {f"{name}_rel_err": error for name, error in errors.items()}
        row |= {"reason": line.reason} if line.reason else {}
        rows.append(row)
    return rows
