"""The JSON of one step: written when the step starts, at every result, and when it ends."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from modelpack.atomic import write_json
from modelpack.environment import fingerprint
from modelpack.settings import StrictModel

Status = Literal["running", "finished", "skipped", "interrupted", "failed"]
"""`running` where nothing runs: the machine was taken away. Only what is finished is not repeated."""


class StepRecord(StrictModel):
    """How a step went, where, and what came of it."""

    format_version: Literal[1] = 1
    step: str
    status: Status
    reason: str = ""
    """Why it was skipped, interrupted, or failed."""
    started: str
    """UTC, ISO 8601."""
    seconds: float = 0.0
    limit_s: float | None = None
    """What it was given."""
    environment: dict[str, Any]
    result: dict[str, Any] = Field(default={})

    @classmethod
    def begin(
        cls, step: str, status: Status, *, reason: str = "", limit_s: float | None = None
    ) -> "StepRecord":
        return cls(
            step=step,
            status=status,
            reason=reason,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            limit_s=limit_s,
            environment=fingerprint(),
        )

    @classmethod
    def read(cls, path: Path) -> "StepRecord | None":
        """None where there is no such file, or none of this format: the step has to run (again)."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, path: Path) -> None:
        write_json(path, self.model_dump(mode="json"))

    def with_end(self, status: Status, reason: str, seconds: float) -> "StepRecord":
        return self.model_copy(update={"status": status, "reason": reason, "seconds": round(seconds, 1)})

    @property
    def gpu(self) -> list[dict[str, str]]:
        gpu: list[dict[str, str]] = self.environment.get("gpu", [])
        return gpu


def record_path(out: Path, step: str) -> Path:
    return out / f"{step}.json"
