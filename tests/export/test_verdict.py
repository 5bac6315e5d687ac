"""Each part of the rule is asked, says what it found, and is silent where it is not asked."""

import numpy as np
import pytest

from distill.datasets.camvid import CAMVID_LABELS
from export.behaviour import Behaviour
from export.class_flips import ClassFlip
from export.config import ParityRule
from export.edge_shift import AxisShift
from export.errors import ParityError
from export.figures import Figures
from export.reference import Answer
from export.sidings import Siding
from export.tally import Tally
from export.verdict import broken

RULE = ParityRule(min_miou_share=0.99, max_class_loss_points=3.0)
STEADY = Behaviour(repeat_agreement=1, batch_agreement=1, other_size_agreement=None, broken=())
PERFECT = Figures(
    images=2,
    agreement=1,
    agreement_confident=1,
    low_margin_share=0.1,
    agreement_band=1,
    agreement_interior=1,
    band_share=0.2,
    edge_shift={
        "across": AxisShift(at_centre_px=0, at_border_px=0, edges=9000),
        "down": AxisShift(at_centre_px=0, at_border_px=0, edges=9000),
    },
    miou_reference=0.5,
    miou_artifact=0.5,
    miou_difference_points=0,
    iou_difference_points={"Sky": 0.0, "Road": 0.0, "Car": None},
    class_flips=(ClassFlip(reference="Sky", artifact="Road", pixels=9, share=0.25),),
    flip_matrix=(),
    logit_images=1,
    max_logit_difference=0,
    max_logit_error=0,
    logit_noise=0,
    non_finite_logits=0,
    confidence_error=0,
    sidings={"in Latin": Siding(share=0.1, explains=0)},
    behaviour=STEADY,
)
CASES = [
    (
        {"agreement": 0.9},
        "min_agreement",
        "mask agreement 0.90000 is below 0.999, most often Sky becomes Road",
    ),
    ({"agreement_confident": 0.9}, "min_agreement_confident", "outside low-margin pixels 0.90000"),
    ({"miou_difference_points": -0.2}, "max_miou_difference_points", "mIoU differs by -0.20 points"),
    ({"miou_difference_points": 0.2}, "max_miou_difference_points", "mIoU differs by +0.20 points"),
    ({"miou_difference_points": float("nan")}, "max_miou_difference_points", "mIoU differs by +nan points"),
    ({"miou_artifact": 0.49}, "min_miou_share", "mIoU falls from 50.00% to 49.00%"),
    (
        {"iou_difference_points": {"Sky": 5.0, "Road": -4.0, "Car": None}},
        "max_class_loss_points",
        "Road loses 4.00 points of IoU",
    ),
    ({"max_logit_error": 0.01}, "max_logit_error", "a logit is off by 1.00e-02"),
    ({"logit_noise": 0.3}, "max_logit_noise", "logits are off by 0.30 of what tells classes apart"),
    (
        {"edge_shift": {"across": AxisShift(at_centre_px=0.3, at_border_px=0, edges=9000)}},
        "max_edge_shift_px",
        "moved across by +0.30 px at the centre",
    ),
    (
        {"edge_shift": {"down": AxisShift(at_centre_px=0, at_border_px=-0.9, edges=9000)}},
        "max_edge_shift_px",
        "-0.90 px outward at the border, allowed are 0.6",
    ),
    (
        {"sidings": {"in Latin": Siding(share=0.9, explains=0.5)}},
        "max_siding",
        "as the network does in Latin",
    ),
    ({"confidence_error": 0.5}, "max_confidence_error", "confidence is off by 0.500"),
]


def test_perfect_figures_break_nothing():
    assert list(broken(PERFECT, RULE)) == []


@pytest.mark.parametrize(("change", "field", "sentence"), CASES)
def test_a_broken_part_is_told_and_one_that_is_not_asked_is_silent(change, field, sentence):
    figures = PERFECT.model_copy(update=change)
    (found,) = broken(figures, RULE)
    assert sentence in found
    assert list(broken(figures, RULE.model_copy(update={field: None}))) == []


