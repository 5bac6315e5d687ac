"""Numbers as people read them. One way per quantity, the same in Markdown, HTML and on the terminal."""

from bench.statistics import Percentile, Ratio
from modelpack.manifest import Claim

MEBIBYTE = 1 << 20
INTERVAL_DIGITS = 4
"""One more than elsewhere, so that the ends of a narrow interval differ from its middle."""


def figure(value: float, digits: int = 3) -> str:
    """`digits` significant digits, all of those before the point, no exponent: 0.0123, 1.23, 1234."""
    if value == 0:
        return "0"
    decimals = max(0, digits - len(str(int(abs(value)))))
    while abs(value) < 10.0 ** (digits - 1 - decimals) and abs(value) < 1:
        decimals += 1
    return f"{value:.{decimals}f}"


def mebibytes(size_bytes: int) -> str:
    return figure(size_bytes / MEBIBYTE)


def interval(lower: float, upper: float) -> str:
    return f"[{figure(lower, INTERVAL_DIGITS)}, {figure(upper, INTERVAL_DIGITS)}]"


def percentile_cell(entry: Percentile, with_interval: bool) -> str:
    """The figure, or why there is none."""
    if entry.value is None or entry.lower is None or entry.upper is None:
        return entry.note if with_interval else "n too small"
    if not with_interval:
        return figure(entry.value)
    return f"{figure(entry.value, INTERVAL_DIGITS)} {interval(entry.lower, entry.upper)}"


def miou_text(claim: Claim | None) -> str:
    return figure(claim.value, digits=4) if claim else "not measured"


def speedup_sentence(session: str, baseline: str, ratio: Ratio) -> str:
    """One comparison in words; a ratio whose interval holds 1 is no difference."""
    spread = f"95% interval {interval(ratio.lower, ratio.upper)}"
    if not ratio.is_different:
        return f"no difference between {session} and {baseline} ({spread})"
    if ratio.value < 1:
        return f"{session} is {figure(ratio.value)} times as fast as {baseline}, so slower ({spread})"
    return f"{session} is {figure(ratio.value)} times as fast as {baseline} ({spread})"


def threads_text(threads: int) -> str:
    return str(threads) if threads else "runtime's choice"
