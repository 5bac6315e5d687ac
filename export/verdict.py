"""Figures against the rule: one sentence for each part of it that does not hold."""

from collections.abc import Iterator

from export.config import ParityRule
from export.figures import Figures
from export.sidings import convicted

SHIFT_ALLOWED = {"across": 1.0, "down": 3.0}
"""As multiples of the rule. Scenes are the same mirrored, and not upside down: what noise does to a class
above others differs from place to place, and looks like a shift."""


def broken(figures: Figures, rule: ParityRule) -> Iterator[str]:
    """Each sentence names the figure and what is allowed. What is null was not measured and breaks none."""
    if figures.non_finite_logits:
        yield f"{figures.non_finite_logits} logits are NaN or infinite"
    yield from _masks(figures, rule)
    yield from _accuracy(figures, rule)
    yield from _outputs(figures, rule)
    if rule.max_siding is not None:
        yield from convicted(figures.sidings, rule.max_siding)
    yield from figures.behaviour.broken


def _masks(figures: Figures, rule: ParityRule) -> Iterator[str]:
    if rule.min_agreement is not None and figures.agreement < rule.min_agreement:
        flips = "".join(
            f", most often {flip.reference} becomes {flip.artifact} ({flip.share:.0%} of it)"
            for flip in figures.class_flips[:1]
        )
        yield f"mask agreement {figures.agreement:.5f} is below {rule.min_agreement}{flips}"
    confident, least = figures.agreement_confident, rule.min_agreement_confident
    if least is not None and confident is not None and confident < least:
        yield f"agreement outside low-margin pixels {confident:.5f} is below {least}"
    for axis, shift in figures.edge_shift.items():
        most = None if rule.max_edge_shift_px is None else rule.max_edge_shift_px * SHIFT_ALLOWED[axis]
        if most is not None and shift.largest_px > most:
            yield (
                f"edges between classes are moved {axis} by {shift.at_centre_px:+.2f} px at the centre and a "
                f"further {shift.at_border_px:+.2f} px outward at the border, allowed are {most:.2g}"
            )


def _accuracy(figures: Figures, rule: ParityRule) -> Iterator[str]:
    points, most = figures.miou_difference_points, rule.max_miou_difference_points
    if most is not None and not abs(points) <= most:
        yield f"mIoU differs by {points:+.2f} points, allowed are {most}"
    if rule.min_miou_share is not None and not (
        figures.miou_artifact >= rule.min_miou_share * figures.miou_reference
    ):
        yield (
            f"mIoU falls from {figures.miou_reference:.2%} to {figures.miou_artifact:.2%}, "
            f"a share of {rule.min_miou_share} must be kept"
        )
    loss = figures.largest_class_loss
    if rule.max_class_loss_points is not None and loss is not None and loss[1] > rule.max_class_loss_points:
        yield f"{loss[0]} loses {loss[1]:.2f} points of IoU, allowed are {rule.max_class_loss_points}"


def _outputs(figures: Figures, rule: ParityRule) -> Iterator[str]:
    error, noise, confidence = figures.max_logit_error, figures.logit_noise, figures.confidence_error
    if rule.max_logit_error is not None and error is not None and error > rule.max_logit_error:
        yield f"a logit is off by {error:.2e} of the largest, allowed is {rule.max_logit_error:.0e}"
    if rule.max_logit_noise is not None and noise is not None and noise > rule.max_logit_noise:
        yield f"logits are off by {noise:.2f} of what tells classes apart, allowed is {rule.max_logit_noise}"
    if (
        rule.max_confidence_error is not None
        and confidence is not None
        and confidence > rule.max_confidence_error
    ):
        yield f"confidence is off by {confidence:.3f} on average, allowed is {rule.max_confidence_error}"
