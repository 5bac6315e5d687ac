"""Whether a model on trial takes over: a rule over what was counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from serve.mirror.settings import CanarySettings
from serve.mirror.tally import Tally


@dataclass(frozen=True)
class Verdict:
    """How a trial ended, and why."""

    word: Literal["promoted", "rolled_back", "aborted"]
    reason: str


def judge(tally: Tally, age_s: float, rules: CanarySettings, classes: Sequence[str]) -> Verdict | None:
    """None while the trial goes on. A failure ends it at once; the rest is judged when enough was seen."""
    if tally.failed:
        return Verdict("rolled_back", f"it failed on {tally.failed} of the images; the log says why.")
    if tally.compared < rules.min_images and age_s >= rules.at_most_s:
        return Verdict(
            "rolled_back",
            f"in {age_s:.0f} s only {tally.compared} images were compared, and {rules.min_images} are asked "
            f"for (min_images; {tally.dropped} passed by because it was busy).",
        )
    if tally.compared < rules.min_images or age_s < rules.at_least_s:
        return None
    shortcomings = "; ".join(_shortcomings(tally, rules, classes))
    if shortcomings:
        return Verdict("rolled_back", f"{shortcomings}.")
    return Verdict(
        "promoted", f"it agrees in {tally.agreement:.4f} of the pixels of {tally.compared} images."
    )


def _shortcomings(tally: Tally, rules: CanarySettings, classes: Sequence[str]) -> Iterator[str]:
    agreement = tally.agreement or 0.0
    if agreement < rules.min_agreement:
        yield f"it agrees in {agreement:.4f} of the pixels, and {rules.min_agreement:g} is asked for"
    for name, iou in zip(classes, tally.iou_per_class(), strict=True):
        if iou is not None and iou < rules.min_class_iou:
            yield f"class {name!r} has an IoU of {iou:.4f}, and {rules.min_class_iou:g} is asked for"
    if 2 * tally.slower > tally.compared:
        yield (
            f"its graph took more than {rules.max_latency_factor:g} times as long in {tally.slower} of "
            f"{tally.compared} images"
        )
