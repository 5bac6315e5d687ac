"""A projection head for maps gives, on average, what the head for vectors gives for the average."""

import pytest
import torch
from torch import nn

from distill.pretrain.projection_head import read_head
from distill.pretrain.ring_queue import RingQueue
from distill.pretrain.spatial_adaptor import spatial_adaptor
from modelpack.errors import CheckpointError, SettingsError, ShapeError


def used(head):
    """The head with statistics and affine values as training leaves them."""
    generator = torch.Generator().manual_seed(0)
    for layer in head.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            if layer.affine:
                layer.weight.data.uniform_(0.5, 2, generator=generator)
                layer.bias.data.normal_(generator=generator)
    return head.double().eval()


HEADS = {
    "two layers": lambda: nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)
    ),
    "moco": lambda: nn.Sequential(
        nn.Linear(5, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(inplace=True),
        nn.Linear(8, 4, bias=False),
        nn.BatchNorm1d(4, affine=False),
    ),
    "nested": lambda: nn.Sequential(
        nn.Flatten(), nn.Sequential(nn.Linear(5, 6), nn.ReLU()), nn.Dropout(), nn.Linear(6, 3)
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_mean_of_the_map_is_the_vector_head_of_the_mean(name):
    torch.manual_seed(0)
    head = used(HEADS[name]())
    maps = torch.randn(3, 5, 4, 6, dtype=torch.float64)
    adapted = spatial_adaptor(head)(maps)
    torch.testing.assert_close(adapted.mean((2, 3)), head(maps.mean((2, 3))), rtol=1e-12, atol=1e-12)


def test_an_adapted_head_stays_in_evaluation_mode_and_frozen():
    adapted = spatial_adaptor(used(HEADS["moco"]()))
    nn.Sequential(adapted).train()
    assert not any(module.training for module in adapted.modules())
    assert not any(parameter.requires_grad for parameter in adapted.parameters())


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (nn.GELU(), "holds GELU, which"),
        (nn.BatchNorm1d(4, track_running_stats=False), "no stored statistics"),
    ],
)
def test_a_layer_without_a_form_for_maps_is_refused(layer, sentence):
    with pytest.raises(SettingsError, match=sentence):
        spatial_adaptor(nn.Sequential(nn.Linear(4, 4), layer))


@pytest.mark.parametrize("name", ["two layers", "moco"])
def test_a_head_is_rebuilt_from_the_names_of_a_checkpoint(name):
    head = used(HEADS[name]())
    state = {f"momentum_encoder.fc.{key}": value for key, value in head.state_dict().items()}
    state["momentum_encoder.conv1.weight"] = torch.ones(1)
    rebuilt = read_head(state, "momentum_encoder.fc").double()
    vectors = torch.randn(2, 5, dtype=torch.float64)
    torch.testing.assert_close(rebuilt(vectors), head(vectors))


def test_a_head_that_is_not_there_is_answered_with_what_is():
    with pytest.raises(CheckpointError, match=r"no layers head\.0, .* Matrices are in: predictor\.0\."):
        read_head({"predictor.0.weight": torch.ones(2, 2)}, "head")


def test_the_queue_is_a_ring_of_unit_vectors():
    torch.manual_seed(0)
    queue = RingQueue(3, 5)
    torch.testing.assert_close(queue.vectors.norm(dim=0), torch.ones(5))
    before = queue.vectors.clone()
    queue.enqueue(torch.full((3, 3), 1.0))
    queue.enqueue(torch.full((4, 3), 2.0))
    assert queue.vectors[0].tolist() == [2.0, 2.0, 1.0, 2.0, 2.0]
    assert queue.place.tolist() == [2]
    assert not torch.equal(before, queue.vectors)


def test_more_keys_than_the_queue_holds_are_refused():
    with pytest.raises(ShapeError, match="the queue holds 5 vectors of 3 numbers"):
        RingQueue(3, 5).enqueue(torch.ones(6, 3))
