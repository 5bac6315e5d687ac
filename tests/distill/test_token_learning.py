"""MasKD's first stage: what tokens learn from, and features of networks that are replaced for it."""

import pytest
import torch
from torch import Tensor, nn

from distill.losses.masked import mask_overlap
from distill.losses.task import cross_entropy
from distill.methods.preparation import Lesson
from distill.methods.receptive_tokens import ReceptiveTokens
from distill.methods.token_learning import TokenLearning
from distill.networks import build_network
from distill.networks.output import FeatureInfo, SegOutput
from distill.networks.replace_feature import feature_replaced, module_of_feature
from modelpack.errors import SettingsError
from tests.distill.small_networks import CLASSES, TwoConvolutions
from tests.distill.tiny_recipe import NETWORK


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class WithHead(TwoConvolutions):
    """Gives what its classifier reads as `head`, and a copy of it, made by no layer, as `copied`."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_info = {"head": FeatureInfo(8, 2), "copied": FeatureInfo(8, 2)}
        self.act = nn.ReLU()

    def forward(self, images: Tensor) -> SegOutput:
        head = self.act(self.norm(self.stem(images)))
        features = {"head": head, "copied": head + 0}
        return SegOutput(self.head(head), None, features, (images.shape[2], images.shape[3]))


@pytest.fixture
def teacher() -> WithHead:
    torch.manual_seed(0)
    network = WithHead().eval()
    network.requires_grad_(False)
    return network


@pytest.fixture
def lesson() -> Lesson:
    target = torch.arange(2 * 8 * 8).reshape(2, 8, 8) % CLASSES
    return Lesson(noise(2, 3, 8, 8), target.to(torch.uint8), torch.tensor(128.0))


def test_tokens_for_logits_learn_from_the_masked_logits(teacher: WithHead, lesson: Lesson):
    tokens = ReceptiveTokens(CLASSES, 3, is_weighted=False)
    terms = TokenLearning(tokens, None, "head")(teacher, lesson)
    logits = teacher(lesson.images).logits
    masks = torch.einsum("tc,nchw->nthw", tokens.tokens, logits).sigmoid()
    task = cross_entropy(logits * masks.sum(1, keepdim=True), lesson.target)
    assert terms["logits_task"].item() == pytest.approx(task.item(), rel=1e-5)
    assert terms["logits_overlap"].item() == pytest.approx(mask_overlap(masks).item(), rel=1e-5)


def test_tokens_for_a_feature_learn_from_what_the_teacher_makes_of_the_masked_one(
    teacher: WithHead, lesson: Lesson
):
    tokens = ReceptiveTokens(8, 3, is_weighted=True)
    terms = TokenLearning(None, tokens, "head")(teacher, lesson)
    feature = teacher(lesson.images).feature("head")
    weights = tokens.weigh(feature).flatten(1).softmax(1)[:, :, None, None]
    masked = feature * (tokens.masks(feature) * weights).sum(1, keepdim=True)
    task = cross_entropy(teacher.head(masked), lesson.target)
    assert terms["feature_task"].item() == pytest.approx(task.item(), rel=1e-5)
    terms["feature_task"].backward()
    assert all(
        parameter.grad.abs().sum() > 0 for name, parameter in tokens.named_parameters() if "bias" not in name
    )


@pytest.mark.parametrize("feature", ["stage2", "head"])
def test_features_of_real_networks_can_be_replaced(feature: str):
    network = build_network(NETWORK["network"], 3, options=NETWORK["options"]).eval()
    images = noise(1, 3, 64, 64)
    with torch.no_grad():
        before = network(images)
        place = module_of_feature(network, feature, images)
        with feature_replaced(place, lambda found: found * 2):
            changed = network(images)
        assert torch.equal(changed.feature(feature), 2 * before.feature(feature))
        assert not torch.equal(changed.logits, before.logits)
        assert torch.equal(network(images).logits, before.logits)


def test_a_feature_that_no_layer_puts_out_is_refused(teacher: WithHead, lesson: Lesson):
    with pytest.raises(SettingsError, match="feature copied is the output of none of its layers"):
        module_of_feature(teacher, "copied", lesson.images)
