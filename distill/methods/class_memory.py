"""What CIRKD remembers of the teacher: embeddings of pixels, and of regions, of every class.

Source: Yang et al., CIRKD, CVPR 2022, and the authors' code.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from distill.methods.class_samples import Enqueue, class_samples
from distill.methods.memory_bank import MemoryBank
from distill.methods.method import StepContext
from distill.seeds import mix


class ClassMemory(nn.Module):
    """One memory for all processes, equal in each: they gather what they push, and draw the same slots."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        num_classes: int,
        channels: int,
        enqueued_pixels: int,
        enqueue: Enqueue,
    ) -> None:
        """sizes: embeddings of each class, by what they are of (`pixel`, `region`, or either)."""
        super().__init__()
        self.banks = nn.ModuleDict(
            {kind: MemoryBank(num_classes, size, channels) for kind, size in sizes.items()}
        )
        self.num_classes = num_classes
        self.enqueued_pixels = enqueued_pixels
        self.enqueue: Enqueue = enqueue

    def remember(self, units: Tensor, labels: Tensor, context: StepContext) -> None:
        """Push a batch, in the order of the global batch; pixels are drawn from each image's seed.

        units: unit vectors (N, C, H, W); labels: (N, H, W).
        """
        draws = [torch.Generator().manual_seed(mix("cirkd pixels", seed)) for seed in context.sample_seeds]
        samples = class_samples(
            units,
            labels,
            num_classes=self.num_classes,
            most=self.enqueued_pixels,
            enqueue=self.enqueue,
            permute=lambda image, count: torch.randperm(count, generator=draws[image]),
        )
        kept = {
            "pixel": (samples.pixels, samples.pixel_counts),
            "region": (samples.regions, samples.region_counts),
        }
        for kind, bank in self._banks():
            vectors, counts = (context.processes.gather(part) for part in kept[kind])
            bank.push(vectors, counts)

    def draw(self, counts: Mapping[str, int], context: StepContext) -> dict[str, Tensor]:
        """Embeddings (classes * count, C) by kind: those in `count` distinct slots, the same of every class.

        Slots are drawn from the step and the seeds of all images in it.
        """
        drawn = {}
        for kind, bank in self._banks():
            device = bank.vectors.device
            seeds = context.processes.gather(torch.tensor(context.sample_seeds, device=device)).tolist()
            generator = torch.Generator().manual_seed(mix(f"cirkd {kind} slots", context.step, *seeds))
            slots = torch.randperm(bank.vectors.shape[1], generator=generator)[: counts[kind]]
            drawn[kind] = bank.take(slots.to(device))
        return drawn

    def _banks(self) -> list[tuple[str, MemoryBank]]:
        return [(kind, cast(MemoryBank, bank)) for kind, bank in self.banks.items()]
