"""Load generators of others, to hold ours against. A new one is a file beside this and a line below."""

from collections.abc import Callable

from bench.load.against.hey import run_hey
from bench.load.against.visit import Visit
from bench.load.against.wrk import run_wrk
from bench.load.target import HttpTarget

TOOLS: dict[str, Callable[[HttpTarget, int, float], Visit]] = {"hey": run_hey, "wrk": run_wrk}
"""Name (also of the program) -> a closed loop of (target, clients, seconds)."""
