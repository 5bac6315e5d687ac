"""What a load report says in words, shared by Markdown, HTML and the terminal."""

from bench.load.report_tables import load_text, shown_runs
from bench.load.result import LoadResult, LoadRun, ScenarioResult
from bench.report_facts import flat
from bench.wording import figure

SHOWN_REASONS = 5


def headlines(result: LoadResult) -> list[str]:
    """The answers, in sentences."""
    lines = []
    if (sweep := result.sweep) is not None:
        bounds = " and ".join(str(bound) for bound in sweep.bounds)
        if sweep.best_rate is None:
            lines.append(f"no rate was confirmed with {bounds}: {sweep.note}")
        else:
            note = f" ({sweep.note})" if sweep.note else ""
            lines.append(f"{figure(sweep.best_rate)} requests/s keep {bounds}{note}")
    lines += [_scenario(entry) for entry in result.scenarios]
    if not lines:
        lines += [_sentence(run) for run in shown_runs(result)]
    return lines


def first_reasons(result: LoadResult) -> tuple[str, ...]:
    """The reasons of the verdict that stand at the top; the tables have them all."""
    reasons = result.verdict.reasons
    more = len(reasons) - SHOWN_REASONS
    return reasons[:SHOWN_REASONS] + ((f"and {more} more",) if more > 0 else ())


def verdict_text(result: LoadResult) -> str:
    """`VALID`, `NOISY` or `INVALID`, and why."""
    reasons = "; ".join(first_reasons(result))
    return result.verdict.state.upper() + (f": {reasons}." if reasons else ".")


def method_facts(result: LoadResult) -> dict[str, str]:
    """Rules and what was sent, by name."""
    bodies = ", ".join(f"{name} ({size} bytes)" for name, size in result.bodies)
    return {"sent in turn": bodies} | {name.replace("_", " "): text for name, text in result.rules.items()}


def environment_facts(result: LoadResult) -> dict[str, str]:
    """Machine, software and code by name."""
    own = {"measured": f"{result.created}, in {figure(result.seconds)} s"}
    return own | {name.replace("_", " "): flat(value) for name, value in result.environment.items()}


def model_facts(result: LoadResult) -> dict[str, str]:
    """What the server said of itself."""
    return {name: flat(value) for name, value in (result.model or {}).items()}


def _scenario(entry: ScenarioResult) -> str:
    value = "no value" if entry.value is None else f"{figure(entry.value)} {entry.unit}"
    verdict = "VALID" if entry.is_valid else f"INVALID: {'; '.join(entry.reasons)}"
    return f"{entry.scenario} ({entry.driver}): {entry.metric} {value}, {verdict}"


def _sentence(run: LoadRun) -> str:
    median = run.percentile(50)
    p99 = run.percentile(99)
    said = [f"median {figure(median.value)} ms"] if median and median.value is not None else []
    said += [f"p99 {figure(p99.value)} ms"] if p99 and p99.value is not None else []
    return f"{load_text(run)}: {figure(run.ok_per_second)} answers/s, {', '.join(said) or 'too few to say'}"
