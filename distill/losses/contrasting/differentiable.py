"""The total of all row losses as a node of the graph, whichever backend computed it."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distill.losses.contrasting import choose_backend
from distill.losses.contrasting.problem import Distance, Negatives, Problem


def sum_of_row_losses(
    student: Tensor,
    teacher: Tensor,
    inverse_temperature: Tensor,
    groups: int,
    patch: tuple[int, int],
    negatives: Negatives,
    distance: Distance,
) -> Tensor:
    """Sum over rows r of logsumexp of (d(r, r) - d(r, k)) * inverse_temperature over k = r and its negatives.

    student, teacher: (N, C, H, W) that divide into patches and groups. inverse_temperature: (N,). Both maps
    receive gradients when they require them; no second derivatives. What is kept for the backward pass is the
    gradient itself.
    """
    if not torch.is_grad_enabled():
        student, teacher = student.detach(), teacher.detach()
    total: Tensor = _RowLosses.apply(
        student, teacher, inverse_temperature, groups, patch, negatives, distance
    )
    return total


class _RowLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        inverse_temperature: Tensor,
        groups: int,
        patch: tuple[int, int],
        negatives: Negatives,
        distance: Distance,
    ) -> Tensor:
        problem = Problem(
            student.detach(),
            teacher.detach(),
            inverse_temperature,
            groups,
            patch,
            negatives,
            distance,
            wants_student=ctx.needs_input_grad[0],
            wants_teacher=ctx.needs_input_grad[1],
        )
        answer = choose_backend(problem).solve(problem)
        ctx.save_for_backward(answer.grad_student, answer.grad_teacher)
        return answer.total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (None if kept is None else kept * grad_total for kept in ctx.saved_tensors)
        return *gradients, None, None, None, None, None
