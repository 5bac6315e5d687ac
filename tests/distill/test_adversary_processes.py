"""Two processes train student and discriminator as one does on the same global batch."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed

from distill.distributed import Processes
from distill.methods.adversary import Adversary
from tests.distill.adversary_cases import PLAIN_SGD, adversary, context, logits

ROUNDING = 1e-9
"""float64, relative: draws are the only float32."""
TIMEOUT_S = 200
STEPS = 2
SHARDS = (slice(0, 2), slice(2, 4))
LOSSES = ("hinge", "wgan_gp")


def train(made: Adversary, images: slice, processes: Processes) -> dict[str, object]:
    """Some steps on some of the images: gradients with respect to the student's logits, then the weights."""
    gradients = []
    for step in range(STEPS):
        student = logits("student")[images].requires_grad_()
        made(student, logits("teacher")[images]).backward()
        gradients.append(student.grad)
        whole = context(step=step)
        made.train_discriminator(replace(whole, sample_seeds=whole.sample_seeds[images], processes=processes))
    state = {name: value for name, value in made.state_dict().items() if name != "_extra_state"}
    return {"gradients": torch.stack(gradients), "state": state}


def shard(rank: int, folder: str) -> None:
    """One process: its half of the images; what came out goes to `rank`.pt."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", len(SHARDS))
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=len(SHARDS))
    processes = Processes(rank, len(SHARDS), rank)
    results = {loss: train(adversary(loss=loss, **PLAIN_SGD), SHARDS[rank], processes) for loss in LOSSES}
    torch.save(results, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
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
def alone() -> dict:
    return {loss: train(adversary(loss=loss, **PLAIN_SGD), slice(0, 4), Processes()) for loss in LOSSES}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_students_gradients_average_to_those_of_one_process(shards, alone, loss):
    together = torch.cat([part[loss]["gradients"] for part in shards], dim=1) / len(SHARDS)
    torch.testing.assert_close(together, alone[loss]["gradients"], rtol=ROUNDING, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_discriminator_ends_the_same_in_every_process_and_as_in_one(shards, alone, loss):
    for name, expected in alone[loss]["state"].items():
        first, second = (part[loss]["state"][name] for part in shards)
        assert torch.equal(first, second), name
        torch.testing.assert_close(first, expected, rtol=ROUNDING, atol=1e-10, msg=name)
