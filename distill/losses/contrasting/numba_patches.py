"""Omni-contrasting on a CPU by loops that numba compiles: a range of patches for each of torch's threads."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from distill.losses.contrasting.problem import Answer, Problem

log = logging.getLogger(__name__)


class NumbaPatches:
    """For float32 and narrower; numba comes with the extra `numba`."""

    def obstacle(self, problem: Problem) -> str | None:
        if problem.student.device.type != "cpu":
            return "it computes on the CPU"
        if problem.inverse_temperature.dtype != torch.float32:
            return f"it computes in float32, not in {problem.inverse_temperature.dtype}"
        return _kernel()[1]

    def solve(self, problem: Problem) -> Answer:
        kernel, _ = _kernel()
        assert kernel is not None
        student, teacher = (maps.float().numpy() for maps in (problem.student, problem.teacher))
        grad_student = _gradient_of(problem.student, problem.wants_student)
        grad_teacher = _gradient_of(problem.teacher, problem.wants_teacher)
        threads = min(torch.get_num_threads(), problem.patches)
        edges = [problem.patches * number // threads for number in range(threads + 1)]

        def solve_between(first: int, end: int) -> float:
            total: float = kernel.contrast_patches(
                student,
                teacher,
                grad_student.numpy(),
                grad_teacher.numpy(),
                problem.inverse_temperature.numpy(),
                first,
                end,
                problem.groups,
                *problem.patch,
                problem.negatives == "cross_group",
                problem.distance == "l1",
            )
            return total

        if threads == 1:
            totals = [solve_between(0, problem.patches)]
        else:
            with ThreadPoolExecutor(threads) as pool:
                totals = list(pool.map(solve_between, edges[:-1], edges[1:]))
        return Answer(
            torch.tensor(sum(totals), dtype=torch.float32),
            grad_student if problem.wants_student else None,
            grad_teacher if problem.wants_teacher else None,
        )


def _gradient_of(maps: Tensor, is_wanted: bool) -> Tensor:
    """Every element of it will be written. Without elements where nobody wants it."""
    return torch.empty_like(maps, dtype=torch.float32) if is_wanted else torch.empty(0, 0, 0, 0)


@cache
def _kernel() -> tuple[ModuleType | None, str | None]:
    """The compiled loops, or what stands in their way."""
    try:
        import numba  # noqa: F401, PLC0415  (optional; missing, or too old for this numpy)
    except ImportError as error:
        return None, f"{error} (pip install 'afdcd[numba]')"
    log.info("compiling omni-contrasting for this CPU, unless that was done before")
    from distill.losses.contrasting import numba_kernel  # noqa: PLC0415

    return numba_kernel, None
