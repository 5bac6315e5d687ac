"""How the pictures of the reports look: colours and signs of sessions, axes of time, and inline SVG."""

import io
import math
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.result import BenchResult

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#997700", "#56606b")
"""Told apart with every common kind of colour blindness; beyond the last they start again."""
MARKERS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚"}
"""matplotlib's name -> the sign for it in the page's legend."""
SIZE_INCHES = (4.6, 3.1)
"""Narrow, so that the labels stay readable on a phone, where it fills the width."""
LOG_FROM_RATIO = 3.0
"""Latencies further apart than this get a logarithmic axis: equal distances are equal factors."""
LOG_TICKS = ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,))
"""Marks within a decade, the densest set first."""
MAX_LOG_TICKS = 7
INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e4e8ee"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "afdcd",
    "font.size": 11,
    "axes.edgecolor": "#b8c0cc",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def colour(result: BenchResult, session: str) -> str:
    """The session's colour in every picture."""
    return COLOURS[_position(result, session) % len(COLOURS)]


def sign(result: BenchResult, session: str) -> str:
    """The session's marker as a character."""
    return MARKERS[marker(result, session)]


def marker(result: BenchResult, session: str) -> str:
    """Shifted by one whenever the colours start again, so that no two of 36 sessions look alike."""
    position = _position(result, session)
    return list(MARKERS)[(position + position // len(COLOURS)) % len(MARKERS)]


def _position(result: BenchResult, session: str) -> int:
    return [entry.name for entry in result.sessions].index(session)


def latency_axis(axes: Axes, low: float, high: float) -> None:
    """Milliseconds from `low` to `high`; logarithmic where they are far apart."""
    axes.set_xlabel("milliseconds")
    if high > low * LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(low * 0.97, high * 1.05)


def log_ticks(low: float, high: float) -> list[float]:
    """Marks of a logarithmic axis from `low` to `high`, as many as can be read."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for marks in LOG_TICKS:
        ticks = [
            mark * 10.0**decade for decade in decades for mark in marks if low <= mark * 10.0**decade <= high
        ]
        if len(ticks) <= MAX_LOG_TICKS:
            break
    return ticks


def drawn(draw: Callable[[Axes], None]) -> str:
    """One figure as an `<svg>` element without size, metadata or ids of groups: the page sets the width."""
    with mpl.rc_context(STYLE):
        picture = Figure(figsize=SIZE_INCHES, layout="constrained")
        draw(picture.add_subplot())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        picture.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    head, _, body = svg[svg.index("<svg") :].partition(">")
    return (
        re.sub(r'\s(width|height|xmlns(:xlink)?)="[^"]*"', "", head)
        + ">"
        + re.sub(r'<g id="[^"]*"', "<g", body)
    )