def test_every_part_of_the_rule_is_tried_here():
    assert {field for _, field, _ in CASES} == ParityRule.model_fields.keys()


def test_numbers_that_are_none_are_refused_whatever_the_rule():
    nothing = ParityRule(**dict.fromkeys(ParityRule.model_fields))
    assert list(broken(PERFECT.model_copy(update={"non_finite_logits": 3}), nothing)) == [
        "3 logits are NaN or infinite"
    ]
    restless = STEADY.model_copy(update={"broken": ("it sings",)})
    assert list(broken(PERFECT.model_copy(update={"behaviour": restless}), nothing)) == ["it sings"]


def test_figures_that_could_not_be_measured_break_nothing():
    unknown = ("agreement_confident", "max_logit_error", "logit_noise", "confidence_error")
    figures = PERFECT.model_copy(update={**dict.fromkeys(unknown), "edge_shift": {}, "sidings": {}})
    assert list(broken(figures, RULE)) == []


LOGITS = np.random.default_rng(0).normal(size=(11, 8, 8)).astype(np.float32)
ANSWER = Answer(0, LOGITS.argmax(0).astype(np.uint8), np.ones((8, 8), bool), LOGITS, {})
TRUTH = ANSWER.mask_hw
PROBABILITY = (np.exp(LOGITS) / np.exp(LOGITS).sum(0)).max(0)


def tally_of(outputs: dict[str, np.ndarray], logits: np.ndarray | None = LOGITS) -> Tally:
    tally = Tally("some-target", CAMVID_LABELS, worst_images=1)
    tally.add(ANSWER, TRUTH, outputs, logits)
    return tally


def outputs_with(**more: np.ndarray) -> dict[str, np.ndarray]:
    return {"mask": ANSWER.mask_hw[None], **more}


def test_confidence_is_compared_with_the_references_probability():
    right = np.rint(PROBABILITY * 255).astype(np.uint8)[None]
    assert tally_of(outputs_with(confidence=right)).figures(1.0, "skip")["confidence_error"] < 1 / 255
    overflown = (right.astype(np.int64) * 2 % 256).astype(np.uint8)
    assert tally_of(outputs_with(confidence=overflown)).figures(1.0, "skip")["confidence_error"] > 0.1


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ({}, "output mask is missing; due is uint8 (1, 8, 8)"),
        (outputs_with(mask=ANSWER.mask_hw[None].astype(np.int64)), "output mask is int64 (1, 8, 8)"),
        (outputs_with(mask=ANSWER.mask_hw[None, :4]), "output mask is uint8 (1, 4, 8)"),
        (outputs_with(mask=ANSWER.mask_hw[None] + np.uint8(11)), "goes up to class 21; due is up to 10"),
        (outputs_with(confidence=np.zeros((1, 8, 8), np.float32)), "output confidence is float32"),
        (
            outputs_with(logits=LOGITS[None, :5]),
            "output logits is float32 (1, 5, 8, 8); due is float32 (1, 11,",
        ),
    ],
)
def test_outputs_of_another_form_are_refused(outputs, sentence):
    with pytest.raises(ParityError) as refusal:
        tally_of(outputs)
    assert sentence in str(refusal.value)
    assert refusal.value.stage == "some-target"


def test_logits_of_another_form_are_refused():
    with pytest.raises(ParityError, match=r"its logits are \(5, 8, 8\); due are \(11, 8, 8\)"):
        tally_of(outputs_with(), LOGITS[:5])


def test_one_pixel_of_a_class_that_nobody_has_does_not_cost_as_much_as_a_class():
    tally = Tally("some-target", CAMVID_LABELS, worst_images=1)
    truth = np.zeros((8, 8), np.uint8)
    truth[4:] = 1
    found = truth.copy()
    found[0, 0] = 7
    tally.add(Answer(0, truth, np.ones((8, 8), bool), None, {}), truth, {"mask": found[None]}, None)
    figures = tally.figures(1.0, "skip")
    assert figures["miou_reference"] == 1
    assert figures["miou_artifact"] == pytest.approx((31 / 32 + 1) / 2)
    assert figures["iou_difference_points"][CAMVID_LABELS.names[7]] is None
