"""Compare one student with its teacher: each pair of features, and the answers."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.analysis.alignment import debiased_linear_cka, linear_cka
from distill.analysis.answers import Answers
from distill.analysis.image_sets import ImageSets
from distill.analysis.linear_map import LinearMap
from distill.analysis.moments import Moments
from distill.analysis.pairs import FeaturePair
from distill.analysis.self_similarity import local_similarities, similarity_differences
from distill.methods.grid import onto_grid_of
from distill.networks.output import SegNetwork, SegOutput, normalise
from modelpack.metrics import ConfusionMatrix


def measure(
    student: SegNetwork,
    teacher: SegNetwork,
    images: ImageSets,
    pairs: Sequence[FeaturePair],
    *,
    window: int,
    device: torch.device,
) -> dict[str, Any]:
    """`features` (per pair) and `answers`, as plain data. Both networks are in evaluation mode on `device`.

    Student maps are compared on the teacher's grid (`distill/methods/grid.py`), in float32; sums over
    positions are float64. Where a network pads its images, positions of the padding count too.
    """
    fitted: dict[FeaturePair, Moments] = {}
    for _, learned, taught in _outputs(student, teacher, images.fitted, device):
        for pair in pairs:
            _add(fitted, pair, *maps_of(pair, learned, taught))
    measured: dict[FeaturePair, Moments] = {}
    differences = {pair: _Mean() for pair in pairs}
    answers = Answers(ConfusionMatrix(student.num_classes))
    for size, learned, taught in _outputs(student, teacher, images.measured, device):
        for pair in pairs:
            maps = maps_of(pair, learned, taught)
            _add(measured, pair, *maps)
            similarities = [local_similarities(side, window) for side in maps]
            differences[pair].add(similarity_differences(*similarities))
        answers.update(learned.full_logits(size), taught.full_logits(size))
    return {
        "features": {
            pair.name: {
                "cka": _json_number(linear_cka(measured[pair])),
                "cka_debiased": _json_number(debiased_linear_cka(measured[pair])),
                "distance": _distance(fitted[pair], measured[pair]),
                "self_similarity_distance": differences[pair].value,
                "positions": measured[pair].count,
                "positions_fitted": fitted[pair].count,
            }
            for pair in pairs
        },
        "answers": answers.to_dict(images.labels),
    }


def maps_of(pair: FeaturePair, student: SegOutput, teacher: SegOutput) -> tuple[Tensor, Tensor]:
    """The student's map on the teacher's grid, and the teacher's; float32."""
    taught = teacher.feature(pair.teacher)
    learned = onto_grid_of(taught, student.feature(pair.student), student=student, teacher=teacher)
    return learned.float(), taught.float()


@torch.no_grad()
def output_of(network: SegNetwork, image_hwc: NDArray[np.uint8], device: torch.device) -> SegOutput:
    """One image through a network in evaluation mode, in float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(image_hwc))[None].to(device)
    output: SegOutput = network(normalise(pixels, network.normalisation))
    return output


@dataclass
class _Mean:
    """Over values that come in parts."""

    total: float = 0.0
    count: int = 0

    def add(self, values: Tensor) -> None:
        self.total += float(values.double().sum())
        self.count += values.numel()

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


def _outputs(
    student: SegNetwork, teacher: SegNetwork, images: Iterable[NDArray[np.uint8]], device: torch.device
) -> Iterator[tuple[tuple[int, int], SegOutput, SegOutput]]:
    """(height and width, student's, teacher's) of each image."""
    for image in images:
        size = (image.shape[0], image.shape[1])
        yield size, output_of(student, image, device), output_of(teacher, image, device)


def _distance(fitted: Moments, measured: Moments) -> float | None:
    """Null also where there are not more positions than channels: then many maps fit without any error."""
    if fitted.count <= len(fitted.student_mean):
        return None
    return _json_number(LinearMap.fit(fitted).relative_distance(measured))


def _add(sums: dict[FeaturePair, Moments], pair: FeaturePair, student: Tensor, teacher: Tensor) -> None:
    found = Moments.of(student, teacher)
    sums[pair] = sums[pair] + found if pair in sums else found


def _json_number(value: float) -> float | None:
    """What is not defined becomes null."""
    return None if math.isnan(value) else value
