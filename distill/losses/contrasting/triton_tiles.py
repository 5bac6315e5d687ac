"""Omni-contrasting on CUDA by a Triton kernel: nothing as large as the maps is made but the gradient."""

import os
import shutil
from functools import cache
from types import ModuleType

import torch

from distill.losses.contrasting.problem import Answer, Problem

BLOCK_TEACHER = 256
"""Teacher rows at a time, at most: those of the published patch, whose distances then are computed once."""
BLOCK_DISTANCES = 1 << 13
DISTANCES_PER_WARP = 1 << 10
"""32 registers of each thread hold distances. Compiled for an H200 that of l1 then takes 128 registers, so
that two programs of 8 warps share a multiprocessor and one computes while the other waits; with twice as many
distances it takes 192, and they run alone. Chosen from what the compiler says, not from measured times."""
FEWEST = 16
"""Rows of a block; a patch with fewer is padded."""


class TritonTiles:
    """For maps of any float type but float64, whose teacher asks for no gradient: in training none does."""

    def obstacle(self, problem: Problem) -> str | None:
        if problem.student.device.type != "cuda" and not _interprets():
            return "it computes on CUDA"
        if problem.inverse_temperature.dtype != torch.float32:
            return f"it computes in float32, not in {problem.inverse_temperature.dtype}"
        if problem.wants_teacher:
            return "it takes no gradient of the teacher"
        return _kernel()[1]

    def solve(self, problem: Problem) -> Answer:
        kernel, _ = _kernel()
        assert kernel is not None
        student, teacher = problem.student, problem.teacher
        block_teacher = min(BLOCK_TEACHER, max(FEWEST, _power_of_two(problem.rows)))
        block_student = min(BLOCK_DISTANCES // block_teacher, max(FEWEST, _power_of_two(problem.rows)))
        grid = (problem.patches * -(-problem.rows // block_student),)
        losses = torch.empty(grid, device=student.device)
        gradient = torch.empty_like(student, dtype=torch.float32) if problem.wants_student else losses
        with torch.cuda.device_of(student):  # type: ignore[no-untyped-call]
            kernel.contrast_tile[grid](
                student,
                teacher,
                gradient,
                losses,
                problem.inverse_temperature,
                problem.row_channels,
                student.shape[2] // problem.patch[0],
                student.shape[3] // problem.patch[1],
                student.stride(),
                teacher.stride(),
                gradient.stride() if problem.wants_student else student.stride(),
                ROWS=problem.rows,
                PIXELS=problem.pixels,
                WIDTH=problem.patch[1],
                ALL=problem.negatives == "all",
                IS_L1=problem.distance == "l1",
                WANTS_GRADIENT=problem.wants_student,
                BLOCK_STUDENT=block_student,
                BLOCK_TEACHER=block_teacher,
                num_warps=max(1, block_teacher * block_student // DISTANCES_PER_WARP),
            )
        return Answer(losses.sum(), gradient if problem.wants_student else None, None)


def _power_of_two(rows: int) -> int:
    """The least that is not below `rows`."""
    return 1 << (rows - 1).bit_length()


def _interprets() -> bool:
    """Whether Triton was asked to run kernels as Python on the CPU, as tests do."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _kernel() -> tuple[ModuleType | None, str | None]:
    """The module of the kernel, or what stands in its way."""
    try:
        import triton  # noqa: F401, PLC0415  (comes with torch on Linux, but not everywhere)
    except ImportError as error:
        return None, str(error)
    if not _interprets() and not (os.environ.get("CC") or any(map(shutil.which, ("cc", "gcc", "clang")))):
        return None, "Triton finds no C compiler, with which it makes the call of a kernel"
    from distill.losses.contrasting import triton_kernel  # noqa: PLC0415

    return triton_kernel, None
