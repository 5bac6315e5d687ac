"""A load result as `bench compare` takes it: the loops that were asked for, their samples in stretches."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.comparable import Comparable, ComparableCase, Rounds, environment_facts
from bench.load.result import LoadResult, LoadRun
from bench.load.runner import RAW_FOLDER
from bench.load.samples import Samples
from bench.report_facts import flat
from modelpack.errors import SettingsError

STRETCHES = 10
"""Rounds that a run is cut into: requests that follow each other wait for each other, so they are alike."""
LEAST_PER_STRETCH = 5


def comparable_load(result: LoadResult, folder: Path) -> Comparable:
    """`folder` holds the raw samples, as `bench load` left them.

    Loops are paired by their clients or by the rate as it was asked for; steps of searches are left out.
    Raises SettingsError for raw samples that are missing, and for loops that are too short to be compared.
    """
    return Comparable(
        kind="load",
        boundaries={loop: result.rules[loop] for loop in ("closed loop", "open loop")},
        cases=tuple(_case(run, asked, folder) for run, asked in _plain_loops(result)),
        facts={
            **dict(environment_facts(result.environment)),
            "target": result.target,
            "bodies": ", ".join(f"{name} ({size} bytes)" for name, size in result.bodies) or "none",
            "generator processes": str(result.settings.processes),
            "warm-up seconds": flat(result.settings.warm_up_seconds),
        },
        verdict=str(result.verdict),
    )


def _plain_loops(result: LoadResult) -> Iterator[tuple[LoadRun, str]]:
    """Each with what was asked for: `8 clients`, `100 requests/s`, `80% of the closed loops' best`."""
    searched = {step.run for step in result.sweep.steps} if result.sweep else set()
    searched |= {name for scenario in result.scenarios for name in scenario.runs}
    rates = iter(result.settings.rates)
    for run in result.runs:
        if run.name in searched:
            continue
        if run.loop.kind == "closed":
            yield run, f"{run.loop.clients} clients"
            continue
        rate = next(rates, run.loop.rate)
        yield run, f"{rate} of the closed loops' best" if isinstance(rate, str) else f"{rate:g} requests/s"


def _case(run: LoadRun, asked: str, folder: Path) -> ComparableCase:
    boundary = f"{run.loop.kind} loop"
    facts = {"recorded seconds": flat(run.loop.seconds)}
    if run.loop.kind == "open":
        facts["rate"] = f"{run.loop.rate:.3g}/s"
    return ComparableCase(
        group="",
        key=(boundary, asked),
        name=f"{boundary}, {asked}",
        boundary=boundary,
        rounds_ms=_stretches(folder / RAW_FOLDER / f"{run.name}.npz"),
        facts=facts,
    )


def _stretches(file: Path) -> Rounds:
    if not file.is_file():
        raise SettingsError(
            f"raw samples {file} are missing. Keep the folder beside load.json as it was left."
        )
    latency_ms = Samples.read(file).latency_ms
    if len(latency_ms) < STRETCHES * LEAST_PER_STRETCH:
        raise SettingsError(
            f"{file} holds {len(latency_ms)} latencies, {STRETCHES * LEAST_PER_STRETCH} are the least for a "
            "comparison. Measure for longer."
        )
    return tuple(tuple(stretch.tolist()) for stretch in np.array_split(latency_ms, STRETCHES))
