"""The trainer of every run, with the ends of its phases noted on a timeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from distill.loader import Batch
from distill.step_bench.instrument import STUDENT, backward_of
from distill.step_bench.timeline import HostClock, Timeline
from distill.trainer import Trainer

CLIPPING, UPDATE = "clipping", "optimiser"


@dataclass
class MeasuredTrainer(Trainer):
    """`optimiser` is the update and what follows: the methods' own updates and the average of the weights."""

    timeline: Timeline = field(default_factory=lambda: Timeline(HostClock()))

    def take_step(self, number: int, batch: Batch) -> None:
        super().take_step(number, batch)
        self.timeline.leave(UPDATE)

    def _remember(self, raw: Mapping[str, Tensor], parts: int) -> None:
        self.timeline.leave(backward_of(STUDENT))
        super()._remember(raw, parts)

    def _clip(self) -> None:
        with self.timeline.part(CLIPPING):
            super()._clip()
        self.timeline.enter(UPDATE)
