"""Our generator against another: the same closed loop on the same server, in turn, round by round."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np

from bench.load.against import TOOLS
from bench.load.against.visit import Visit, find_tool
from bench.load.config import AgainstConfig, LoadConfig
from bench.load.generators import Generators
from bench.load.loops import ClosedLoop
from bench.load.open_target import open_target
from bench.load.target import HttpTarget
from bench.progress import Report, Silent
from bench.statistics import Ratio, percentile_interval
from bench.table import Table, markdown
from bench.wording import figure, interval
from modelpack.environment import fingerprint
from modelpack.errors import GateError, UsageError
from modelpack.settings import StrictModel
from modelpack.tables import lookup

OURS = "afdcd"
JUDGED = {"per_second": "answers/s", "median_ms": "median ms"}
SHOWN = {**JUDGED, "p99_ms": "p99 ms"}


class Agreement(StrictModel):
    """Both generators, visit by visit."""

    created: str
    target: str
    model: str
    clients: int
    seconds: float
    settings: AgainstConfig
    environment: dict[str, Any]
    load_average: float
    """Of the machine over the last minute of it: both generators, the server, and all others."""
    ours: tuple[Visit, ...]
    theirs: tuple[Visit, ...]

    def medians(self, figure_name: str) -> tuple[float, float]:
        """(ours, theirs) over the visits."""
        ours, theirs = (
            median(getattr(visit, figure_name) for visit in visits) for visits in (self.ours, self.theirs)
        )
        return ours, theirs

    def ratio(self, figure_name: str) -> Ratio:
        """Median over the rounds of ours over theirs, with its order-statistic interval.

        The two visits of a round are neighbours in time, so drift of the machine hits both.
        """
        pairs = zip(self.ours, self.theirs, strict=True)
        ratios = [getattr(ours, figure_name) / getattr(theirs, figure_name) for ours, theirs in pairs]
        entry = percentile_interval(np.array(ratios), 50)
        assert entry.value is not None
        assert entry.lower is not None
        assert entry.upper is not None
        return Ratio(value=entry.value, lower=entry.lower, upper=entry.upper)

    @property
    def differing(self) -> list[str]:
        """What lies further apart than the settings allow."""
        limit = self.settings.max_difference
        return [name for name in JUDGED if abs(self.ratio(name).value - 1) > limit]


class DisagreementError(GateError):
    """Two load generators do not say the same of the same server."""


def compare_generators(config: LoadConfig, report: Report | None = None) -> Agreement:
    """Run `config.against`. Raises UsageError for what other tools cannot load, ToolError where one fails."""
    report = report or Silent()
    against = config.against
    assert against is not None
    tool = lookup(TOOLS, "load generator", against.tool)
    find_tool(against.tool)
    if config.in_process:
        raise UsageError(f"{against.tool} loads addresses; leave in_process out.")
    clients = config.clients[0] if config.clients else 1
    with open_target(config) as opened:
        assert isinstance(opened.target, HttpTarget)
        target = opened.target.model_copy(update={"bodies": opened.target.bodies[:1]})
        with Generators(1, target) as generators:
            runs: dict[str, Callable[[], Visit]] = {
                OURS: lambda: _own_visit(generators, config, clients),
                against.tool: lambda: tool(target, clients, config.seconds),
            }
            visits = _in_turn(runs, against.rounds, report)
    return Agreement(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        target=opened.name,
        model=str((opened.model or {}).get("name", "")),
        clients=clients,
        seconds=config.seconds,
        settings=against,
        environment=fingerprint(),
        load_average=os.getloadavg()[0],
        ours=tuple(visits[OURS]),
        theirs=tuple(visits[against.tool]),
    )


def render_agreement(result: Agreement) -> str:
    """The table and the finding."""
    rows = []
    for name, text in SHOWN.items():
        ours, theirs = result.medians(name)
        judged = "within" if name in JUDGED and name not in result.differing else "beyond"
        finding = f"{judged} {result.settings.max_difference:.0%}" if name in JUDGED else "not judged"
        ratio = result.ratio(name)
        spread = interval(ratio.lower, ratio.upper)
        rows.append((text, finding, figure(ours, 4), figure(theirs, 4), figure(ratio.value, 4), spread))
    table = Table(
        title="",
        caption="",
        columns=("median of rounds", "finding", OURS, result.settings.tool, "ratio", "95% interval"),
        rows=tuple(rows),
        text_columns=2,
    )
    return markdown(table)


def _in_turn(runs: dict[str, Callable[[], Visit]], rounds: int, report: Report) -> dict[str, list[Visit]]:
    """A B, B A, A B, ...: drift of the machine hits both alike."""
    visits: dict[str, list[Visit]] = {name: [] for name in runs}
    report.stage("comparing", rounds * len(runs))
    for number in range(rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            report.step(f"{name}, round {number + 1}")
            visits[name].append(runs[name]())
    return visits


def _own_visit(generators: Generators, config: LoadConfig, clients: int) -> Visit:
    """Not warmed up: the other tool is not either."""
    loop = ClosedLoop(
        clients=clients,
        warm_up_seconds=0,
        seconds=config.seconds,
        min_queries=1,
        max_requests=config.max_requests,
        max_seconds=config.seconds + config.request.timeout_seconds,
    )
    samples, _ = generators.run(loop, config.request.timeout_seconds)
    return Visit.of_samples(OURS, samples.service_ms, samples.busy_seconds, int((~samples.is_ok).sum()))
