"""What a generator costs: the larger part of a training step's arithmetic at the published width."""

from typing import Any, NamedTuple

import torch
from torch import nn

from distill.methods.generator import GENERATORS, build_generator


class GeneratorCost(NamedTuple):
    """Of one forward pass; the backward pass takes twice the operations."""

    parameters: int
    macs: int
    """Multiplications with addition for one map."""


def generator_cost(generator: nn.Module, grid: tuple[int, int]) -> GeneratorCost:
    """For maps of `grid` (height, width), a size that every convolution of a generator keeps."""
    convolutions = [module for module in generator.modules() if isinstance(module, nn.Conv2d)]
    macs = sum(convolution.weight.numel() * grid[0] * grid[1] for convolution in convolutions)
    return GeneratorCost(sum(parameter.numel() for parameter in generator.parameters()), macs)


def list_generators(channels: int, grid: tuple[int, int]) -> list[dict[str, Any]]:
    """Every kind that computes something, with its default number; `times_fewer_macs` is against `plain`."""
    with torch.device("meta"):
        built = {written(name): build_generator(name, channels) for name in GENERATORS if name != "none"}
    costs = {name: generator_cost(generator, grid) for name, generator in built.items()}
    return [
        {
            "name": name,
            "map": [channels, *grid],
            **cost._asdict(),
            "times_fewer_macs": round(costs["plain"].macs / cost.macs, 1),
        }
        for name, cost in costs.items()
    ]


def written(name: str) -> str:
    """With the default number, where the kind takes one: `bottleneck(4)`."""
    number = GENERATORS[name].number
    return name if number is None else f"{name}({number})"
