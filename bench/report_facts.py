"""What a report says in words: comparisons, methods and environment, shared by Markdown and HTML."""

from bench.result import BenchResult
from bench.validity import Verdict
from bench.wording import figure, speedup_sentence

SHOWN_REASONS = 4
"""Reasons of a verdict that stand at the top."""


def headline_sentences(result: BenchResult) -> list[str]:
    """The comparisons at the smallest batch size."""
    return [
        f"{entry.boundary}, batch {entry.batch}: "
        + speedup_sentence(entry.session, entry.baseline, entry.speedup)
        for entry in result.comparisons
        if entry.batch == result.smallest_batch
    ]


def first_reasons(verdict: Verdict) -> tuple[str, ...]:
    """The reasons that stand at the top; the table of verdicts has them all."""
    more = len(verdict.reasons) - SHOWN_REASONS
    tail = (f"and {more} more, see the table of verdicts",) if more > 0 else ()
    return verdict.reasons[:SHOWN_REASONS] + tail


def method_facts(result: BenchResult) -> dict[str, str]:
    """Boundaries, rules and images by name."""
    facts = {f"boundary {name}": text for name, text in result.boundaries.items()}
    facts.update({name.replace("_", " "): text for name, text in result.rules.items()})
    facts["images"] = ", ".join(
        f"{image.name} ({image.size[0]} x {image.size[1]})" for image in result.images
    )
    if result.skipped:
        facts["not measured"] = "; ".join(result.skipped)
    return facts


def environment_facts(result: BenchResult) -> dict[str, str]:
    """Machine, software and code by name."""
    load = "unknown" if result.other_load is None else f"{result.other_load:.1%} of all CPUs"
    own = {"measured": f"{result.created}, in {figure(result.seconds)} s", "other load": load}
    return own | {name.replace("_", " "): flat(value) for name, value in result.environment.items()}


def flat(value: object) -> str:
    """Nested plain values on one line, mappings as KEY=VALUE."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={flat(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(flat(entry) for entry in value) or "none"
    return "none" if value is None else str(value)
