"""What a report says in words: comparisons, methods and environment, shared by Markdown and HTML."""

from bench.result import BenchResult
from bench.validity import Verdict
from bench.wording import figure, speedup_sentence
from modelpack.cpu import ARITHMETIC

NOT_SAID = "the system does not say"
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
    for session in result.sessions:
        if session.choice:
            facts[f"chosen for {session.name}"] = session.choice
    if result.skipped:
        facts["not measured"] = "; ".join(result.skipped)
    return facts


def environment_facts(result: BenchResult) -> dict[str, str]:
    """Machine, software and code by name."""
    load = NOT_SAID if result.other_load is None else f"{result.other_load:.1%} of all CPUs"
    own = {"measured": f"{result.created}, in {figure(result.seconds)} s", "other load": load}
    told = {name.replace("_", " "): flat(value) for name, value in result.environment.items()}
    return own | told | _machine_facts(result)


def _machine_facts(result: BenchResult) -> dict[str, str]:
    """What decides on the speed and was not the same on every machine; notes for what could not be read."""
    flags = [flag for flag in result.environment["cpu"]["flags"] if flag in ARITHMETIC["int8"]]
    facts = {"int8 instructions": " ".join(flags) or "none of those known: int8 may be no faster than fp32"}
    if result.machine:
        facts["CPU clock policy"] = flat(result.machine.cpu_policy.model_dump())
        facts["CPU cores slowed for heat"] = _times(result.machine.cpu_throttle_events)
        stolen = result.machine.stolen_share
        facts["taken by the hypervisor"] = NOT_SAID if stolen is None else f"{stolen:.1%} of the CPU time"
        if result.machine.gpu_note:
            facts["GPU state"] = result.machine.gpu_note
    notes = {entry.source: entry.note for case in result.cases for entry in case.energy if entry.note}
    return facts | {f"energy, {source}": note for source, note in notes.items()}


def _times(count: int | None) -> str:
    return NOT_SAID if count is None else f"{count} times"


def flat(value: object) -> str:
    """Nested plain values on one line, mappings as KEY=VALUE."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={flat(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(flat(entry) for entry in value) or "none"
    return "none" if value is None else str(value)
