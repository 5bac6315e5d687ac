"""Batches depend on (seed, step) alone."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.config import AugmentConfig
from distill.datasets import open_dataset
from distill.datasets.cached import CachedDataset, cached
from distill.datasets.dataset import SegDataset
from distill.datasets.streets import StreetsSettings
from distill.loader import Batch, TrainLoader
from distill.sampling import Sampling
from distill.seeds import sample_seed
from modelpack.errors import DatasetError, SettingsError
from tests.distill.folder_data import write_folder

SIZE = 10
AUGMENT = AugmentConfig(crop=(32, 32))


@pytest.fixture(scope="module")
def dataset() -> SegDataset:
    return CachedDataset(open_dataset(StreetsSettings(height=48, width=64, train=SIZE), "train"))


def loader(dataset: SegDataset, **over: object) -> TrainLoader:
    arguments = {"mean_rgb": (124, 116, 104), "batch": 4, "seed": 3, **over}
    return TrainLoader(dataset, AUGMENT, **arguments)  # type: ignore[arg-type]


def assert_equal(first: Batch, second: Batch) -> None:
    assert first.sample_seeds == second.sample_seeds
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.masks, second.masks)


def test_a_batch_is_uint8_images_masks_and_one_seed_each(dataset: SegDataset) -> None:
    batch = next(loader(dataset).batches())
    assert batch.images.shape == (4, 32, 32, 3)
    assert batch.masks.shape == (4, 32, 32)
    assert batch.images.dtype == batch.masks.dtype == torch.uint8
    assert len(set(batch.sample_seeds)) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(dataset: SegDataset, workers: int) -> None:
    alone = list(loader(dataset).batches(2, 6))
    helped = list(loader(dataset, workers=workers).batches(2, 6))
    assert len(alone) == len(helped) == 4
    for first, second in zip(alone, helped, strict=True):
        assert_equal(first, second)


def test_a_later_start_gives_the_same_batches(dataset: SegDataset) -> None:
    whole = list(islice(loader(dataset).batches(), 8))
    for first, second in zip(whole[5:], loader(dataset).batches(5, 8), strict=True):
        assert_equal(first, second)


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_batch_of_one_process(dataset: SegDataset, world_size: int) -> None:
    whole = next(loader(dataset).batches(2))
    shares = [
        next(loader(dataset, rank=rank, world_size=world_size).batches(2)) for rank in range(world_size)
    ]
    assert torch.equal(torch.cat([share.images for share in shares]), whole.images)
    assert sum((share.sample_seeds for share in shares), ()) == whole.sample_seeds


def test_a_batch_that_ranks_cannot_share_is_refused(dataset: SegDataset) -> None:
    with pytest.raises(SettingsError, match=r"optim\.batch = 4 .* 3 processes"):
        loader(dataset, world_size=3)


def test_every_epoch_holds_every_image_once_in_an_order_of_its_own() -> None:
    sampling = Sampling(SIZE, 5, seed=0)
    first, second = (
        [draw.index for draws in sampling.steps(start, start + 2) for draw in draws] for start in (0, 2)
    )
    assert sorted(first) == sorted(second) == list(range(SIZE))
    assert first != second


def test_a_dataset_smaller_than_the_batch_goes_on_into_the_next_epoch() -> None:
    draws = Sampling(3, 8, seed=0).step(0)
    assert sorted(draw.index for draw in draws[:3]) == sorted(draw.index for draw in draws[3:6]) == [0, 1, 2]
    assert len({draw.seed for draw in draws}) == 8


def test_another_run_seed_gives_other_batches(dataset: SegDataset) -> None:
    assert (
        next(loader(dataset).batches()).sample_seeds != next(loader(dataset, seed=4).batches()).sample_seeds
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_random_generators_are_left_alone(dataset: SegDataset, workers: int) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    list(loader(dataset, workers=workers).batches(0, 3))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_file_is_one_clear_error(tmp_path: Path, workers: int) -> None:
    settings = write_folder(tmp_path, counts={"train": 4})
    (tmp_path / "train/images/train2.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"^image .*train2\.png does not decode"):
        list(loader(open_dataset(settings, "train"), workers=workers).batches(0, 1))


def test_a_cached_dataset_reads_each_sample_once() -> None:
    class Counting:
        labels = open_dataset(StreetsSettings(), "train").labels
        split = "train"
        reads = 0

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> object:
            self.reads += 1
            return open_dataset(StreetsSettings(height=32, width=32), "train")[index]

    counting = Counting()
    kept = CachedDataset(counting)  # type: ignore[arg-type]
    assert kept[2].name == kept[2].name == "train-00002"
    assert counting.reads == 3


def test_a_dataset_too_large_for_memory_is_not_kept(dataset: SegDataset) -> None:
    assert cached(dataset, max_bytes=1000) is dataset


def test_sample_seeds_fit_torch_and_differ() -> None:
    seeds = {sample_seed(run, epoch, index) for run in range(5) for epoch in range(5) for index in range(5)}
    assert len(seeds) == 125
    for seed in seeds:
        torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_the_workers_at_work(
    dataset: SegDataset, number: signal.Signals
) -> None:
    batches = loader(dataset, workers=1).batches(0, 8)
    first = next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    rest = list(batches)
    assert len(rest) == 7
    assert_equal(first, next(loader(dataset).batches()))


LOSES_A_WORKER = """
import multiprocessing, os, signal
from distill.config import AugmentConfig
from distill.datasets import open_dataset
from distill.datasets.streets import StreetsSettings
from distill.loader import LoaderError, TrainLoader, worker_deaths_explained

streets = open_dataset(StreetsSettings(name="streets", height=32, width=32, train=8), "train")
loader = TrainLoader(streets, AugmentConfig(crop=(32, 32)), mean_rgb=(0, 0, 0), batch=2, seed=0, workers=1)
try:
    with worker_deaths_explained():
        for number, batch in enumerate(loader.batches(0, 100_000)):
            if number == 0:
                os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
except LoaderError as error:
    print(error)
"""
"""In its own process: torch raises wherever the main thread stands when it notices the death."""


def test_a_lost_worker_is_one_clear_error() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOSES_A_WORKER], capture_output=True, text=True, timeout=120, check=False
    )
    assert "a loader process died" in ended.stdout, ended.stderr
    assert "set compute.workers=0" in ended.stdout
