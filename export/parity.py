"""Hold one artifact against the reference on real images, and its figures against the rule."""

from dataclasses import dataclass
from typing import Any, Literal

from distill.datasets.dataset import SegDataset
from export.artifact_runtime import OpenArtifact
from export.behaviour import observe
from export.config import ParityRule
from export.figures import Figures
from export.precision.proof import PrecisionProof
from export.reference import RecordedAnswers
from export.tally import Disagreement, Tally
from export.verdict import broken
from modelpack.metrics import ConfusionMatrix
from modelpack.preprocess import Resizing
from modelpack.settings import StrictModel


class ArtifactParity(Figures):
    """How closely one artifact answers as the reference, what it proved to be, and whether that will do."""

    artifact: str
    ran_on: dict[str, Any]
    """The runtime that gave the masks, in its own words."""
    precision_proof: PrecisionProof
    executes: dict[str, int] | None
    """Type -> products that the runtime computes in it on this device, whatever the graph asks for; null for
    a plan, whose proof says it."""
    rule: ParityRule
    broken: tuple[str, ...]
    """One sentence for each part of the rule that does not hold; empty when the artifact passes."""

    @property
    def computed_in(self) -> str:
        """What the products were really computed in, and by what: "27 int8, 29 fp32 (onnxruntime)"."""
        proof = self.precision_proof
        types = self.executes or {proof.claimed: proof.in_claimed}
        ordered = sorted(types.items(), key=lambda entry: -entry[1])
        return f"{', '.join(f'{count} {name}' for name, count in ordered)} ({self.ran_on['runtime']})"

    def summary(self) -> dict[str, Any]:
        """The figures that say most, for the manifest."""
        loss = self.largest_class_loss
        return {
            "computed_in": self.computed_in,
            "agreement": self.agreement,
            "agreement_confident": self.agreement_confident,
            "agreement_band": self.agreement_band,
            "agreement_interior": self.agreement_interior,
            "miou_difference_points": self.miou_difference_points,
            "largest_class_loss": None if loss is None else {"class": loss[0], "points": loss[1]},
            "largest_flips": [flip.model_dump() for flip in self.class_flips],
        }


class NotRun(StrictModel):
    """An artifact that this machine can build and not run: its precision is proved, its answers are not."""

    artifact: str
    reason: str
    precision_proof: PrecisionProof


@dataclass(frozen=True)
class FileFacts:
    """What the file shows without an image."""

    proof: PrecisionProof
    executes: dict[str, int] | None
    faults: tuple[str, ...]
    """One sentence each."""


@dataclass(frozen=True)
class Comparison:
    """All that one pass over the images gives."""

    parity: ArtifactParity
    confusion_reference: ConfusionMatrix
    confusion_artifact: ConfusionMatrix
    worst: tuple[Disagreement, ...]
    """Largest disagreement first; images without any are left out."""


def compare(
    artifact: str,
    opened: OpenArtifact,
    answers: RecordedAnswers,
    dataset: SegDataset,
    *,
    facts: FileFacts,
    resizing: Resizing,
    rule: ParityRule,
    absent: Literal["skip", "zero"],
    worst_images: int,
) -> Comparison:
    """Run the artifact over the images of `answers`. `absent`: see `ConfusionMatrix.miou`."""
    tally = Tally(artifact, dataset.labels, worst_images)
    for answer in answers:
        sample = dataset[answer.index]
        images = resizing.resize_image(sample.image_hwc)[None]
        logits_chw = None
        if opened.probe and answer.logits_chw is not None:
            probe, logits_name = opened.probe
            logits_chw = probe.run(images)[logits_name][0]
        tally.add(answer, sample.mask_hw, opened.judged.run(images), logits_chw)
    first_hwc = resizing.resize_image(dataset[answers.indices[0]].image_hwc)
    behaviour = observe(opened.shipped, first_hwc, answers.elsewhere, tally.pixels.agreement)
    figures = Figures(behaviour=behaviour, **tally.figures(answers.largest_logit, absent))
    unproved = (facts.proof.broken,) if facts.proof.broken else ()
    parity = ArtifactParity(
        **dict(figures),
        artifact=artifact,
        ran_on=opened.describe(),
        precision_proof=facts.proof,
        executes=facts.executes,
        rule=rule,
        broken=(*broken(figures, rule), *facts.faults, *unproved),
    )
    worst = tuple(sorted(tally.worst, reverse=True))
    return Comparison(parity, tally.confusion_reference, tally.confusion_artifact, worst)
