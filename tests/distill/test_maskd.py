"""MasKD: masks, both stages, and the method around them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distill.assemble import assemble
from distill.compute import Compute
from distill.distributed import Processes
from distill.losses.masked import mask_overlap, masked_error, receptive_masks, weighted_masked_error
from distill.methods.maskd import Maskd, MaskdSettings, build_maskd, prepare_maskd
from distill.methods.method import Pair, StepContext
from distill.networks import build_network
from distill.networks.output import FeatureInfo, SegOutput
from distill.replay import run_replay
from distill.weights import save_weights
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import parse_settings
from tests.distill.small_networks import CLASSES
from tests.distill.tiny_recipe import tiny_config

GOLDEN = Path(__file__).parents[1] / "golden"
EXACT = 1e-12
"""float64, relative."""
LABELS = torch.zeros(2, 8, 8, dtype=torch.uint8)
CONTEXT = StepContext(step=5, sample_seeds=(0, 1))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def maps() -> tuple[Tensor, Tensor, Tensor]:
    """Student and teacher (2, 3, 2, 3), masks (2, 4, 2, 3)."""
    return noise(2, 3, 2, 3), noise(2, 3, 2, 3, seed=1), noise(2, 4, 2, 3, seed=2).sigmoid()


def errors_by_loop(student: Tensor, teacher: Tensor, masks: Tensor, no_area: float) -> Tensor:
    """(N, T, C): every masked map written out."""
    errors = torch.zeros(student.shape[0], masks.shape[1], student.shape[1], dtype=torch.float64)
    for image, token, channel in torch.cartesian_prod(*map(torch.arange, errors.shape)).tolist():
        mask = masks[image, token]
        difference = mask * student[image, channel] - mask * teacher[image, channel]
        errors[image, token, channel] = (difference**2).sum() / (mask.sum() + no_area)
    return errors


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("maskd_*.npz")), ids=lambda path: path.stem)
def test_masks_and_losses_of_the_authors_are_reproduced(path):
    lines, is_right = run_replay([path])
    assert is_right, lines
    assert [line.split()[1] for line in lines] == ["dtype=float64", "dtype=float32"]


def test_segmentation_form_is_half_the_mean_of_masked_errors(maps):
    expected = 0.5 * errors_by_loop(*maps, no_area=1e-5).mean()
    assert masked_error(*maps).item() == pytest.approx(expected.item(), rel=EXACT)


def test_detection_form_weighs_tokens_and_halves_nothing(maps):
    weights = noise(2, 4, seed=3).softmax(dim=1)
    expected = (errors_by_loop(*maps, no_area=0).mean(2) * weights).sum(1).mean()
    assert weighted_masked_error(*maps, weights).item() == pytest.approx(expected.item(), rel=EXACT)


def test_gradients_are_those_of_the_loss_and_reach_the_student_alone(maps):
    student, teacher, masks = (m.clone().requires_grad_() for m in maps)
    assert torch.autograd.gradcheck(lambda s: masked_error(s, teacher, masks), student)
    masked_error(student, teacher, masks).backward()
    assert (teacher.grad, masks.grad) == (None, None)


def test_equal_maps_cost_nothing(maps):
    assert masked_error(maps[1], maps[1], maps[2]).item() == 0


def test_a_mask_that_covers_nothing_costs_nothing(maps):
    student, teacher, masks = maps
    assert masked_error(student, teacher, 0 * masks).item() == 0
    assert weighted_masked_error(student, teacher, 0 * masks, torch.full((2, 4), 0.25)).item() == 0


def test_half_precision_logits_of_any_size_give_a_finite_float32():
    student = torch.full((1, 2, 2, 2), 6e4, dtype=torch.float16)
    loss = masked_error(student, -student, torch.ones(1, 3, 2, 2))
    assert loss.dtype == torch.float32
    assert loss.isfinite()


def test_overlap_is_the_mean_dice_of_ordered_pairs(maps):
    flat = maps[2].flatten(2)
    pairs = [
        2 * (one[a] @ one[b]) / (one[a] @ one[a] + one[b] @ one[b])
        for one in flat
        for a in range(4)
        for b in range(4)
        if a != b
    ]
    assert mask_overlap(maps[2]).item() == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-10)


def test_a_single_token_overlaps_with_nothing(maps):
    assert mask_overlap(maps[2][:, :1]).item() == 0


def test_shapes_that_do_not_fit_are_named(maps):
    with pytest.raises(ShapeError, match=r"student \(2, 2, 2, 3\), teacher \(2, 3, 2, 3\).*channels"):
        masked_error(maps[0][:, :2], *maps[1:])
    with pytest.raises(ShapeError, match=r"maps .* \(2, 3, 2, 3\) and \(4, 5\). Learn the tokens on the map"):
        receptive_masks(maps[0], torch.zeros(4, 5))


# The method


def output(seed: int, side: int = 4, channels: int = 6, *, has_aux: bool = False) -> SegOutput:
    logits, aux = noise(2, CLASSES, side, side, seed=seed), noise(2, CLASSES, side, side, seed=seed + 50)
    features = {"head": noise(2, channels, side, side, seed=seed + 100).float().requires_grad_()}
    return SegOutput(logits.float().requires_grad_(), aux.float() if has_aux else None, features, (8, 8))


def method(student_channels: int = 6, **settings: object) -> Maskd:
    parsed = parse_settings(MaskdSettings, settings, "maskd")
    pair = Pair({"head": FeatureInfo(student_channels, 2)}, {"head": FeatureInfo(6, 2)}, CLASSES)
    torch.manual_seed(0)
    return build_maskd(parsed, replace(pair, prepared=prepare_maskd(parsed, pair)))


def test_auxiliary_heads_count_with_their_share_where_both_networks_have_one():
    student, teacher = output(0, has_aux=True), output(1, has_aux=True)
    built = method(aux_weight=0.4)
    alone = built(student, replace(teacher, aux_logits=None), LABELS, CONTEXT)["logits"]
    both = built(student, teacher, LABELS, CONTEXT)["logits"]
    aux = masked_error(student.aux_logits, teacher.aux_logits, built.tokens.logits.masks(teacher.aux_logits))
    assert both.item() == pytest.approx(alone.item() + 0.4 * aux.item(), rel=1e-6)


@pytest.mark.parametrize(("aux_weight", "is_given"), [(0.4, True), (0, False)])
def test_a_published_teacher_gives_its_auxiliary_logits_where_they_are_asked_for(
    tmp_path, aux_weight, is_given
):
    network, checkpoint = "pspnet_resnet18", tmp_path / "teacher.safetensors"
    save_weights(build_network(network, CLASSES), checkpoint)
    config = tiny_config(
        tmp_path,
        teacher={"network": network, "checkpoint": str(checkpoint)},
        methods=[{"name": "maskd", "aux_weight": aux_weight}],
    )
    trainer = assemble(config, CLASSES, Compute.choose(config.compute), Processes())
    taught = trainer.step.teacher(torch.zeros(1, 3, 48, 64))
    assert (taught.aux_logits is not None) == is_given


def test_customised_masks_are_those_of_both_networks_from_the_given_step_on():
    student, teacher = output(0), output(1)
    settings = {"logits_weight": 0, "feature_weight": 7}
    never, later, now = (
        method(**settings, customise_from=step)(student, teacher, LABELS, CONTEXT)["feature"].item()
        for step in (None, 6, 5)
    )
    assert never == later
    tokens = method(**settings).tokens.feature
    learned, taught = student.feature("head").detach(), teacher.feature("head").detach()
    masks = tokens.masks(taught) * tokens.masks(learned)
    expected = weighted_masked_error(learned, taught, masks, tokens.token_weights(taught)).item()
    assert now == pytest.approx(expected, rel=1e-6)


def test_another_width_and_grid_of_the_student_are_brought_to_the_teachers():
    built = method(student_channels=3, feature_weight=7)
    assert isinstance(built.align, nn.Conv2d)
    terms = built(output(0, side=7, channels=3), output(1), LABELS, CONTEXT)
    assert terms.keys() == {"logits", "feature"}
    torch.stack(list(terms.values())).sum().backward()
    assert built.align.weight.grad.abs().sum() > 0


def test_tokens_stay_as_they_are():
    assert [p for p in method(feature_weight=7).tokens.parameters() if p.requires_grad] == []


def test_a_method_without_any_term_is_refused():
    with pytest.raises(SettingsError, match="nothing is left"):
        parse_settings(MaskdSettings, {"logits_weight": 0}, "maskd")
