"""The self-test as a table, for the terminal and for Markdown."""

from bench.report_facts import NOT_SAID
from bench.selftest.selftest import SelfTestResult
from bench.table import Table, markdown
from bench.wording import figure


def render_terminal(result: SelfTestResult) -> str:
    """What the command prints."""
    return "\n".join([markdown(checks(result)), "", conclusion(result)])


def render_markdown(result: SelfTestResult) -> str:
    """The same with the machine."""
    cpu = result.environment["cpu"]
    return "\n".join(
        [
            "# Self-test of `afdcd bench`",
            "",
            f"{result.created}, {cpu['model']}, {cpu['cores']} cores, {result.environment['code']}.",
            "",
            markdown(checks(result)),
            "",
            conclusion(result),
            "",
        ]
    )


def checks(result: SelfTestResult) -> Table:
    return Table(
        title="Checks",
        caption="What was planted, and what the tool said of it.",
        columns=("", "check", "expected", "measured", "tolerance"),
        rows=tuple(
            ("ok" if check.ok else "FAIL", check.name, check.expected, check.measured, check.tolerance)
            for check in result.checks
        ),
        text_columns=5,
    )


def conclusion(result: SelfTestResult) -> str:
    """How many failed, and whether the machine may be to blame."""
    load = NOT_SAID if result.other_load is None else f"{result.other_load:.0%} of the CPUs"
    where = f"in {figure(result.seconds)} s; used by other processes meanwhile: {load}"
    if not result.failures:
        return f"All {len(result.checks)} checks passed {where}."
    names = "; ".join(check.name for check in result.failures)
    return (
        f"{len(result.failures)} of {len(result.checks)} checks failed {where}: {names}. "
        "On a machine with nothing else to do, that is a fault of the tool or of the clock."
    )
