"""What is exported in another form computes the same, and the network that was trained is left alone."""

from collections import Counter

import pytest
import torch
from segmentation_models_pytorch.decoders.fpn.decoder import MergeBlock
from torch import nn

from distill.datasets.camvid import CAMVID_LABELS
from export.equivalents import in_fast_form
from export.graph import DeployedGraph
from export.onnx_export import export_onnx
from tests.export.tiny_run import TinyNetwork

TOLERANCE = 1e-5
"""Of float32 values around 1, summed in another order."""


class GroupNormed(TinyNetwork):
    def __init__(self, groups):
        super().__init__(11)
        self.norm = nn.GroupNorm(groups, 24, eps=1e-3)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def middle(self, features):
        return self.norm(features)


class Merging(TinyNetwork):
    def __init__(self, policy):
        super().__init__(11)
        self.merge = MergeBlock(policy)
        self.shrink = nn.Conv2d(72 if policy == "cat" else 24, 24, 1)

    def middle(self, features):
        return self.shrink(self.merge([features, features.relu(), features.abs()]))


NETWORKS = {
    "a group for each channel": (lambda: GroupNormed(24), True),
    "channels in groups": (lambda: GroupNormed(6), False),
    "maps that are added": (lambda: Merging("add"), True),
    "maps that are joined": (lambda: Merging("cat"), False),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    build, has_equivalent = NETWORKS[request.param]
    return build().eval(), has_equivalent


def kinds(network):
    return Counter(type(module) for module in network.modules())


def test_values_are_the_same_and_modules_change_where_there_is_an_equivalent(network):
    original, has_equivalent = network
    fast = in_fast_form(original)
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fast(images).logits, original(images).logits, rtol=TOLERANCE, atol=TOLERANCE)
    assert (kinds(fast) != kinds(original)) is has_equivalent


def test_the_network_itself_keeps_its_modules_and_weights(network):
    original, _ = network
    before = kinds(original)
    fast = in_fast_form(original)
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.zero_()
    assert kinds(original) == before
    assert original.stem.weight.any()


def test_a_norm_with_a_group_for_each_channel_is_exported_as_one_node_without_reshaping():
    model = export_onnx(DeployedGraph(GroupNormed(24)), (64, 96), CAMVID_LABELS, opset=18)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["InstanceNormalization"] == 1
    assert operators["Reshape"] == 2  # around the argmax
