"""A network is measured by one confusion matrix over the split, at the size of the labels."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from distill.compute import Compute
from distill.config import ComputeConfig
from distill.datasets import open_dataset
from distill.datasets.dataset import SegDataset
from distill.datasets.streets import StreetsSettings
from distill.distributed import Processes
from distill.evaluate import Evaluation, evaluate, predict
from distill.networks import build_network
from distill.networks.output import SegNetwork
from modelpack.labels import IGNORE
from tests.distill.tiny_recipe import NETWORK

IMAGES = 5
CPU = Compute.choose(ComputeConfig(device="cpu", precision="fp32", threads=1))


@dataclass(frozen=True)
class Shard(Processes):
    """One process of several whose sums are left to the test."""

    def sum(self, value: Tensor) -> Tensor:
        return value


@pytest.fixture(scope="module")
def dataset() -> SegDataset:
    return open_dataset(StreetsSettings(height=48, width=64, val=IMAGES), "val")


@pytest.fixture(scope="module")
def network() -> SegNetwork:
    torch.manual_seed(0)
    return CPU.place(build_network(NETWORK["network"], 11, options=NETWORK["options"]).eval())


@pytest.fixture(scope="module")
def whole(network: SegNetwork, dataset: SegDataset) -> Evaluation:
    return evaluate(network, dataset, CPU, batch=2)


def test_the_confusion_matrix_is_that_of_torchmetrics(
    network: SegNetwork, dataset: SegDataset, whole: Evaluation
):
    samples = [dataset[index] for index in range(IMAGES)]
    expected = sum(
        multiclass_confusion_matrix(
            torch.from_numpy(predict(network, [sample], CPU, None)[0].astype(np.int64)),
            torch.from_numpy(sample.mask_hw.astype(np.int64)),
            num_classes=11,
            ignore_index=IGNORE,
        )
        for sample in samples
    )
    assert np.array_equal(whole.confusion.counts, expected.numpy())


@pytest.mark.parametrize("world_size", [2, 3])
def test_shards_add_up_to_the_whole(
    network: SegNetwork, dataset: SegDataset, whole: Evaluation, world_size: int
):
    shards = [
        evaluate(network, dataset, CPU, batch=2, processes=Shard(rank, world_size))
        for rank in range(world_size)
    ]
    assert np.array_equal(sum(shard.confusion.counts for shard in shards), whole.confusion.counts)
    assert np.array_equal(sum(shard.per_image for shard in shards), whole.per_image)


def test_counts_of_single_images_add_up_to_the_matrix(whole: Evaluation):
    counts = whole.confusion.counts
    together = np.stack([counts.diagonal(), counts.sum(0), counts.sum(1)])
    assert whole.per_image.shape == (IMAGES, 3, 11)
    assert np.array_equal(whole.per_image.sum(0), together)


def test_the_network_may_see_another_size_than_the_labels_have(network: SegNetwork, dataset: SegDataset):
    measured = evaluate(network, dataset, CPU, size=(64, 96), max_images=2)
    valid = sum(int((dataset[index].mask_hw != IGNORE).sum()) for index in range(2))
    assert measured.images == 2
    assert measured.confusion.counts.sum() == valid


def test_the_network_is_left_in_its_mode(dataset: SegDataset):
    training = build_network(NETWORK["network"], 11, options=NETWORK["options"]).train()
    evaluate(training, dataset, CPU, max_images=1)
    assert training.training
