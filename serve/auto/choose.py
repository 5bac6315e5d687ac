"""Tries the candidates out, takes the one that does most, and says why."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serve.auto.candidates import Candidate, other_divisions, other_runs, runtime_candidates
from serve.auto.measure import Trial, TrialError, survey, try_out
from serve.settings import ServeSettings
from serve.sizing import usable_cores

SECONDS = 1.0
"""Recorded time of each trial."""
TIE = 0.03
"""A candidate has to do so much more than an earlier, simpler one to be taken."""

BUSY = 0.5
"""Load for each core, of work that was there already, beyond which the figures mean little."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """What was measured and what came of it."""

    chosen: Candidate
    artifact: str
    trials: Mapping[Candidate, Trial]
    cores: int
    why_artifact: str
    load_average: float
    """Of the machine in the minute before."""

    def settings(self, asked: ServeSettings) -> ServeSettings:
        """Those that were asked for, with the choice in place of `auto`."""
        return self.chosen.laid_upon(asked, self.artifact)

    def reason(self) -> str:
        """One sentence."""
        rate = _rate(self.trials[self.chosen])
        others = sorted((_rate(trial), str(key)) for key, trial in self.trials.items() if key != self.chosen)
        if not others or not others[-1][0]:
            return f"{self.chosen}: nothing else can serve {self.artifact} here."
        best, name = others[-1]
        if best > rate:
            return f"{self.chosen}: {name} does no more than {TIE:.0%} above it, and it is the simpler one."
        return f"{self.chosen}: {rate / best:.2f} times the images of the next, {name}."

    def lines(self) -> Iterator[str]:
        """The table, the artifact, and the reason."""
        rows = [
            ("images/s", "ms/image", "workers x threads, runtime"),
            *(_row(key, trial, key == self.chosen) for key, trial in self.trials.items()),
        ]
        yield from (f"{rate:>9}  {took:>8}  {name}" for rate, took, name in rows)
        yield f"{self.artifact}: {self.why_artifact}"
        yield f"{self.cores} cores. {self.reason()}"
        if self.load_average > BUSY * self.cores:
            yield f"The machine was busy before (load {self.load_average:.1f}): try again when it is not."

    def values(self) -> dict[str, Any]:
        """The settings that were chosen."""
        return {
            "artifact": self.artifact,
            "runtime": self.chosen.runtime,
            "workers": self.chosen.workers,
            "threads": self.chosen.threads,
            "codec_threads": self.chosen.codec_threads,
        }


def choose(settings: ServeSettings, tell: Tell, seconds: float = SECONDS) -> Choice:
    """Measure on this machine with the package itself: first the runtimes, then divisions of the cores, and
    on a GPU how many images a run may have.

    Raises TrialError where no candidate can serve.
    """
    load_average = os.getloadavg()[0]
    found = survey(settings)
    cores = max(1, int(usable_cores()))
    trials: dict[Candidate, Trial] = {}

    def measure(candidates: list[Candidate]) -> Candidate:
        for candidate in candidates:
            tell(f"trying {candidate}")
            laid = candidate.laid_upon(settings, found.artifact)
            trials[candidate] = try_out(candidate, laid, seconds)
        return most(trials)

    leader = measure(runtime_candidates(settings, found.runtimes, cores, found.on_gpu))
    leader = measure(other_divisions(settings, leader, cores, found.on_gpu))
    chosen = measure(other_runs(leader))
    return Choice(chosen, found.artifact, trials, cores, found.why, load_average)


def most(trials: Mapping[Candidate, Trial]) -> Candidate:
    """The one with the most images per second; the earlier where they are `TIE` apart or less."""
    best = max(map(_rate, trials.values()))
    if not best:
        obstacles = "; ".join(f"{key}: {trial.obstacle}" for key, trial in trials.items())
        raise TrialError(f"nothing can serve the package here: {obstacles}")
    return next(key for key, trial in trials.items() if _rate(trial) * (1 + TIE) >= best)


def _rate(trial: Trial) -> float:
    return trial.images_per_second or 0.0


def _row(candidate: Candidate, trial: Trial, is_chosen: bool) -> tuple[str, str, str]:
    mark = "  <- chosen" if is_chosen else ""
    if trial.images_per_second is None or trial.median_ms is None:
        return "-", "-", f"{candidate}: {trial.obstacle}"
    return f"{trial.images_per_second:.1f}", f"{trial.median_ms:.1f}", f"{candidate}{mark}"
