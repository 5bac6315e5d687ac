"""The Af-DCD method: its path from student to teacher features, its masks, and its settings."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from distill.losses.contrast import omni_contrast
from distill.losses.imitation import imitation
from distill.methods import METHODS
from distill.methods.afdcd import AfDcdSettings
from distill.methods.masks import centre_mask, random_mask
from distill.methods.method import Method, Pair, StepContext
from distill.networks.output import FeatureInfo, SegOutput
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import parse_settings

CONTEXT = StepContext(step=0, sample_seeds=(11, 12))
SMALL = {"name": "afdcd", "groups": 4, "patch": 2, "reduce": "crop"}


def build(student_channels: int = 6, teacher_channels: int = 8, **changes: object) -> Method:
    settings = parse_settings(AfDcdSettings, SMALL | changes, "test")
    pair = Pair(
        {"stage4": FeatureInfo(student_channels, 8)},
        {"stage4": FeatureInfo(teacher_channels, 8)},
        num_classes=3,
    )
    torch.manual_seed(0)
    return METHODS["afdcd"].build(settings, pair)


def output(channels: int, height: int = 8, width: int = 10, seed: int = 0, padded: int = 64) -> SegOutput:
    feature = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed))
    return SegOutput(torch.zeros(2, 3, height, width), None, {"stage4": feature}, (padded, padded))


def losses(
    method: Method, student: SegOutput, teacher: SegOutput, context: StepContext = CONTEXT
) -> dict[str, Tensor]:
    return method(student, teacher, torch.zeros(2, 64, 64, dtype=torch.uint8), context)


def test_default_weights_are_the_published_ones_of_cityscapes():
    settings = AfDcdSettings()
    assert settings.weights() == {"imitation": 2e-6, "contrast": 5e-3}
    assert (settings.groups, settings.patch, settings.temperature) == (16, (4, 4), 0.07)
    assert str(settings.reduce) == "pool(4)"


@pytest.mark.parametrize("generator", ["plain", "enhanced", "none"])
@pytest.mark.parametrize("mask", ["random", "centre", "none"])
def test_terms_are_those_of_the_generated_features(generator, mask):
    method = build(generator=generator, mask=mask)
    student, teacher = output(6), output(8, seed=1)
    masks = {
        "random": random_mask(CONTEXT.uniform(8, 10, torch.device("cpu")), 0.75),
        "centre": centre_mask(8, 10),
        "none": torch.ones(1),
    }
    generated = method.path.generator(method.path.align(student.feature("stage4")) * masks[mask])
    taught = teacher.feature("stage4")
    expected = {
        "imitation": imitation(generated, taught),
        "contrast": omni_contrast(generated, taught, groups=4, patch=(2, 2), temperature=0.07),
    }
    torch.testing.assert_close(losses(method, student, teacher), expected)


def test_plain_generator_is_two_convolutions_and_enhanced_four():
    assert [tuple(p.shape) for p in build(generator="plain").path.generator.parameters()] == [
        (8, 8, 3, 3),
        (8,),
    ] * 2
    assert [tuple(p.shape) for p in build(generator="enhanced").path.generator.parameters()] == [
        (8, 8, 3, 3),
        (8,),
    ] * 4


def test_equal_widths_need_no_alignment():
    method = build(student_channels=8)
    assert not list(method.path.align.parameters())
    assert losses(method, output(8), output(8, seed=1)).keys() == {"imitation", "contrast"}


def test_a_student_that_equals_the_teacher_has_nothing_to_imitate():
    same = output(8)
    terms = losses(build(student_channels=8, mask="none", generator="none"), same, same)
    assert terms["imitation"].item() == 0


def test_the_teacher_receives_no_gradient_and_the_student_and_its_layers_do():
    method = build()
    student, teacher = output(6), output(8, seed=1)
    leaves = [o.feature("stage4").requires_grad_() for o in (student, teacher)]
    sum(losses(method, student, teacher).values()).backward()
    assert leaves[0].grad.abs().sum() > 0
    assert leaves[1].grad is None
    assert all(p.grad.abs().sum() > 0 for p in method.parameters())


def test_a_student_on_another_grid_is_resized_to_the_teachers():
    method = build(student_channels=8, mask="none", generator="none")
    fine = output(8, 9, 9)
    coarse = torch.nn.functional.interpolate(
        fine.feature("stage4"), size=(5, 5), mode="bilinear", align_corners=True
    )
    expected = torch.nn.functional.interpolate(coarse, size=(9, 9), mode="bilinear", align_corners=True)
    got = losses(method, replace(fine, features={"stage4": coarse}), fine)
    torch.testing.assert_close(got["imitation"], imitation(expected, fine.feature("stage4")))


def test_imitation_alone_builds_no_contrast():
    method = build(contrast=False, groups=3)  # groups that would not divide
    assert losses(method, output(6), output(8)).keys() == {"imitation"}
    assert method.settings.weights().keys() == {"imitation"}


def test_contrast_alone_builds_no_imitation():
    method = build(imitation_weight=0)
    assert losses(method, output(6), output(8)).keys() == {"contrast"}
    assert method.settings.weights().keys() == {"contrast"}


def test_spatial_contrasting_is_a_setting():
    method = build(student_channels=8, mask="none", generator="none", groups=1, negatives="all", patch=[4, 5])
    student, teacher = output(8), output(8, seed=1)
    expected = omni_contrast(
        student.feature("stage4"),
        teacher.feature("stage4"),
        groups=1,
        patch=(4, 5),
        temperature=0.07,
        negatives="all",
    )
    torch.testing.assert_close(losses(method, student, teacher)["contrast"], expected)
    assert expected > 0


def test_channel_contrasting_is_a_setting():
    method = build(student_channels=8, mask="none", generator="none", patch=1)
    student, teacher = output(8), output(8, seed=1)
    expected = omni_contrast(
        student.feature("stage4"), teacher.feature("stage4"), groups=4, patch=(1, 1), temperature=0.07
    )
    torch.testing.assert_close(losses(method, student, teacher)["contrast"], expected)


@pytest.mark.parametrize(
    ("name", "same"), [("spatial", {"groups": 1, "negatives": "all"}), ("channel", {"patch": 1})]
)
def test_the_ablations_of_the_paper_have_names(name, same):
    named, spelt = build(mask="none", contrasting=name), build(mask="none", **same)
    maps = output(6), output(8, seed=1)
    assert losses(named, *maps)["contrast"] == losses(spelt, *maps)["contrast"]


def test_spatial_and_channel_contrasting_are_summed():
    maps = output(6), output(8, seed=1)
    both, spatial, channel = (
        losses(build(mask="none", contrasting=name), *maps)["contrast"]
        for name in ("spatial_and_channel", "spatial", "channel")
    )
    torch.testing.assert_close(both, spatial + channel)


def test_maps_that_the_patch_does_not_divide_are_cropped():
    terms = losses(build(patch=4), output(6, 9, 11), output(8, 9, 11))
    assert torch.isfinite(terms["contrast"])


def test_losses_are_float32_inside_autocast():
    method = build(normalisation="per_element")
    with torch.autocast("cpu", torch.bfloat16):
        terms = losses(method, output(6), output(8, seed=1))
    assert {t.dtype for t in terms.values()} == {torch.float32}


def test_random_masks_belong_to_the_images_not_to_the_batch():
    whole = CONTEXT.uniform(4, 5, torch.device("cpu"))
    second = replace(CONTEXT, sample_seeds=(12,)).uniform(4, 5, torch.device("cpu"))
    assert torch.equal(random_mask(whole, 0.5)[1:], random_mask(second, 0.5))


def test_random_mask_erases_draws_above_one_minus_ratio():
    uniform = torch.tensor([0.0, 0.24, 0.25, 0.26, 0.99]).view(1, 1, 1, 5)
    assert random_mask(uniform, 0.75).flatten().tolist() == [1, 1, 1, 0, 0]


def test_centre_mask_erases_the_middle_third():
    mask = centre_mask(7, 10)
    assert mask.sum() == 70 - 2 * 3
    assert mask[0, 0, 2:4, 3:6].sum() == 0


def test_groups_that_do_not_divide_the_teacher_are_refused_when_built():
    with pytest.raises(ShapeError, match=r"3 groups do not divide 8 channels.*1, 2, 4, 8\."):
        build(groups=3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"contrast": False, "imitation_weight": 0}, "nothing is left"),
        ({"groups": 1}, "nothing to contrast with"),
        ({"groups": 1, "negatives": "all", "patch": 1}, "nothing to contrast with"),
        ({"reduce": "pool"}, r"reduce is pool\(K\), crop or none, got 'pool'"),
        ({"temperature": 0}, "temperature = 0"),
        ({"mask_ratoi": 0.5}, "Did you mean 'mask_ratio'"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        parse_settings(AfDcdSettings, SMALL | changes, "methods.0")


def test_settings_survive_being_written_and_read():
    settings = parse_settings(AfDcdSettings, SMALL | {"reduce": "pool(3)"}, "test")
    assert parse_settings(AfDcdSettings, settings.model_dump(mode="json"), "test") == settings
