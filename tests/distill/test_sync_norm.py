"""Batch norm over two processes equals batch norm over their joined batch."""

import multiprocessing

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, distributed, nn

from distill.sync_norm import synchronise_norms

ROUNDING = 1e-5
TIMEOUT_S = 100
SHARDS = (slice(0, 3), slice(3, 5))
"""Images of each process: not the same number."""


def network() -> nn.Sequential:
    """A plain norm, and timm's with an activation inside."""
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(4), BatchNormAct2d(6, inplace=False)
    for norm in norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return nn.Sequential(nn.Conv2d(3, 4, 1), norms[0], nn.Conv2d(4, 6, 1), norms[1])


def images() -> Tensor:
    return torch.randn(5, 3, 6, 7, generator=torch.Generator().manual_seed(1)) * 3 + 1


def weighing(output: Tensor) -> Tensor:
    """A loss in which every element counts differently."""
    return (output * torch.linspace(-1, 2, output[0].numel()).view(1, *output.shape[1:])).square().sum()


def shard(rank: int, folder: str) -> None:
    """One process: its images through the synchronised network; what came out goes to `rank`.pt."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", len(SHARDS))
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=len(SHARDS))
    synced = synchronise_norms(network(), "cpu").train()
    mine = images()[SHARDS[rank]].requires_grad_()
    output = synced(mine)
    weighing(output).backward()
    gradients = {name: parameter.grad for name, parameter in synced.named_parameters()}
    content = {"output": output.detach(), "image": mine.grad, "state": synced.state_dict(), "grad": gradients}
    torch.save(content, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("shards")
    start = multiprocessing.get_context("spawn")
    processes = [start.Process(target=shard, args=(rank, str(folder))) for rank in range(len(SHARDS))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT_S)
        process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(len(SHARDS))]


@pytest.fixture(scope="module")
def joined() -> dict:
    whole, batch = network().train(), images().requires_grad_()
    output = whole(batch)
    weighing(output).backward()
    gradients = {name: parameter.grad for name, parameter in whole.named_parameters()}
    return {"output": output.detach(), "image": batch.grad, "state": whole.state_dict(), "grad": gradients}


@pytest.mark.parametrize("key", ["output", "image"])
def test_outputs_and_gradients_of_images_are_those_of_the_joined_batch(shards, joined, key):
    together = torch.cat([part[key] for part in shards])
    torch.testing.assert_close(together, joined[key], rtol=ROUNDING, atol=ROUNDING)


def test_gradients_of_parameters_add_up_to_those_of_the_joined_batch(shards, joined):
    for name, expected in joined["grad"].items():
        total = sum(part["grad"][name] for part in shards)
        assert (total - expected).norm() <= ROUNDING * max(expected.norm(), 1), name


def test_running_statistics_are_those_of_the_joined_batch_in_every_process(shards, joined):
    for part in shards:
        assert part["state"].keys() == joined["state"].keys()
        for name, expected in joined["state"].items():
            torch.testing.assert_close(part["state"][name], expected, rtol=ROUNDING, atol=ROUNDING, msg=name)


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_a_synchronised_network_evaluates_as_before(device_type: str):
    plain, synced = network().eval(), synchronise_norms(network().eval(), device_type)
    assert not any(type(module) in (nn.BatchNorm2d, BatchNormAct2d) for module in synced.modules())
    torch.testing.assert_close(synced(images()), plain(images()), rtol=0, atol=0)
