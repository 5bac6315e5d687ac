"""What the processes say of a trial, as one: its order names it, and their answers count."""

from typing import Any

from serve.control import Order, Outcome
from serve.mirror.tally import Tally


def title_of(order: Order) -> str:
    return f"{order['name']}:{order['version']}"


def tally_of(outcome: Outcome, order: Order) -> Tally:
    tally = Tally(len(order["classes"]))
    for answer in outcome.answers:
        told = answer["canary"]
        if told["ticket"] == order["ticket"] and told["tally"] is not None:
            tally.add(told["tally"])
    return tally


def missing_in(outcome: Outcome, order: Order) -> str:
    """Why a worker has no canary; empty where all have one."""
    told = [answer["canary"] for answer in outcome.answers]
    return next((word["broken"] for word in told if word["ticket"] == order["ticket"] and word["broken"]), "")


def description(order: Order, state: str, reason: str, tally: Tally) -> dict[str, Any]:
    return {
        "state": state,
        "reason": reason,
        **{key: order[key] for key in ("name", "version", "against", "rules")},
        "slower": tally.slower,
        **tally.describe(order["classes"]),
    }
