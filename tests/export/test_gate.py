"""The gate catches what goes wrong in conversions, names the stage, and lets the right graph pass."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export.config import ParityConfig, ParityRule
from export.errors import ParityError
from export.reference import Reference, record_answers
from export.targets import TARGETS
from export.targets.target import BuildContext
from tests.export.tiny_run import TinyNetwork


def constant(model, shape):
    return next(entry for entry in model.graph.initializer if tuple(entry.dims) == shape)


def change(entry, edit):
    entry.CopyFrom(
        numpy_helper.from_array(np.ascontiguousarray(edit(numpy_helper.to_array(entry))), entry.name)
    )


def nan_weight(model):
    def edit(weights):
        spoilt = weights.copy()
        spoilt[0, 0, 0, 0] = np.nan
        return spoilt

    change(constant(model, (24, 3, 3, 3)), edit)


def bgr_for_rgb(model):
    change(constant(model, (24, 3, 3, 3)), lambda weights: weights[:, ::-1])


def wrong_mean(model):
    change(constant(model, (1, 3, 1, 1)), lambda mean: mean + 8)


def shuffled_class(model):
    change(constant(model, (11, 24, 1, 1)), lambda weights: np.roll(weights, 1, axis=0))


def stale_weights(model):
    change(constant(model, (24, 3, 3, 3)), lambda weights: weights * np.float32(1.02))


def set_resize(model, mode):
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    next(a for a in resize.attribute if a.name == "coordinate_transformation_mode").s = mode


def align_corners_flipped(model):
    set_resize(model, b"half_pixel")


def half_pixel_shift(model):
    set_resize(model, b"asymmetric")


FAULTS = [
    nan_weight,
    bgr_for_rgb,
    wrong_mean,
    shuffled_class,
    stale_weights,
    align_corners_flipped,
    half_pixel_shift,
]


def copy_of(model):
    return onnx.ModelProto.FromString(model.SerializeToString())


def test_the_graph_as_exported_passes(open_gate, tiny_graph, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(tiny_graph, path)
    parity = open_gate().check("onnx-fp32", TARGETS["onnx-fp32"], path).parity
    assert parity.agreement == pytest.approx(1, abs=1e-3)
    assert parity.broken == ()


@pytest.mark.parametrize("target", ["onnx-fp32", "onnx-fp16"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_refused_by_name(open_gate, tiny_graph, tmp_path, fault, target):
    model = copy_of(tiny_graph)
    fault(model)
    path = tmp_path / "model.onnx"
    gate = open_gate(targets=(target,))
    TARGETS[target].build(BuildContext(model, gate.config, ()), path)
    with pytest.raises(ParityError, match=f"{target} is refused") as refusal:
        gate.check(target, TARGETS[target], path)
    assert refusal.value.stage == target


def test_a_truncated_file_is_refused_by_name(open_gate, tiny_graph, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_graph.SerializeToString()[:-200])
    with pytest.raises(ParityError, match=r"onnx-fp32 is refused: .*cannot be loaded"):
        open_gate().check("onnx-fp32", TARGETS["onnx-fp32"], path)


def test_a_refusal_leaves_figures_and_pictures(open_gate, tiny_graph, tmp_path):
    model = copy_of(tiny_graph)
    bgr_for_rgb(model)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ParityError, match=r"mask agreement 0\.\d+ is below 0\.999.*package\.rejected"):
        open_gate(parity={"worst_images": 2}).check(
            "onnx-fp32", TARGETS["onnx-fp32"], tmp_path / "model.onnx"
        )
    rejected = tmp_path / "package.rejected"
    assert len(list((rejected / "worst/onnx-fp32").glob("*.png"))) == 2
    assert {"parity.json", "accuracy.json", "settings.json"} <= {file.name for file in rejected.iterdir()}


def test_a_mask_of_unknown_classes_is_refused(open_gate, tiny_graph, tmp_path):
    model = copy_of(tiny_graph)
    scores = onnx.helper.make_node("Concat", ["old_logits", "old_logits"], ["twice"], axis=1)
    argmax = next(node for node in model.graph.node if node.op_type == "ArgMax")
    scores.input[:] = [argmax.input[0]] * 2
    argmax.input[0] = "twice"
    next(a for a in argmax.attribute if a.name == "select_last_index").i = 1
    model.graph.node.insert(len(model.graph.node) - 2, scores)
    onnx.save(model, tmp_path / "model.onnx")
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
