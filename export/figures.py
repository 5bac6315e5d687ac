"""All that is measured of one artifact against the reference."""

from export.behaviour import Behaviour
from export.class_flips import ClassFlip
from export.edge_shift import AxisShift
from export.sidings import Siding
from modelpack.settings import StrictModel


class Figures(StrictModel):
    """Shares and mIoU are 0..1; points are hundredths. Null where there was nothing to measure it on."""

    images: int
    agreement: float
    """Share of all pixels with the reference's class."""
    agreement_confident: float | None
    """The same outside low-margin pixels."""
    low_margin_share: float
    agreement_band: float | None
    """The same for pixels beside an edge between two classes of the reference."""
    agreement_interior: float | None
    """The same for all others."""
    band_share: float
    edge_shift: dict[str, AxisShift]
    """`across` and `down`: how far edges lie from the reference's, on the whole."""
    miou_reference: float
    miou_artifact: float
    """Over the classes that the labels or the reference have."""
    miou_difference_points: float
    """Artifact minus reference."""
    iou_difference_points: dict[str, float | None]
    """The same for each class; null for one that neither has nor meets."""
    class_flips: tuple[ClassFlip, ...]
    """The largest, by pixels."""
    flip_matrix: tuple[tuple[int, ...], ...]
    """Pixels by class of the reference (rows) and of the artifact (columns)."""
    logit_images: int
    max_logit_difference: float | None
    """Largest absolute difference; null also where one of the two is not finite."""
    max_logit_error: float | None
    """The same as a share of the reference's largest absolute logit."""
    logit_noise: float | None
    """Root mean square of the logits' errors over that of the logits, both as differences between classes."""
    non_finite_logits: int
    """NaN or infinite logits of the artifact."""
    confidence_error: float | None
    """Mean absolute error of the `confidence` output; null for a graph without it."""
    sidings: dict[str, Siding]
    """Usual mistake -> how far the artifact follows it."""
    behaviour: Behaviour

    @property
    def largest_class_loss(self) -> tuple[str, float] | None:
        """The class that loses most, and its points; None where none loses."""
        losses = {name: -points for name, points in self.iou_difference_points.items() if points is not None}
        name = max(losses, key=losses.__getitem__, default=None)
        return None if name is None or losses[name] <= 0 else (name, losses[name])
