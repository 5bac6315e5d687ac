"""Knowledge adaptation: both terms, the auto-encoder, and the method around them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from distill.losses import affinity as affinity_module
from distill.losses.adaptation import adaptation
from distill.losses.affinity import affinity
from distill.losses.autoencoding import code_size, reconstruction
from distill.methods.autoencoder import Autoencoder, AutoencoderSettings
from distill.methods.ka import Ka, KaSettings, build_ka, prepare_ka
from distill.methods.method import Pair, StepContext
from distill.methods.preparation import Lesson
from distill.networks.output import FeatureInfo, SegOutput
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import parse_settings

EXACT = 1e-12
"""float64, relative."""
FORMS = ("published", "unscaled", "mean_square", "per_channel")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Adapted student and code, (2, 3, 2, 4)."""
    return noise(2, 3, 2, 4), noise(2, 3, 2, 4, seed=1).relu() + 0.01


def affinities(maps: Tensor) -> Tensor:
    """(positions, positions) cosines of one image (C, H, W), pair by pair."""
    rows = maps.flatten(1).T
    return torch.stack([torch.stack([a @ b / (a.norm() * b.norm()) for b in rows]) for a in rows])


def affinity_by_loop(student: Tensor, code: Tensor, form: str) -> float:
    total, positions = 0.0, student.shape[2] * student.shape[3]
    for s, t in zip(student, code, strict=True):
        if form == "per_channel":
            for channels in zip(s.flatten(1), t.flatten(1), strict=True):
                u, v = (channel / channel.norm() for channel in channels)
                total += ((torch.outer(u, u) - torch.outer(v, v)) / positions).norm().item()
            continue
        difference = affinities(s) - affinities(t)
        if form == "mean_square":
            total += difference.square().mean().item()
        else:
            total += difference.norm(dim=1).sum().item() / (positions if form == "published" else 1)
    return total / len(student)


@pytest.mark.parametrize("form", FORMS)
def test_affinity_is_the_formula_pair_by_pair(pair, form):
    assert affinity(*pair, form=form).item() == pytest.approx(affinity_by_loop(*pair, form), rel=EXACT)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_the_affinity_is_that_of_the_loss(pair, form):
    student = pair[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda s: affinity(s, pair[1], form=form), student)


@pytest.mark.parametrize("form", FORMS)
def test_affinity_and_gradient_do_not_depend_on_how_many_rows_are_formed_at_a_time(pair, form, monkeypatch):
    results = []
    for elements in (1, 24, 1 << 22):
        monkeypatch.setattr(affinity_module, "_CHUNK_ELEMENTS", elements)
        student = pair[0].clone().requires_grad_()
        loss = affinity(student, pair[1], form=form)
        loss.backward()
        results.append((loss.detach(), student.grad))
    for loss, gradient in results[1:]:
        torch.testing.assert_close((loss, gradient), results[0], rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("form", FORMS)
def test_equal_affinities_cost_nothing_and_push_nowhere(pair, form):
    student = pair[1].clone().requires_grad_()
    loss = affinity(student, pair[1], form=form)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=EXACT)
    assert student.grad.abs().max() < EXACT


@pytest.mark.parametrize("form", FORMS)
def test_a_position_without_direction_receives_no_gradient(pair, form):
    student = pair[0].clone()
    student[0, :, 0, 0] = 0
    student[1, 0] = 0
    student.requires_grad_()
    affinity(student, pair[1], form=form).backward()
    assert student.grad.isfinite().all()
    dead = student.grad[1, 0] if form == "per_channel" else student.grad[0, :, 0, 0]
    assert (dead == 0).all()


def test_affinity_compares_maps_of_different_widths(pair):
    code = torch.cat([pair[1], torch.zeros_like(pair[1])], dim=1)
    assert affinity(pair[0], code).item() == pytest.approx(affinity(*pair).item(), rel=EXACT)


def test_affinity_of_one_position_is_zero():
    assert affinity(noise(2, 3, 1, 1), noise(2, 3, 1, 1, seed=1)).item() == pytest.approx(0, abs=EXACT)


def test_affinity_under_autocast_is_float32(pair):
    student, code = (m.bfloat16() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = affinity(student, code)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, affinity(student, code))


def test_grids_and_widths_that_do_not_fit_are_named(pair):
    with pytest.raises(ShapeError, match=r"one grid, got student \(2, 3, 2, 3\) and code \(2, 3, 2, 4\)"):
        affinity(pair[0][..., :3], pair[1])
    with pytest.raises(ShapeError, match="one grid of one width"):
        affinity(pair[0][:, :2], pair[1], form="per_channel")
    with pytest.raises(ShapeError, match="Adapt the student's channels"):
        adaptation(pair[0][:, :2], pair[1])


