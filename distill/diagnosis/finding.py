"""One thing the doctor has to say."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

_MAX_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """Training refuses errors, names warnings and passes over the rest."""

    severity: Severity
    split: str
    """A split, or several joined by `+`."""
    sentence: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.split}: {self.sentence} {self.way_out}".rstrip()


def named(things: list[str]) -> str:
    """The first few, and how many more."""
    more = len(things) - _MAX_NAMED
    return ", ".join(things[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
