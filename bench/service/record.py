"""The visits so far: each one judged, and its raw samples kept."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.load.generators import START_DELAY_NS
from bench.load.hdr import write_log
from bench.load.result import LoadRun
from bench.load.runner import RAW_FOLDER, TargetError
from bench.load.samples import Samples
from bench.load.summary import PERCENTS, summarise
from bench.service.bars import Seen
from bench.service.contestants import Contestant, Pace
from bench.service.heats import Heat
from bench.service.result import Visit
from bench.timing import NS_PER_S
from bench.validity import LoadMeter

MAX_ERROR_SHARE = 0.001
"""More failed requests than this make a visit invalid."""


@dataclass
class Record:
    """Raw samples and HdrHistogram logs go to `folder` at once, where there is one."""

    folder: Path | None
    visits: list[Visit] = field(default_factory=list)
    rounds: list[dict[tuple[str, str], Seen]] = field(default_factory=list)

    def visit(self, number: int, heat: Heat, contestant: Contestant, pace: Pace) -> LoadRun:
        """One visit, kept. Raises TargetError where nothing at all is answered."""
        meter = LoadMeter(contestant.pids())
        recorded_from = datetime.now(UTC) + timedelta(
            seconds=START_DELAY_NS / NS_PER_S + pace.warm_up_seconds
        )
        visited = contestant.visit(heat, pace)
        samples = visited.samples
        name = f"round{number}-{heat.name}-{contestant.name}"
        run = summarise(
            name,
            visited.loop,
            samples,
            list(visited.loaded),
            is_in_process=contestant.is_in_process,
            max_error_share=MAX_ERROR_SHARE,
            percents=PERCENTS,
            server=visited.server,
            other_load=meter.others(),
        )
        if run.queries and not run.ok:
            failed = ", ".join(f"{count} {kind}" for kind, count in run.errors.items())
            raise TargetError(f"{contestant.name} answered no request as expected: {failed}.")
        if self.folder is not None:
            _keep(self.folder / RAW_FOLDER, name, samples, recorded_from)
        self.visits.append(Visit(round=number, heat=heat.name, contestant=contestant.name, run=run))
        if number > len(self.rounds):
            self.rounds.append({})
        self.rounds[number - 1][contestant.name, heat.name] = Seen(run, samples.latency_ms)
        return run


def _keep(folder: Path, name: str, samples: Samples, recorded_from: datetime) -> None:
    samples.write(folder / f"{name}.npz")
    ends_s = samples.done_ns[samples.counts] / NS_PER_S
    write_log(folder / f"{name}.hlog", name, recorded_from, ends_s, samples.latency_ms)
