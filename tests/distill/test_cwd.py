"""Channel-wise distillation: the loss, and the method around it."""

import math

import pytest
import torch
from torch import Tensor, nn

from distill.losses.channel_wise import channel_wise
from distill.methods.cwd import CwdSettings
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import parse_settings
from tests.distill.feature_pairs import CLASSES, built, noise, output_of, terms_of

EXACT = 1e-12
"""float64, relative."""


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    return 2 * noise(2, 3, 4, 5, seed=1), 2 * noise(2, 3, 4, 5, seed=2)


def softmax_by_loop(values: list[float], temperature: float) -> list[float]:
    exponentials = [math.exp(value / temperature) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def divergence_by_loop(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """Sum over images and channels of KL(teacher || student) over pixels, one channel at a time."""
    total = 0.0
    for s, t in zip(*(m.flatten(0, 1).flatten(1).tolist() for m in (student, teacher)), strict=True):
        q, p = softmax_by_loop(s, temperature), softmax_by_loop(t, temperature)
        total += sum(b * math.log(b / a) for a, b in zip(q, p, strict=True))
    return total


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_is_the_mean_over_images_and_channels_times_squared_temperature(pair, temperature):
    expected = divergence_by_loop(*pair, temperature) / (2 * 3) * temperature**2
    assert channel_wise(*pair, temperature=temperature).item() == pytest.approx(expected, rel=EXACT)


def test_the_channels_divided_by_can_be_named(pair):
    expected = divergence_by_loop(*pair, 2.0) / (2 * 7) * 4
    assert channel_wise(*pair, temperature=2.0, channels=7).item() == pytest.approx(expected, rel=EXACT)


def test_cross_entropy_has_the_teachers_entropy_more_and_the_same_gradient(pair):
    student, teacher = pair[0].requires_grad_(), pair[1]
    entropy = -sum(
        p * math.log(p) for channel in teacher.flatten(0, 1) for p in softmax_by_loop(channel.flatten(), 3.0)
    )
    losses = {form: channel_wise(student, teacher, temperature=3.0, form=form) for form in FORMS}
    difference = losses["cross_entropy"] - losses["divergence"]
    assert difference.item() == pytest.approx(float(entropy) / (2 * 3) * 9, rel=EXACT)
    gradients = [torch.autograd.grad(loss, student)[0] for loss in losses.values()]
    torch.testing.assert_close(*gradients, rtol=EXACT, atol=1e-15)


FORMS = ("divergence", "cross_entropy")


@pytest.mark.parametrize("form", FORMS)
def test_gradient_is_the_numerical_one(pair, form):
    assert torch.autograd.gradcheck(
        lambda s: channel_wise(s, pair[1], temperature=2.0, form=form), pair[0].requires_grad_()
    )


def test_is_zero_with_zero_gradient_for_maps_that_differ_by_a_number_per_channel(pair):
    student = (pair[1] + noise(2, 3, 1, 1, seed=3)).requires_grad_()
    loss = channel_wise(student, pair[1], temperature=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-14)
    assert student.grad.abs().max() < 1e-15


def test_one_pixel_has_all_the_probability(pair):
    assert channel_wise(*(m[..., :1, :1] for m in pair), temperature=1.0).item() == 0


def test_teacher_receives_no_gradient(pair):
    student, teacher = (m.requires_grad_() for m in pair)
    channel_wise(student, teacher, temperature=1.0).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_peaked_half_precision_channels_give_a_finite_float32(dtype):
    student = torch.tensor([6e4, -6e4, 0.0, 1.0]).view(1, 1, 2, 2).to(dtype).requires_grad_()
    loss = channel_wise(student, -student.detach(), temperature=1.0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_autocast_around_it_changes_nothing(pair):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = channel_wise(student, teacher, temperature=4.0)
    assert torch.equal(inside, channel_wise(student, teacher, temperature=4.0))


def test_unequal_shapes_are_named(pair):
    with pytest.raises(ShapeError, match=r"student \(2, 2, 4, 5\) and teacher \(2, 3, 4, 5\).*Align"):
        channel_wise(pair[0][:, :2], pair[1], temperature=1.0)


def test_temperature_must_be_positive(pair):
    with pytest.raises(SettingsError, match="temperature is 0"):
        channel_wise(*pair, temperature=0.0)


@pytest.mark.parametrize(("divisor", "channels"), [("published", 2), ("per_channel", 3)])
def test_method_divides_the_feature_term_by_the_students_or_the_compared_channels(divisor, channels):
    method = built("cwd", 2, 3, divisor=divisor)
    student, teacher = noise(1, 2, 3, 3).float(), noise(1, 3, 3, 3, seed=2).float()
    terms = terms_of(method, output_of(student), output_of(teacher))
    aligned = torch.einsum("oc,nchw->nohw", method.adapter.weight[:, :, 0, 0], student)
    expected = divergence_by_loop(aligned, teacher, 4.0) / channels * 16
    assert terms["feature"].item() == pytest.approx(expected, rel=1e-4)


def test_method_compares_logits_too():
    logits = [noise(1, CLASSES, 3, 3, seed=seed) for seed in (1, 2)]
    student, teacher = (output_of(noise(1, 2, 3, 3), logits=maps) for maps in logits)
    terms = terms_of(built("cwd", 2, 2, temperature=2.0), student, teacher)
    expected = divergence_by_loop(*logits, 2.0) / CLASSES * 4
    assert terms["logits"].item() == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(
    ("adapter", "layers"),
    [("convolution", [nn.Conv2d]), ("convolution_norm_relu", [nn.Conv2d, nn.BatchNorm2d, nn.ReLU])],
)
def test_adapters_are_those_of_cirkd_and_of_the_authors(adapter, layers):
    method = built("cwd", 2, 3, adapter=adapter)
    modules = [module for module in method.adapter.modules() if not isinstance(module, nn.Sequential)]
    assert [type(module) for module in modules] == layers
    assert modules[0].bias is None


def test_equal_widths_get_no_adapter():
    assert list(built("cwd", 3, 3).parameters()) == []


@pytest.mark.parametrize(
    ("settings", "terms", "features"),
    [
        ({}, {"logits": 3.0, "feature": 50.0}, {"head"}),
        ({"feature_weight": 0}, {"logits": 3.0}, set()),
        ({"logits_weight": 0}, {"feature": 50.0}, {"head"}),
    ],
)
def test_a_term_of_weight_zero_is_not_computed_and_its_feature_not_asked_for(settings, terms, features):
    entry = CwdSettings(**settings)
    assert entry.weights() == terms
    assert entry.student_features() == entry.teacher_features() == features
    given = terms_of(built("cwd", 2, 3, **settings), *(output_of(noise(1, c, 3, 3).float()) for c in (2, 3)))
    assert given.keys() == terms.keys()


def test_no_term_at_all_is_a_mistake():
    with pytest.raises(SettingsError, match=r"nothing is left\. Drop the method"):
        parse_settings(CwdSettings, {"logits_weight": 0, "feature_weight": 0}, "methods.0")
