"""Where the arithmetic runs and in which type: decided once, said in the log."""

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import nn

from distill.config import ComputeConfig
from modelpack.errors import RuntimeUnavailableError

log = logging.getLogger(__name__)

ModuleT = TypeVar("ModuleT", bound=nn.Module)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """A device and the autocast type on it."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    @classmethod
    def choose(cls, config: ComputeConfig) -> "Compute":
        """Raises RuntimeUnavailableError where the device or type asked for is not there."""
        has_cuda = torch.cuda.is_available()
        if config.device == "cuda" and not has_cuda:
            raise RuntimeUnavailableError(
                "compute.device=cuda, but torch sees no CUDA device. Use compute.device=cpu or auto."
            )
        use_cuda = has_cuda and config.device != "cpu"
        device = torch.device("cuda", 0) if use_cuda else torch.device("cpu")
        if config.threads:
            torch.set_num_threads(config.threads)
        precision = config.precision
        if precision == "auto":
            precision = "bf16" if use_cuda or _cpu_has_bf16() else "fp32"
        if precision == "fp16" and not use_cuda:
            raise RuntimeUnavailableError("compute.precision=fp16 needs CUDA. On a CPU use bf16 or fp32.")
        log.info("computing on %s in %s", device, precision)
        return cls(device, DTYPES[precision], config.channels_last)

    def on_rank(self, local_rank: int) -> "Compute":
        """The same on the GPU of one process among several."""
        return replace(self, device=torch.device("cuda", local_rank)) if self.device.type == "cuda" else self

    def autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def place(self, module: ModuleT) -> ModuleT:
        """The module itself, moved to the device and into the layout in which it computes."""
        module.to(self.device)
        return module.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX); emulated it is slower than fp32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
