"""What a distillation method is: settings, a declaration of needs, and a module that returns named losses."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distill.networks.output import FeatureInfo, SegOutput
from modelpack.settings import StrictModel


class MethodSettings(StrictModel):
    """Base of every method's settings. `name` is the key in the table `METHODS`."""

    name: str

    def weights(self) -> dict[str, float]:
        """Weight of each loss term that the module returns, by the term's name."""
        raise NotImplementedError

    def student_features(self) -> frozenset[str]:
        """Names of the student features that the loss reads."""
        return frozenset()

    def teacher_features(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True)
class Pair:
    """What a method may know of the two networks when it is built."""

    student: Mapping[str, FeatureInfo]
    teacher: Mapping[str, FeatureInfo]
    num_classes: int


@dataclass(frozen=True)
class StepContext:
    """What a method may know of the step: everything random in it comes from here."""

    step: int
    """Optimiser steps done before this one."""
    sample_seeds: tuple[int, ...]
    """One number per image, from (run seed, epoch, index): the same on any number of processes."""

    def uniform(self, height: int, width: int, device: torch.device) -> Tensor:
        """(N, 1, height, width) float32 in [0, 1), each image from its seed: sharding changes nothing."""
        maps = []
        for seed in self.sample_seeds:
            generator = torch.Generator().manual_seed(seed)
            maps.append(torch.rand(1, height, width, generator=generator))
        return torch.stack(maps).to(device, non_blocking=True)


class Method(nn.Module):
    """A method ready to be trained with: holds its own trainable adapters, if any."""

    @abstractmethod
    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        """Raw (unweighted) loss terms by name, each () float32.

        target: (N, H, W) uint8 labels at image size, 255 = ignored. No gradient reaches the teacher.
        """
