"""The gate catches what goes wrong in conversions, names the stage, and lets the right graph pass."""

import onnx
import pytest
import torch

from export.config import ParityConfig, ParityRule
from export.errors import ParityError
from export.reference import Reference, record_answers
from export.targets import TARGETS
from export.targets.target import BuildContext
from tests.export.planted_faults import (
    FAULTS,
    SMALL_FAULTS,
    bgr_for_rgb,
    classes_that_do_not_exist,
    nan_weight,
    spoilt,
    stale_weights,
)
from tests.export.tiny_run import TinyNetwork

REASONS = {
    "nan_weight": "hold NaN",
    "bgr_for_rgb": "on normalised pixels in the other channel order",
    "wrong_mean": "with a mean 8 levels too high",
    "wrong_deviation": "with deviations 1.1 times too large",
    "nearest_for_bilinear": "enlarged by nearest neighbour",
    "align_corners_flipped": "enlarged by half-pixel centres",
    "half_pixel_shift": "enlarged from the top left",
    "shuffled_class": "1 of 2 kernels",
    "classes_off_by_one": "with every class one too high",
    "swapped_channels": "1 of 2 kernels",
    "stale_weights": "is refused",
    "weights_of_another_seed": "2 of 2 kernels",
    "mirrored_mask": "with its mask mirrored",
    "threshold_for_argmax": "logits are off by",
    "pixels_that_overflow": "logits are off by",
    "first_of_batch_for_all": "in a batch is answered otherwise than alone",
    "noise": "draws random numbers",
}
"""What the refusal must say besides figures: the cause, as far as it can be known."""


def built(gate, model, target: str, path) -> dict:
    """Write the artifact as the target does; gives its details."""
    calibration = [gate.dataset[index].image_hwc[None] for index in range(4)]
    return TARGETS[target].build(BuildContext(model, gate.config, calibration), path)


@pytest.mark.parametrize("target", ["onnx-fp32", "onnx-fp16", "onnx-int8"])
def test_an_honest_artifact_passes(open_gate, tiny_graph, tmp_path, target):
    gate, path = open_gate(targets=(target,)), tmp_path / "model.onnx"
    details = built(gate, tiny_graph, target, path)
    parity = gate.check(target, TARGETS[target], path, details).parity
    assert parity.broken == ()
    assert parity.precision_proof.share == 1
    assert parity.behaviour.batch_agreement == 1


NOTHING_ASKED_OF_MASKS = {
    "min_agreement": None,
    "min_agreement_confident": None,
    "max_miou_difference_points": None,
    "min_miou_share": None,
    "max_class_loss_points": None,
    "max_logit_error": None,
}
"""Looser than any rule of int8: what is left are the checks that noise does not disturb."""
CASES = [
    *(pytest.param("onnx-fp32", {}, fault, id=f"{fault.__name__}-fp32") for fault in FAULTS),
    *(pytest.param("onnx-fp16", {}, fault, id=f"{fault.__name__}-fp16") for fault in SMALL_FAULTS),
    *(
        pytest.param("onnx-int8", NOTHING_ASKED_OF_MASKS, fault, id=f"{fault.__name__}-int8")
        for fault in FAULTS
        if fault not in (stale_weights, nan_weight)  # nearer to the right ones than int8 can tell; not built
    ),
]


@pytest.mark.parametrize(("target", "parity", "fault"), CASES)
def test_a_planted_fault_is_refused_with_its_stage_and_cause(
    open_gate, tiny_graph, tmp_path, fault, target, parity
):
    gate, path = open_gate(targets=(target,), parity=parity), tmp_path / "model.onnx"
    details = built(gate, spoilt(tiny_graph, fault), target, path)
    with pytest.raises(ParityError, match=f"{target} is refused") as refusal:
        gate.check(target, TARGETS[target], path, details)
    assert refusal.value.stage == target
    assert REASONS[fault.__name__] in str(refusal.value)


def test_a_truncated_file_is_refused_by_name(open_gate, tiny_graph, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_graph.SerializeToString()[:-200])
    with pytest.raises(ParityError, match=r"onnx-fp32 is refused: .*cannot be loaded"):
        open_gate().check("onnx-fp32", TARGETS["onnx-fp32"], path)


def test_a_refusal_leaves_figures_and_pictures(open_gate, tiny_graph, tmp_path):
    onnx.save(spoilt(tiny_graph, bgr_for_rgb), tmp_path / "model.onnx")
    with pytest.raises(ParityError, match=r"mask agreement 0\.\d+ is below 0\.999.*package\.rejected"):
        open_gate(parity={"worst_images": 2}).check(
            "onnx-fp32", TARGETS["onnx-fp32"], tmp_path / "model.onnx"
        )
    rejected = tmp_path / "package.rejected"
    assert len(list((rejected / "worst/onnx-fp32").glob("*.png"))) == 2
    assert {"parity.json", "accuracy.json", "settings.json"} <= {file.name for file in rejected.iterdir()}


def test_a_mask_of_unknown_classes_is_refused(open_gate, tiny_graph, tmp_path):
    onnx.save(spoilt(tiny_graph, classes_that_do_not_exist), tmp_path / "model.onnx")
    with pytest.raises(ParityError, match="up to class"):
        open_gate().check("onnx-fp32", TARGETS["onnx-fp32"], tmp_path / "model.onnx")


def test_a_network_that_overflows_is_refused_as_the_reference(tmp_path, open_gate):
    gate = open_gate()
    network = TinyNetwork(11)
    with torch.no_grad():
        network.head.weight.fill_(torch.finfo(torch.float32).max)
    with pytest.raises(ParityError, match="NaN or infinite") as refusal:
        record_answers(
            Reference(network, "cpu"),
            gate.dataset,
            gate.resizing,
            tmp_path,
            count=1,
            logit_images=1,
            low_margin=0.1,
        )
    assert refusal.value.stage == "reference"


def test_rules_of_one_target_win_over_rules_for_all_and_these_over_its_own():
    config = ParityConfig.model_validate(
        {"min_agreement": 0.9, "rules": {"onnx-fp16": {"min_agreement": 0.8}}}
    )
    default = ParityRule(min_agreement=0.5, max_logit_error=0.25)
    assert config.rule_for("onnx-fp32", default) == ParityRule(min_agreement=0.9, max_logit_error=0.25)
    assert config.rule_for("onnx-fp16", default) == ParityRule(min_agreement=0.8, max_logit_error=0.25)