def test_adaptation_by_position_is_the_papers_equation(pair):
    l1, l2 = 0.0, 0.0
    for s, t in zip(*(m.movedim(1, -1).flatten(0, 2) for m in pair), strict=True):
        difference = s / s.norm() - t / t.norm()
        l1 += difference.abs().sum().item() / 16
        l2 += difference.norm().item() / 16
    assert adaptation(*pair, unit="position").item() == pytest.approx(l1, rel=EXACT)
    assert adaptation(*pair, unit="position", distance="l2").item() == pytest.approx(l2, rel=EXACT)


def test_adaptation_by_map_normalises_each_image_as_one_vector(pair):
    differences = torch.stack([s / s.norm() - t / t.norm() for s, t in zip(*pair, strict=True)])
    assert adaptation(*pair).item() == pytest.approx(differences.abs().mean().item(), rel=EXACT)
    norms = differences.flatten(1).norm(dim=1)
    assert adaptation(*pair, distance="l2").item() == pytest.approx(norms.mean().item(), rel=EXACT)


def test_code_receives_no_gradient(pair):
    student, code = (m.clone().requires_grad_() for m in pair)
    (adaptation(student, code) + affinity(student, code)).backward()
    assert code.grad is None
    assert student.grad.abs().sum() > 0


# The auto-encoder


@pytest.mark.parametrize(("size", "code_size"), [((6, 8), (3, 4)), ((5, 7), (3, 4)), ((1, 1), (1, 1))])
def test_code_lies_on_half_the_grid_and_is_decoded_to_the_whole(size, code_size):
    autoencoder = Autoencoder(6, AutoencoderSettings(), "head").eval()
    feature = noise(2, 6, *size).float()
    code = autoencoder.encoder(feature)
    assert code.shape == (2, 3, *code_size)
    assert (code >= 0).all()
    assert autoencoder.decoder(code, size).shape == feature.shape


class Copying(nn.Module):
    """A teacher whose feature is its image."""

    def forward(self, images: Tensor) -> SegOutput:
        return SegOutput(images, None, {"head": images}, (images.shape[2], images.shape[3]))


def test_objective_is_reconstruction_and_size_of_the_code_over_all_processes():
    autoencoder = Autoencoder(3, AutoencoderSettings(width=2, stride=1), "head")
    feature = noise(2, 3, 4, 4).float()
    terms = autoencoder(Copying(), Lesson(feature, torch.zeros(2, 4, 4), torch.ones(()), processes=3))
    code = autoencoder.encoder(feature)
    decoded = autoencoder.decoder(code, (4, 4))
    assert terms["reconstruction"].item() == pytest.approx(reconstruction(decoded, feature).item(), rel=1e-5)
    assert terms["sparsity"].item() == pytest.approx(3 * code_size(code).item(), rel=1e-5)
    assert AutoencoderSettings().weights() == {"sparsity": 1e-7}


# The method


LABELS = torch.zeros(2, 16, 16, dtype=torch.uint8)


def output(channels: int, side: int, seed: int) -> SegOutput:
    feature = noise(2, channels, side, side, seed=seed).float().requires_grad_()
    return SegOutput(torch.zeros(2, 5, side, side), None, {"head": feature}, (16, 16))


def method(**settings: object) -> Ka:
    parsed = parse_settings(KaSettings, settings, "ka")
    pair = Pair({"head": FeatureInfo(4, 4)}, {"head": FeatureInfo(6, 2)}, 5)
    torch.manual_seed(0)
    return build_ka(parsed, replace(pair, prepared=prepare_ka(parsed, pair)))


@pytest.mark.parametrize("side", [4, 8, 3])
def test_students_of_any_grid_are_brought_to_the_code(side):
    built = method()
    student = output(4, side, seed=0)
    terms = built(student, output(6, 8, seed=1), LABELS, StepContext(0, (0, 1)))
    assert terms.keys() == {"feature", "affinity"}
    torch.stack(list(terms.values())).sum().backward()
    assert student.feature("head").grad.abs().sum() > 0


def test_encoder_is_frozen_with_the_statistics_that_it_was_trained_with():
    built = method().train()
    before = {name: tensor.clone() for name, tensor in built.encoder.state_dict().items()}
    built(output(4, 8, seed=0), output(6, 8, seed=1), LABELS, StepContext(0, (0, 1)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.encoder.state_dict().items())
    assert not any(parameter.requires_grad for parameter in built.encoder.parameters())
    assert built.adapter.training


def test_only_what_is_asked_for_is_built():
    built = method(affinity_weight=0, adapter_layers=3)
    assert not hasattr(built, "affinity_adapter")
    assert sum(isinstance(layer, nn.Conv2d) for layer in built.adapter) == 3
    assert not hasattr(method(feature_weight=0), "adapter")


def test_a_method_without_any_term_is_refused():
    with pytest.raises(SettingsError, match="nothing is left"):
        parse_settings(KaSettings, {"feature_weight": 0, "affinity_weight": 0}, "ka")


def test_published_affinity_is_the_unscaled_one_over_the_positions(pair):
    unscaled = affinity(*pair, form="unscaled").item()
    assert affinity(*pair).item() == pytest.approx(unscaled / math.prod(pair[0].shape[2:]), rel=EXACT)
