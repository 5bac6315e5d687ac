"""One training step's losses: student, teacher and methods in, one weighted sum out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from distill.compute import Compute
from distill.losses.task import task_loss
from distill.methods import METHODS
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegNetwork, normalise
from distill.preparation.begin import Prepare, begin_preparations
from modelpack.errors import SettingsError
from modelpack.tables import lookup


@dataclass(frozen=True)
class StepLosses:
    """The sum to minimise, and every term of it."""

    total: Tensor
    raw: Mapping[str, Tensor]
    """Before their weights, without their graph."""
    weighted: Mapping[str, Tensor]
    """As they enter the sum, with their graph."""


class TrainStep(nn.Module):
    """Student, frozen teacher and the methods' own layers; its forward is the whole objective."""

    def __init__(
        self,
        student: SegNetwork,
        teacher: SegNetwork | None,
        methods: Mapping[str, Method],
        weights: Mapping[str, float],
        compute: Compute,
    ) -> None:
        """weights: by term; `aux` for the auxiliary head, `METHOD/TERM` for the methods' terms."""
        super().__init__()
        self.student = student
        self.methods = nn.ModuleDict(methods)
        self.weights = dict(weights)
        self.compute = compute
        # In a tuple, so that the teacher is neither trained, nor saved, nor broadcast with this module.
        self._teacher = (teacher.eval().requires_grad_(False),) if teacher is not None else ()

    def forward(
        self, images_nhwc_u8: Tensor, target: Tensor, valid_pixels: Tensor, context: StepContext
    ) -> StepLosses:
        """images_nhwc_u8: (N, H, W, 3); target: (N, H, W) uint8, 255 ignored.

        valid_pixels: what the cross-entropy's sum is divided by, so that shards add up to the whole batch.
        """
        size = (target.shape[1], target.shape[2])
        with self.compute.autocast():
            student = self.student(normalise(images_nhwc_u8, self.student.normalisation))
        raw = task_loss(student, target, size=size, valid_pixels=valid_pixels)
        for teacher in self._teacher:
            with torch.no_grad(), self.compute.autocast():
                taught = teacher(normalise(images_nhwc_u8, teacher.normalisation))
            for name, method in self.methods.items():
                with self.compute.autocast():
                    terms = method(student, taught, target, context)
                raw |= {f"{name}/{term}": value for term, value in terms.items()}
        weighted = {name: self.weights.get(name, 1.0) * value for name, value in raw.items()}
        total = torch.stack(list(weighted.values())).sum()
        return StepLosses(total, {name: value.detach() for name, value in raw.items()}, weighted)

    def finish_step(self, context: StepContext) -> None:
        """Let every method do what it does after the student's update."""
        for method in self.methods.values():
            cast(Method, method).finish_step(context)

    def own_losses(self) -> dict[str, Tensor]:
        """By `METHOD/NAME`, what methods trained themselves by in the last `finish_step`."""
        return {
            f"{name}/{loss}": value
            for name, method in self.methods.items()
            for loss, value in cast(Method, method).own_losses().items()
        }

    @property
    def teacher(self) -> SegNetwork | None:
        return self._teacher[0] if self._teacher else None

    def adapter_parameters(self) -> list[nn.Parameter]:
        """Parameters that are trained with the student and thrown away after."""
        return list(self.methods.parameters())


def build_methods(
    settings: Sequence[MethodSettings],
    student: SegNetwork,
    teacher: SegNetwork | None,
    image_size: tuple[int, int] | None = None,
    prepare: Prepare = begin_preparations,
) -> tuple[dict[str, Method], dict[str, float]]:
    """The modules of the methods asked for, and the weights of their terms by `METHOD/TERM`.

    prepare: gives what methods learned from the teacher beforehand; called once all of them are known to fit.
    Raises SettingsError for a feature that a network does not have, or a method named twice.
    """
    methods: dict[str, Method] = {}
    weights: dict[str, float] = {}
    if teacher is None:
        return methods, weights
    pair = Pair(student.feature_info, teacher.feature_info, student.num_classes, image_size)
    for place, entry in enumerate(settings):
        if entry.name in (earlier.name for earlier in settings[:place]):
            raise SettingsError(f"methods: {entry.name} is listed twice; give it once with one weight.")
        _check_features(entry.name, "student", entry.student_features(), student)
        _check_features(entry.name, "teacher", entry.teacher_features(), teacher)
    prepared = prepare(settings, pair, teacher)
    for entry in settings:
        own_pair = replace(pair, prepared=prepared.get(entry.name))
        methods[entry.name] = lookup(METHODS, "method", entry.name).build(entry, own_pair)
        weights |= {f"{entry.name}/{term}": weight for term, weight in entry.weights().items()}
    return methods, weights


def _check_features(method: str, role: str, names: frozenset[str], network: SegNetwork) -> None:
    missing = sorted(names - set(network.feature_info))
    if missing:
        raise SettingsError(
            f"method {method} reads the {role}'s feature {', '.join(missing)}, which this network does not "
            f"have. It has: {', '.join(network.feature_info)}."
        )
