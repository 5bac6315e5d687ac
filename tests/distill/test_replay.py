"""Golden files of the authors' code, and what replay does with files that are wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.replay import run_replay
from modelpack.errors import RuntimeUnavailableError

GOLDEN = Path(__file__).parents[1] / "golden"
NETWORKS = set(GOLDEN.glob("network_*.npz"))
LOSS_LINE = re.compile(
    r"\S+ dtype=(float64|float32) loss_rel_err=\S+ grad_rel_err=\S+( output_rel_err=\S+)? (ok|FAIL)"
)
OUTPUT_LINE = re.compile(r"\S+ dtype=(float64|float32) output_rel_err=\S+ (ok|FAIL)")


def changed(
    tmp_path: Path, name: str, *, meta: dict | None = None, drop: tuple[str, ...] = (), **arrays
) -> Path:
    """A copy of a golden file with some arrays multiplied, dropped or some of its meta replaced."""
    with np.load(GOLDEN / name) as archive:
        content = dict(archive)
    for array, factor in arrays.items():
        content[array] = (content[array] * factor).astype(content[array].dtype)
    content["meta"] = np.asarray(json.dumps(json.loads(str(content["meta"])) | (meta or {})))
    path = tmp_path / name
    np.savez(path, **{key: value for key, value in content.items() if key not in drop})
    return path


@pytest.mark.parametrize("path", sorted(set(GOLDEN.glob("*.npz")) - NETWORKS), ids=lambda path: path.stem)
def test_losses_and_gradients_of_the_authors_are_reproduced(path):
    lines, is_right = run_replay([path])
    assert is_right, lines
    losses = [line for line in lines if LOSS_LINE.fullmatch(line)]
    assert [LOSS_LINE.fullmatch(line)[1] for line in losses] == ["float64", "float32"]


@pytest.mark.parametrize("path", sorted(NETWORKS), ids=lambda path: path.stem)
def test_outputs_of_the_authors_networks_are_reproduced(path):
    lines, is_right = run_replay([path])
    assert is_right, lines
    assert [OUTPUT_LINE.fullmatch(line)[1] for line in lines] == ["float64", "float32"]


def test_metrics_of_the_authors_stand_on_the_line_of_their_losses():
    lines, is_right = run_replay([GOLDEN / "afdcd_logits.npz"])
    assert is_right, lines
    assert len(lines) == 2
    assert all(
        re.search(r" loss_rel_err=\S+ grad_rel_err=\S+ output_rel_err=\S+ ok$", line) for line in lines
    )


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("afdcd_core_m4_p2_pool4.npz", "loss_f64"),
        ("afdcd_core_m4_p2_pool4.npz", "loss_sum_over_batch_f32"),
        ("afdcd_core_m4_p2_pool4.npz", "grad_pred_f64"),
        ("afdcd_core_m4_p2_pool4.npz", "grad_target_f32"),
        ("afdcd_full_enhanced_randmask_m8.npz", "loss_fd_f64"),
        ("afdcd_full_enhanced_randmask_m8.npz", "loss_ctr_f64"),
        ("afdcd_full_enhanced_randmask_m8.npz", "grad_student_fd_f64"),
        ("afdcd_full_enhanced_randmask_m8.npz", "grad_ctr__align_weight"),
        ("afdcd_full_enhanced_randmask_m8.npz", "grad_fd__projector_adapter_2_bias"),
        ("afdcd_full_enhanced_randmask_m8.npz", "mask"),
        ("afdcd_full_plain_centermask_m16.npz", "w__projector_2_weight"),
        ("afdcd_logits.npz", "kd_T4_f64"),
        ("afdcd_logits.npz", "grad_kd_T1_f64"),
        ("afdcd_logits.npz", "task_aux_f64"),
        ("afdcd_logits.npz", "task_total_f32"),
        ("afdcd_logits.npz", "grad_task_aux_f64"),
        ("afdcd_logits.npz", "metric_union"),
        ("afdcd_logits.npz", "metric_miou_authors"),
        ("afdcd_logits.npz", "metric_pixacc_authors"),
        ("ka_case1.npz", "loss_aff_eq_sum_over_m_f64"),
        ("ka_case1.npz", "grad_adapt_eq_p2_f64"),
        ("ka_case1.npz", "grad_aff_torchdistill_f32"),
        ("ka_case1.npz", "loss_ae_mse_l1sum_f64"),
        ("kd_case2.npz", "loss_elementwise_mean_f64"),
        ("kd_case2.npz", "grad_student_elementwise_mean_f64"),
        ("maskd_case1.npz", "masks_f64"),
        ("maskd_case1.npz", "stage1_masked_logits_f64"),
        ("maskd_case1.npz", "grad_stage1_dice_token_f64"),
        ("maskd_case1.npz", "grad_student_f64"),
        ("maskd_case1.npz", "loss_detection_custom_f64"),
        ("maskd_case1.npz", "grad_student_detection_weighted_f64"),
        ("at_case1.npz", "loss_f64"),
        ("at_case1.npz", "grad_student_f32"),
        ("cirkd_memory_case1.npz", "loss_pixel_f64"),
        ("cirkd_memory_case1.npz", "loss_region_f32"),
        ("cirkd_memory_case1.npz", "grad_pixel_student_f64"),
        ("cirkd_memory_case1.npz", "grad_region_conv1_f64"),
        ("cirkd_memory_case1.npz", "grad_pixel_bn_bias_f64"),
        ("cirkd_memory_case2.npz", "grad_region_conv2_f32"),
        ("cirkd_memory_case2.npz", "pixel_queue_after_f64"),
        ("cirkd_memory_case2.npz", "region_queue_after_f32"),
        ("cirkd_memory_case2.npz", "pixel_ptr_after"),
        ("cirkd_memory_case2.npz", "bn_running_var_after_f64"),
        ("cirkd_minibatch_case2.npz", "loss_f64"),
        ("cirkd_minibatch_case2.npz", "grad_student_f32"),
        ("cwd_feat_case1.npz", "loss_f64"),
        ("cwd_feat_case1.npz", "grad_student_f64"),
        ("cwd_feat_case1.npz", "grad_align_weight_f64"),
        ("cwd_logit_case2.npz", "loss_f64"),
        ("cwd_logit_case2.npz", "grad_student_f32"),
        ("cwd_logit_case2.npz", "loss_cross_entropy_form_f64"),
        ("fitnet_case1.npz", "loss_f32"),
        ("fitnet_case1.npz", "grad_student_f64"),
        ("fitnet_case1.npz", "grad_align_weight_f64"),
        ("ifvd_case2.npz", "loss_f64"),
        ("ifvd_case2.npz", "grad_student_f64"),
    ],
)
def test_every_array_on_file_is_compared(tmp_path, name, array):
    _, is_right = run_replay([changed(tmp_path, name, **{array: 0.99 if array != "mask" else 0})])
    assert not is_right


def test_hyper_parameters_are_read_from_the_file(tmp_path):
    for change in ({"M": 8}, {"patch": [4, 2]}, {"tau": 0.4}, {"pool": 2}):
        lines, is_right = run_replay([changed(tmp_path, "afdcd_core_m4_p2_pool4.npz", meta=change)])
        assert not is_right, (change, lines)


def test_logits_without_auxiliary_head_or_metric_are_replayed(tmp_path):
    absent = ("logits_aux", "task_aux_f64", "task_aux_f32", "task_total_f64", "task_total_f32")
    absent += ("grad_task_aux_f64", "metric_pred")
    lines, is_right = run_replay([changed(tmp_path, "afdcd_logits.npz", drop=absent)])
    assert is_right, lines
    assert len(lines) == 2


def test_a_method_that_is_not_there_yet_is_skipped(tmp_path):
    path = tmp_path / "new_case1.npz"
    np.savez(path, meta=np.asarray(json.dumps({"method": "new pair-wise"})))
    assert run_replay([path]) == ([f"{path} skip new"], True)


def test_a_file_of_unknown_kind_fails_by_name(tmp_path):
    path = changed(tmp_path, "kd_case1.npz", meta={"kind": "surprise"})
    lines, is_right = run_replay([path])
    assert not is_right
    assert lines[0].startswith(f"{path} FAIL unknown kind 'surprise'")


def test_a_file_with_nothing_to_compare_fails(tmp_path):
    drop = ("loss_f64", "loss_f32", "loss_elementwise_mean_f64", "loss_elementwise_mean_f32")
    _, is_right = run_replay([changed(tmp_path, "kd_case1.npz", drop=drop)])
    assert not is_right


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"plain text"])
def test_a_damaged_file_is_one_line_and_the_next_is_still_replayed(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    lines, is_right = run_replay([path, GOLDEN / "kd_case1.npz"])
    assert not is_right
    assert lines[0].startswith(f"{path} FAIL not a golden file")
    assert [line.endswith(" ok") for line in lines[1:]] == [True, True]


def test_a_missing_file_fails(tmp_path):
    lines, is_right = run_replay([tmp_path / "none.npz"])
    assert (lines, is_right) == ([f"{tmp_path / 'none.npz'} FAIL there is no such file."], False)


def test_a_missing_array_is_named(tmp_path):
    lines, _ = run_replay([changed(tmp_path, "kd_case1.npz", drop=("teacher_logits",))])
    assert "array 'teacher_logits' is missing" in lines[0]


def test_network_parameters_of_another_name_are_listed(tmp_path):
    with np.load(GOLDEN / "network_pspnet_resnet18.npz") as archive:
        shapes = json.loads(str(archive["meta"]))["parameters"]
    shapes["head.extra.weight"] = [1]
    path = changed(tmp_path, "network_pspnet_resnet18.npz", meta={"parameters": shapes})
    lines, _ = run_replay([path])
    assert "parameters differ from ours in name or shape: head.extra.weight (1 in all)" in lines[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_before_anything_is_read():
    with pytest.raises(RuntimeUnavailableError, match="torch sees no CUDA device"):
        run_replay([Path("none.npz")], "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.npz")), ids=lambda path: path.stem)
def test_cuda_reproduces_the_authors(path):
    lines, is_right = run_replay([path], "cuda")
    assert is_right, lines
