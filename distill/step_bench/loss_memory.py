"""`python -m distill.step_bench.loss_memory FORMULATION NxCxHxW`: bytes that one call takes, alone."""

import json
import sys
from typing import get_args

import torch

from distill.step_bench.formulations import GROUPS, PATCH, Formulation, gradient_of, random_maps
from distill.step_bench.memory import PeakMemory
from distill.step_bench.shapes import MapShape, parse_shape


def extra_bytes(formulation: Formulation, shape: MapShape) -> int | None:
    """Of forward and backward pass, the student's gradient included; None where this system does not tell."""
    gradient_of(formulation, *random_maps((1, GROUPS, *PATCH)))
    student, teacher = random_maps(shape)
    memory = PeakMemory(student.device)
    gradient_of(formulation, student, teacher)
    return memory.extra_bytes()


def main() -> None:
    torch.set_num_threads(1)
    name, shape = sys.argv[1:]
    formulation = next(known for known in get_args(Formulation) if known == name)
    sys.stdout.write(json.dumps(extra_bytes(formulation, parse_shape(shape))))


if __name__ == "__main__":
    main()
