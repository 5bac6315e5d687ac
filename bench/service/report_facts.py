"""What a comparison says in words, shared by Markdown, HTML and the terminal."""

from bench.report_facts import flat
from bench.service.report_tables import bar_at, state_text
from bench.service.result import Judged, ServiceResult
from bench.wording import figure, interval

SHOWN_REASONS = 5


def headlines(result: ServiceResult) -> list[str]:
    """One sentence for each bar."""
    return [_sentence(entry) for entry in result.bars]


def summary(result: ServiceResult) -> str:
    """As in `7 of 8 bars met`."""
    met = sum(entry.state == "met" for entry in result.bars)
    others = [f"{entry.name} {state_text(entry)}" for entry in result.bars if entry.state != "met"]
    return f"{met} of {len(result.bars)} bars met" + (f" ({', '.join(others)})" if others else "")


def verdict_text(result: ServiceResult) -> str:
    """`VALID`, `NOISY` or `INVALID`, and why."""
    reasons = "; ".join(first_reasons(result))
    return result.verdict.state.upper() + (f": {reasons}." if reasons else ".")


def first_reasons(result: ServiceResult) -> tuple[str, ...]:
    """The reasons that stand at the top; the tables have them all."""
    reasons = result.verdict.reasons
    more = len(reasons) - SHOWN_REASONS
    return reasons[:SHOWN_REASONS] + ((f"and {more} more",) if more > 0 else ())


def method_facts(result: ServiceResult) -> dict[str, str]:
    """Rules and what was sent, by name."""
    sent = ", ".join(
        f"{name} ({size[1]}x{size[0]}, {size_bytes} bytes)" for name, size_bytes, size in result.images
    )
    own = {
        "sent in turn": sent,
        "capacity": f"{figure(result.capacity)} answers/s of ours with 16 clients",
        "best in process": result.best_in_process,
    }
    return own | result.rules


def environment_facts(result: ServiceResult) -> dict[str, str]:
    """Machine, software and code by name."""
    own = {"measured": f"{result.created}, in {figure(result.seconds)} s"}
    return own | {name.replace("_", " "): flat(value) for name, value in result.environment.items()}


def _sentence(entry: Judged) -> str:
    if entry.value is None or entry.lower is None or entry.upper is None:
        return f"{entry.text}: INVALID, bar {bar_at(entry)}"
    unit = f" {entry.unit}" if entry.unit else ""
    spread = interval(entry.lower, entry.upper)
    return f"{entry.text}: {figure(entry.value)}{unit} {spread}, bar {bar_at(entry)}: {state_text(entry)}"
