"""`service.json`: every visit, the figures that the bars are about, and whether they can be believed."""

import json
from pathlib import Path
from typing import Any, Literal, Self

from bench.load.result import LoadRun
from bench.load.validity import LoadVerdict
from bench.service.config import ServiceConfig
from modelpack.errors import SettingsError
from modelpack.settings import StrictModel, parse_settings

State = Literal["met", "missed", "invalid"]


class Visit(StrictModel):
    """One contestant under one load in one round."""

    round: int
    """From 1."""
    heat: str
    contestant: str
    run: LoadRun
    """Its name is that of the raw samples and of the HdrHistogram log."""


class Judged(StrictModel):
    """One bar, and how it came out."""

    name: str
    text: str
    relation: Literal[">=", "<="]
    limit: float
    unit: str
    value: float | None
    """None: INVALID."""
    lower: float | None
    upper: float | None
    """95 % interval over the rounds."""
    state: State
    rounds: int
    """On which it rests."""
    reasons: tuple[str, ...] = ()
    """Why it is invalid, or which rounds were left out."""

    @property
    def is_clear(self) -> bool:
        """The whole interval lies on the same side of the bar as the figure."""
        if self.value is None or self.lower is None or self.upper is None:
            return False
        inside = (self.lower >= self.limit) if self.relation == ">=" else (self.upper <= self.limit)
        outside = (self.upper < self.limit) if self.relation == ">=" else (self.lower > self.limit)
        return inside if self.state == "met" else outside


class ContestantFacts(StrictModel):
    """Who it was."""

    name: str
    processes: int
    """A server's own, supervisor included; of work without HTTP those that work."""
    heats: tuple[str, ...]
    description: dict[str, Any]


class ServiceResult(StrictModel):
    """One comparison."""

    format_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    seconds: float
    verdict: LoadVerdict
    model: str
    artifact: str
    images: tuple[tuple[str, int, tuple[int, int]], ...]
    """(name, bytes, (height, width)) of what was sent in turn."""
    capacity: float
    """Answers per second of our service with 16 clients, before the rounds: the open loop is a share."""
    best_in_process: str
    """The division that did most without HTTP: what the bars compare with."""
    settings: ServiceConfig
    environment: dict[str, Any]
    rules: dict[str, str]
    contestants: tuple[ContestantFacts, ...]
    visits: tuple[Visit, ...]
    bars: tuple[Judged, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SettingsError for a file that is no result of `bench serve`."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SettingsError(f"service result {path} cannot be read: {error}") from error
        return parse_settings(cls, values, str(path))

    def runs(self, contestant: str, heat: str) -> list[LoadRun]:
        """By round."""
        return [visit.run for visit in self.visits if (visit.contestant, visit.heat) == (contestant, heat)]

    @property
    def missed(self) -> tuple[Judged, ...]:
        return tuple(bar for bar in self.bars if bar.state == "missed")
