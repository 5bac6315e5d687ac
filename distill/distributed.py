"""The processes that train together: one, or as many as `torchrun` started."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from modelpack.errors import RuntimeUnavailableError


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that share a training run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @classmethod
    def join(cls, device_type: str) -> "Processes":
        """Join the group that torchrun describes in the environment; alone where there is none."""
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        if world_size == 1:
            return cls()
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if device_type == "cuda":
            if local_rank >= torch.cuda.device_count():
                raise RuntimeUnavailableError(
                    f"process {local_rank} of this machine has no GPU of its own "
                    f"({torch.cuda.device_count()} found). "
                    "Start at most one process per GPU: torchrun --nproc-per-node=<GPUs>."
                )
            torch.cuda.set_device(local_rank)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), local_rank)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, on each of them. No gradient passes."""
        if self.world_size == 1:
            return value.detach()
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def gather(self, value: Tensor) -> Tensor:
        """What all processes hold, joined along the first axis in the order of their ranks.

        Shapes must be equal everywhere. No gradient passes.
        """
        if self.world_size == 1:
            return value.detach()
        mine = value.detach().contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(parts, mine)
        return torch.cat(parts)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process: how all of them stop at the same step."""
        if self.world_size == 1:
            return flag
        return bool(self.sum(torch.tensor(int(flag), device=self._device())).item())

    def wait(self) -> None:
        """Until every process is here."""
        if self.world_size > 1:
            dist.barrier()

    def leave(self) -> None:
        if self.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _device(self) -> torch.device:
        return torch.device("cuda", self.local_rank) if dist.get_backend() == "nccl" else torch.device("cpu")
