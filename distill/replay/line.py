"""One line of what `replay` prints."""

from dataclasses import dataclass

from distill.replay.comparison import Comparison


@dataclass(frozen=True)
class ReplayLine:
    """A comparison, or the method that was skipped, or the reason why the file could not be replayed."""

    file: str
    dtype: str = ""
    comparison: Comparison | None = None
    skipped: str | None = None
    reason: str = ""

    @property
    def is_failure(self) -> bool:
        if self.comparison is not None:
            return not self.comparison.is_within_tolerance
        return self.skipped is None

    def __str__(self) -> str:
        if self.skipped is not None:
            return f"{self.file} skip {self.skipped}"
        if self.comparison is None:
            return f"{self.file} FAIL {' '.join(self.reason.split())}"
        errors = " ".join(f"{name}_rel_err={error:.2e}" for name, error in self.comparison.worst.items())
        return f"{self.file} dtype={self.dtype} {errors} {'FAIL' if self.is_failure else 'ok'}"
