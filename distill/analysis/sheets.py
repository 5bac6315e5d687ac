"""Sheets of pictures: a few images, the teacher's map of each, and every student's beside it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from distill.analysis.colours import (
    Picture,
    as_colours,
    on_scale,
    principal_scores,
    scale_of,
    turned_towards,
)
from distill.analysis.measure import maps_of, output_of
from distill.analysis.pairs import FeaturePair
from distill.analysis.self_similarity import mean_similarity
from distill.networks.output import SegNetwork
from distill.pictures import draw_sheet


class Sheets:
    """Collects one column for each network; the teacher's colours are those that students are turned to."""

    def __init__(
        self,
        images: Sequence[Picture],
        pairs: Sequence[FeaturePair],
        teacher: SegNetwork,
        *,
        window: int,
        device: torch.device,
    ) -> None:
        self.images, self.pairs, self.window, self.device = images, pairs, window, device
        self._taught = [output_of(teacher, image, device) for image in images]
        self._scores: dict[FeaturePair, list[Tensor]] = {}
        self._scales: dict[FeaturePair, tuple[float, float]] = {}
        self._features: dict[FeaturePair, dict[str, list[Picture]]] = {}
        self._similarities: dict[FeaturePair, dict[str, list[Picture]]] = {}
        for pair in pairs:
            maps = [output.feature(pair.teacher).float() for output in self._taught]
            similar = self._similar(maps)
            self._scores[pair] = principal_scores([part[0] for part in maps])
            self._scales[pair] = scale_of(similar)
            self._features[pair] = {"teacher": self._fitted([as_colours(s) for s in self._scores[pair]])}
            self._similarities[pair] = {"teacher": self._on_scale(pair, similar)}

    def add(self, title: str, student: SegNetwork) -> None:
        """A column of this name on every sheet."""
        learned = [output_of(student, image, self.device) for image in self.images]
        for pair in self.pairs:
            maps = [maps_of(pair, *sides)[0] for sides in zip(learned, self._taught, strict=True)]
            scores = turned_towards(principal_scores([part[0] for part in maps]), self._scores[pair])
            self._features[pair][title] = self._fitted([as_colours(part) for part in scores])
            self._similarities[pair][title] = self._on_scale(pair, self._similar(maps))

    def write(self, folder: Path, suffix: str = "") -> list[str]:
        """`features-PAIR.png` and `self-similarity-PAIR.png`; returns the files' names."""
        names = []
        for kind, sheets in (("features", self._features), ("self-similarity", self._similarities)):
            for pair, columns in sheets.items():
                names.append(f"{kind}-{pair.name}{suffix}.png")
                draw_sheet(folder / names[-1], {"image": list(self.images), **columns})
        return names

    def _similar(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [mean_similarity(part, self.window)[0] for part in maps]

    def _on_scale(self, pair: FeaturePair, maps: Sequence[Tensor]) -> list[Picture]:
        return self._fitted([on_scale(part, self._scales[pair]) for part in maps])

    def _fitted(self, pictures: Sequence[Picture]) -> list[Picture]:
        """At the size of the images, every position of a map as one block."""
        fitted = []
        for picture, image, output in zip(pictures, self.images, self._taught, strict=True):
            height, width = output.padded_size
            large = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
            fitted.append(np.asarray(large[: image.shape[0], : image.shape[1]], np.uint8))
        return fitted
