"""Structured distillation: its three terms together, and the authors' golden files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.losses.logits import logit_kd
from distill.losses.pair_wise import pair_wise
from distill.methods import METHODS
from distill.methods.method import Method, Pair, StepContext
from distill.methods.skd import SkdSettings
from distill.networks.output import FeatureInfo, SegOutput
from distill.replay import run_replay
from modelpack.errors import SettingsError
from modelpack.settings import parse_settings

GOLDEN = Path(__file__).parents[1] / "golden"
WIDTHS = {"student": 4, "teacher": 6}
CONTEXT = StepContext(step=0, sample_seeds=(1, 2))
SMALL = {"adversary": {"width": 2}}


def output(role: str, side: int = 64) -> SegOutput:
    generator = torch.Generator().manual_seed(WIDTHS[role])
    logits = torch.randn(2, 3, side, side, generator=generator).requires_grad_()
    feature = torch.randn(2, WIDTHS[role], side, side, generator=generator).requires_grad_()
    return SegOutput(logits, aux_logits=None, features={"head": feature}, padded_size=(512, 512))


def method(**settings: object) -> Method:
    infos = [{"head": FeatureInfo(width, 8)} for width in WIDTHS.values()]
    made = METHODS["skd"].build(
        parse_settings(SkdSettings, SMALL | settings, "skd"), Pair(*infos, num_classes=3)
    )
    assert isinstance(made, Method)
    return made


def terms(made: Method, context: StepContext = CONTEXT, side: int = 64) -> dict[str, Tensor]:
    labels = torch.zeros(2, 512, 512, dtype=torch.uint8)
    return made(output("student", side), output("teacher"), labels, context)


def test_pixel_and_pair_wise_terms_are_those_of_the_losses():
    student, teacher = output("student"), output("teacher")
    got = terms(method())
    features = student.feature("head"), teacher.feature("head")
    torch.testing.assert_close(got["pixel"], logit_kd(student.logits, teacher.logits, temperature=1.0))
    torch.testing.assert_close(got["pair"], pair_wise(*features))


def test_settings_reach_the_losses():
    student, teacher = output("student"), output("teacher")
    got = terms(method(pair_form="half_map", pool_scale=0.25, pixel_reduction="batch_sum"))
    features = student.feature("head"), teacher.feature("head")
    pixel = logit_kd(student.logits, teacher.logits, temperature=1.0, reduction="batch_sum")
    torch.testing.assert_close(got["pixel"], pixel)
    torch.testing.assert_close(got["pair"], pair_wise(*features, form="half_map", pool_scale=0.25))


def test_the_sum_over_the_batch_is_that_of_all_shards():
    made = method(pixel_reduction="batch_sum", pair_weight=0, adversarial_weight=0)
    alone, shared = (terms(made, replace(CONTEXT, shards=shards))["pixel"] for shards in (1, 4))
    torch.testing.assert_close(shared, 4 * alone)


def test_the_discriminator_moves_on_after_the_step():
    made = method()
    before = {name: p.clone() for name, p in made.named_parameters()}
    terms(made)["adversarial"].backward()
    made.finish_step(CONTEXT)
    assert any(not torch.equal(p, before[name]) for name, p in made.named_parameters())


@pytest.mark.parametrize("term", ["pixel", "pair", "adversarial"])
def test_a_term_of_weight_0_is_neither_built_nor_computed(term):
    settings = SkdSettings(**{f"{term}_weight": 0})
    made = method(**{f"{term}_weight": 0})
    assert terms(made).keys() == settings.weights().keys() == {"pixel", "pair", "adversarial"} - {term}
    assert bool(settings.student_features()) == (term != "pair")
    assert bool(list(made.parameters())) == (term != "adversarial")
    made.finish_step(CONTEXT)


def test_a_student_of_another_stride_is_brought_onto_the_teachers_grid():
    assert all(torch.isfinite(value) for value in terms(method(), side=32).values())


def test_without_any_weight_nothing_is_left():
    nothing = {"pixel_weight": 0, "pair_weight": 0, "adversarial_weight": 0}
    with pytest.raises(SettingsError, match="no term has a weight"):
        parse_settings(SkdSettings, nothing, "methods.0")


def test_the_adversarial_term_alone_can_be_added_to_any_method():
    entry = METHODS["adversarial"]
    settings = parse_settings(entry.settings, SMALL, "methods.1")
    made = entry.build(settings, Pair({}, {}, num_classes=3))
    value = terms(made)["deceive"]
    value.backward()
    before = {name: p.clone() for name, p in made.named_parameters()}
    made.finish_step(CONTEXT)
    assert settings.weights() == {"deceive": 0.001}
    assert any(not torch.equal(p, before[name]) for name, p in made.named_parameters())


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("skd_*.npz")), ids=lambda path: path.stem)
def test_losses_and_gradients_of_the_authors_are_reproduced(path):
    lines, is_right = run_replay([path])
    assert is_right, lines
    assert [line.split("dtype=")[1].split()[0] for line in lines] == ["float64", "float32"]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("skd_pixel_case1", "loss_f64"),
        ("skd_pixel_case1", "grad_student_f32"),
        ("skd_pair_case1", "loss_halfmap_f64"),
        ("skd_pair_case2", "loss_pool2_f32"),
        ("skd_pair_case2", "grad_student_halfmap_f64"),
        ("skd_pair_case1", "grad_student_pool2_f64"),
        *[
            ("skd_adv_case1", f"{array}_f64")
            for array in (
                *("loss_d_hinge", "loss_g_hinge", "loss_d_wgan_gp", "loss_g_wgan_gp", "loss_gp"),
                *("grad_score_student_d_hinge", "grad_score_teacher_d_wgan_gp", "grad_gp_w1", "grad_gp_w2"),
                *("sn_out", "sn_u_after", "sn_v_after", "sn_weight_effective", "sn_grad_weight_bar"),
                *("sn_grad_x", "attn_out", "attn_matrix", "attn_grad_x"),
            )
        ],
    ],
)
def test_every_array_on_file_is_compared(tmp_path, name, array):
    _, is_right = run_replay([changed(tmp_path, name, array)])
    assert not is_right


@pytest.mark.parametrize(
    ("name", "meta"), [("skd_pair_case1", {"pool_scale": 0.25}), ("skd_adv_case1", {"lambda_gp": 1.0})]
)
def test_hyper_parameters_are_read_from_the_file(tmp_path, name, meta):
    _, is_right = run_replay([changed(tmp_path, name, meta=meta)])
    assert not is_right


def changed(tmp_path: Path, name: str, array: str | None = None, meta: dict | None = None) -> Path:
    """A copy of a golden file with one array off by a hundredth, or some of its meta replaced."""
    with np.load(GOLDEN / f"{name}.npz") as archive:
        content = dict(archive)
    if array is not None:
        content[array] = (content[array] * 0.99).astype(content[array].dtype)
    content["meta"] = np.asarray(json.dumps(json.loads(str(content["meta"])) | (meta or {})))
    path = tmp_path / f"{name}.npz"
    np.savez(path, **content)
    return path
