"""Two processes share one memory, and learn as one does from the same global batch."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from distill.distributed import Processes
from distill.methods.cirkd import Cirkd
from distill.sync_norm import synchronise_norms
from tests.distill.cirkd_cases import IMAGES, small_cirkd, take_step

ROUNDING = 1e-5
"""float32, relative to the largest value."""
TIMEOUT_S = 140
STEPS = 2
SHARDS = (slice(0, 2), slice(2, 4))


def train(method: Cirkd, images: slice, processes: Processes) -> dict[str, Any]:
    """Gradients of the student's feature (steps, images, ...) and of the head; the memory afterwards."""
    gradients = [take_step(method, step, images, processes)[1] for step in range(STEPS)]
    return {
        "student": torch.stack(gradients),
        "head": {name: parameter.grad for name, parameter in method.head.named_parameters()},
        "memory": method.memory.state_dict(),
    }


def shard(rank: int, folder: str) -> None:
    """One process: its half of the images; what came out goes to `rank`.pt."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", len(SHARDS))
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=len(SHARDS))
    method = small_cirkd()
    synchronise_norms(method, "cpu")
    result = train(method, SHARDS[rank], Processes(rank, len(SHARDS), rank))
    torch.save(result, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("shards")
    start = multiprocessing.get_context("spawn")
    processes = [start.Process(target=shard, args=(rank, str(folder))) for rank in range(len(SHARDS))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT_S)
        process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(len(SHARDS))]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return train(small_cirkd(), slice(0, IMAGES), Processes())


def assert_close(ours: Tensor, expected: Tensor, name: str) -> None:
    assert (ours - expected).abs().max() <= ROUNDING * expected.abs().max(), name


def test_the_students_gradients_average_to_those_of_one_process(shards, alone):
    together = torch.cat([part["student"] for part in shards], dim=1) / len(SHARDS)
    assert_close(together, alone["student"], "student")


def test_the_heads_gradients_average_to_those_of_one_process(shards, alone):
    for name, expected in alone["head"].items():
        assert_close(sum(part["head"][name] for part in shards) / len(SHARDS), expected, name)


def test_the_memory_is_the_same_in_every_process_and_as_in_one(shards, alone):
    for name, expected in alone["memory"].items():
        first, second = (part["memory"][name] for part in shards)
        assert torch.equal(first, second), name
        assert_close(first, expected, name)
