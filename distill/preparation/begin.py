"""Preparations as they are before anything is learned."""

from collections.abc import Callable, Mapping, Sequence

import torch

from distill.methods import METHODS
from distill.methods.method import MethodSettings, Pair
from distill.methods.preparation import Preparation, PreparationPlan
from distill.networks.output import SegNetwork
from modelpack.tables import lookup

Prepare = Callable[[Sequence[MethodSettings], Pair, SegNetwork], Mapping[str, Preparation]]
"""Methods, their pair and the teacher, to what each of them learned, by the method's name."""


def begin(method: MethodSettings, plan: PreparationPlan, pair: Pair) -> Preparation:
    """Its first weights depend on the plan's seed alone; the global generators are left as they were."""
    build = lookup(METHODS, "method", method.name).prepare
    assert build is not None, f"{method.name} has a plan of preparation, but METHODS names none"
    with torch.random.fork_rng():
        torch.manual_seed(plan.settings.seed)
        return build(method, pair)


def begin_preparations(
    methods: Sequence[MethodSettings], pair: Pair, teacher: SegNetwork
) -> dict[str, Preparation]:
    """Untrained: for what only measures speed or memory."""
    plans = {method: method.preparation() for method in methods}
    return {method.name: begin(method, plan, pair) for method, plan in plans.items() if plan is not None}
