"""The discriminator's own training, inside the student's step."""

import copy
import io

import pytest
import torch

from distill.losses.adversarial import telling_loss
from distill.methods.adversary import Adversary, AdversarySettings, build_adversary
from distill.methods.method import Pair
from distill.networks.output import FeatureInfo
from modelpack.errors import SettingsError, ShapeError
from modelpack.settings import parse_settings
from tests.distill.adversary_cases import CLASSES, PLAIN_SGD, adversary, context, logits, updated_by_hand

LOSSES = ["hinge", "wgan_gp"]


def take_step(of: Adversary, step: int = 0) -> None:
    student = logits("student").requires_grad_()
    of(student, logits("teacher")).backward()
    of.train_discriminator(context(step=step))


def weights(of: Adversary) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in of.state_dict().items() if name != "_extra_state"}


def test_the_students_turn_leaves_the_discriminator_alone():
    made, student = adversary(), logits("student").requires_grad_()
    before = {name: p.clone() for name, p in made.named_parameters()}
    made(student, logits("teacher")).backward()
    assert student.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in made.parameters())
    assert all(torch.equal(p, before[name]) for name, p in made.named_parameters())


def test_the_discriminators_turn_leaves_nothing_for_the_students_optimiser():
    made = adversary()
    take_step(made)
    assert all(p.grad is None and not p.requires_grad for p in made.parameters())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("parts", [[slice(0, 4)], [slice(0, 2), slice(2, 4)]], ids=["whole", "accumulated"])
def test_an_update_is_the_gradient_of_the_published_loss(loss, parts):
    made = adversary(loss=loss, **PLAIN_SGD)
    expected = updated_by_hand(made, parts)
    for part in parts:
        made(logits("student")[part].requires_grad_(), logits("teacher")[part])
    made.train_discriminator(context())
    for name, weight in made.discriminator.named_parameters():
        torch.testing.assert_close(weight.detach(), expected[name], rtol=1e-10, atol=1e-12, msg=name)


def test_the_loss_that_it_trained_by_is_told_before_its_weight():
    made = adversary(weight=0.1)
    critic = copy.deepcopy(made.discriminator)
    critic(logits("student"))  # the power iteration of the student's turn
    expected = telling_loss(critic(logits("student")), critic(logits("teacher")), loss="hinge")
    take_step(made)
    torch.testing.assert_close(made.own_losses["discriminator"], expected.detach())


def test_it_learns_to_tell_the_networks_apart():
    made, student = adversary(lr=0.01), logits("student")
    teacher = student.sign()  # peaked where the student's are not
    for step in range(15):
        made(student.requires_grad_(), teacher)
        made.train_discriminator(context(step=step, total_steps=15))
    with torch.no_grad():
        assert made.discriminator(teacher).min() > made.discriminator(student).max()


def test_what_is_evaluated_is_not_trained_on():
    made = adversary().eval()
    before = weights(made)
    made(logits("student").requires_grad_(), logits("teacher"))
    with torch.no_grad():
        made.train()(logits("student"), logits("teacher"))
    made.train_discriminator(context())
    assert all(torch.equal(p, before[name]) for name, p in made.named_parameters())


@pytest.mark.parametrize(
    ("schedule", "share"), [("constant", 1.0), ("poly", (1 - 3 / 10) ** 0.9)], ids=["constant", "poly"]
)
def test_learning_rate_stays_or_falls_as_the_students(schedule, share):
    updates = []
    for step in (0, 3):
        made = adversary(schedule=schedule, **PLAIN_SGD)
        before = weights(made)
        take_step(made, step)
        updates.append(
            weights(made)["discriminator.layers.0.weight"] - before["discriminator.layers.0.weight"]
        )
    torch.testing.assert_close(updates[1], share * updates[0])


@pytest.mark.parametrize("settings", [{}, {"optimiser": "sgd", "schedule": "poly"}], ids=["adam", "sgd"])
def test_saved_and_restored_it_goes_on_with_the_same_bits(settings):
    whole = adversary(loss="wgan_gp", **settings)
    take_step(whole)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    take_step(whole, 1)
    torch.manual_seed(1)
    resumed = Adversary(whole.settings, CLASSES).double()
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    take_step(resumed, 1)
    ours, theirs = weights(resumed), weights(whole)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


def test_small_maps_are_refused_at_the_first_step_by_their_size():
    with pytest.raises(ShapeError, match=r"at least 64x64, got 48x48\..*adversary\.small_maps=enlarge"):
        adversary()(logits("student", side=48), logits("teacher", side=48))


def test_small_maps_are_enlarged_where_that_is_asked_for():
    made, student = adversary(small_maps="enlarge"), logits("student", side=16).requires_grad_()
    made(student, logits("teacher", side=16)).backward()
    assert student.grad.abs().max() > 0


@pytest.mark.parametrize(("stride", "is_refused"), [(8, True), (4, False)])
def test_crops_that_cannot_fill_the_smallest_map_are_refused_before_training(stride, is_refused):
    pair = Pair({}, {"head": FeatureInfo(8, stride)}, CLASSES, image_size=(256, 512))
    if not is_refused:
        build_adversary(AdversarySettings(width=4), pair)
        return
    with pytest.raises(SettingsError, match="got 32x64 from crops of 256x512 at the teacher's stride 8"):
        build_adversary(AdversarySettings(width=4), pair)


def test_defaults_are_those_of_the_published_comparison():
    defaults = AdversarySettings()
    assert (defaults.loss, defaults.weight, defaults.lr, defaults.betas) == ("hinge", 0.1, 4e-4, (0.9, 0.99))


def test_a_wrong_setting_is_named():
    for wrong in ({"loss": "gan"}, {"betas": [0.9, 1.0]}, {"optimizer": "adam"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            parse_settings(AdversarySettings, wrong, "adversary")
