"""The sweep on the real target: each step is an open loop of its own, judged by its bounds."""

from bench.load.config import SweepConfig
from bench.load.result import SweepResult, SweepStep
from bench.load.runner import Runner
from bench.load.sweep import Purpose, judge_step, step_seconds, sweep

START_SHARE = 0.5
"""Of what one client reaches in a closed loop: a start that most servers pass."""
GENERATOR_RETRIES = 1
"""Further runs of a step that the generator spoiled."""


def run_sweep(config: SweepConfig, runner: Runner) -> SweepResult:
    """Search the highest rate that keeps `config.bounds`."""
    runner.begin("searching", 1 + config.max_steps * (1 + GENERATOR_RETRIES))
    runner.percents = tuple(sorted({*runner.percents, *(bound.percent for bound in config.bounds)}))
    start_rate, probe = config.start_rate, None
    if start_rate is None:
        run = runner.closed(1, config.step_seconds)
        start_rate, probe = START_SHARE * run.ok_per_second, run.name
    return sweep(config, start_rate, lambda purpose, rate: _step(config, runner, purpose, rate), probe)


def _step(config: SweepConfig, runner: Runner, purpose: Purpose, rate: float) -> SweepStep:
    """One rate; a run that the generator spoiled is tried again, each with arrivals of its own."""
    names = []
    for _ in range(1 + GENERATOR_RETRIES):
        run = runner.open(rate, step_seconds(config, rate), seed=runner.config.seed + len(runner.runs))
        names.append(run.name)
        reasons = tuple(judge_step(config.bounds, run))
        if not reasons or not run.verdict.generator_faults:
            break
    return SweepStep(
        purpose=purpose,
        rate=rate,
        run=run.name,
        spoiled=tuple(names[:-1]),
        keeps_bounds=not reasons,
        is_generators_fault=bool(reasons and run.verdict.generator_faults),
        reasons=reasons + (run.verdict.generator_faults if reasons else ()),
    )
