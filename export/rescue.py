"""Save a low-precision graph that misses its rule: keep the fewest layers in float32 with which it holds."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from export.fewest import fewest_kept
from export.gate import Gate, rejected_dir
from export.layers import Layer, layers_of, nodes_of
from export.parity import Comparison
from export.precision.artifact import KEPT
from export.qdq import is_quantised
from export.sensitivity import LayerSensitivity, measure_sensitivity
from export.sensitivity_report import write_sensitivity
from export.targets.target import BuildContext, Target
from modelpack.errors import DatasetError

log = logging.getLogger(__name__)

LOW_PRECISIONS = ("fp16", "int8")


@dataclass(frozen=True)
class Candidate:
    """One file and what the gate measured of it."""

    path: Path
    kept: tuple[Layer, ...]
    """In float32, most sensitive first."""
    details: Mapping[str, Any]
    comparison: Comparison

    @property
    def broken(self) -> tuple[str, ...]:
        return self.comparison.parity.broken

    @property
    def broken_answers(self) -> tuple[str, ...]:
        """The same without what the proof of precision says: what float32 might mend."""
        parity = self.comparison.parity
        return tuple(sentence for sentence in parity.broken if sentence != parity.precision_proof.broken)


def can_be_rescued(target: Target, context: BuildContext) -> bool:
    """Whether keeping layers in float32 may mend this target: a student trained in int8 has no other form."""
    return (
        context.config.rescue.enabled
        and target.kind == "onnx"
        and target.precision in LOW_PRECISIONS
        and not is_quantised(context.model)
    )


@dataclass
class Rescue:
    """One artifact's way from a broken rule to the fewest layers kept."""

    name: str
    target: Target
    context: BuildContext
    gate: Gate
    folder: Path
    """Where all candidates are written; they stay there."""
    tried: list[Candidate] = field(default_factory=list)
    """All files but the chosen one, in the order in which they were measured."""
    sensitivity: tuple[LayerSensitivity, ...] = ()

    def admit(self, file: Path, details: Mapping[str, Any], reports: Path) -> dict[str, Any]:
        """Judge the file that was built with nothing kept; where it misses its rule, put a rescued one there.

        Gives the details for the manifest. Raises what `Gate.check` does: for an artifact that is not what it
        claims, and where no candidate within `rescue.max_kept_share` passes (sensitivities are in
        `rejected_dir` then, otherwise in `reports`).
        """
        asked = Candidate(file, (), details, self.gate.measure(self.name, self.target, file, details))
        if not asked.broken or asked.broken != asked.broken_answers:
            self.gate.judge(asked.comparison)
            return dict(details)
        missed = replace(asked, path=self.folder / f"{self.name}-missed.onnx")
        shutil.move(file, missed.path)
        self.tried.append(missed)
        chosen = self._search(missed)
        self._write_reports(reports, chosen.kept)
        self.gate.judge(chosen.comparison)
        shutil.copyfile(chosen.path, file)
        facts = {
            "kept_layers": {layer.name: layer.module for layer in chosen.kept},
            "layers": len(self.sensitivity),
            "missed_without": list(missed.broken),
            "candidates": len(self.tried),
            "report": f"reports/sensitivity-{self.name}.json",
        }
        self.tried.remove(chosen)
        return {**chosen.details, "rescue": facts}

    def _search(self, missed: Candidate) -> Candidate:
        log.info("%s misses its rule: %s", self.name, "; ".join(missed.broken))
        self._check_that_float32_passes(missed)
        proof = missed.comparison.parity.precision_proof
        layers = {
            layer.name: layer for layer in layers_of(self.context.model) if layer.name not in proof.kept
        }
        self.sensitivity = self._measure_sensitivity(tuple(layers.values()), missed)
        order = [layers[entry.layer] for entry in self.sensitivity]
        share = self.context.config.rescue.max_kept_share
        limit = int(share * len(order))
        kept = fewest_kept(
            [layer.name for layer in order],
            lambda names: not self._try([layer for layer in order if layer.name in names]).broken,
            limit,
        )
        if kept is None:
            error = self.gate.refusal(
                missed.comparison,
                f"With the {limit} most sensitive of {len(order)} layers in float32, "
                f"{'; '.join(self.tried[-1].broken)}, and export.rescue.max_kept_share={share:g} allows no "
                f"more: it would be {self.target.precision} by name only. Calibrate better, train with "
                "quantisation, or loosen the rule.",
            )
            self._write_reports(rejected_dir(self.gate.config), kept=())
            raise error
        log.info("%s passes with %d of %d layers in float32", self.name, len(kept), len(order))
        return next(one for one in self.tried if {layer.name for layer in one.kept} == kept)

    def _check_that_float32_passes(self, missed: Candidate) -> None:
        path = self.folder / f"{self.name}-float32.onnx"
        onnx.save(self.context.model, path)
        in_float32 = Candidate(path, (), {}, self.gate.measure(self.name, self.target, path))
        if in_float32.broken_answers:
            raise self.gate.refusal(
                missed.comparison,
                "Keeping layers in float32 does not help, with all of them there it still breaks its rule "
                f"({'; '.join(in_float32.broken_answers)}). Loosen the rule.",
            )

    def _measure_sensitivity(
        self, layers: Sequence[Layer], missed: Candidate
    ) -> tuple[LayerSensitivity, ...]:
        try:
            return measure_sensitivity(
                self.name,
                self.target,
                self.context,
                layers,
                images=self.context.config.rescue.images,
                device=self.gate.config.device,
            )
        except DatasetError as error:
            remark = f"No layers were tried in float32, that takes training images: {error}"
            raise self.gate.refusal(missed.comparison, remark) from error

    def _try(self, kept: Sequence[Layer]) -> Candidate:
        nodes = nodes_of(kept)
        path = self.folder / f"{self.name}-{len(self.tried)}.onnx"
        built = self.target.build(replace(self.context, keep_float32=nodes), path)
        details = {**built, KEPT: sorted(nodes.union(built.get(KEPT, ())))}
        comparison = self.gate.measure(self.name, self.target, path, details)
        candidate = Candidate(path, tuple(kept), details, comparison)
        self.tried.append(candidate)
        verdict = f"misses: {'; '.join(candidate.broken)}" if candidate.broken else "passes"
        log.info("%s with %d layers in float32 %s", self.name, len(kept), verdict)
        return candidate

    def _write_reports(self, folder: Path, kept: Sequence[Layer]) -> None:
        candidates = [
            {
                "kept_float32": [layer.name for layer in candidate.kept],
                "miou": candidate.comparison.parity.miou_artifact,
                "agreement": candidate.comparison.parity.agreement,
                "broken": list(candidate.broken),
            }
            for candidate in self.tried
        ]
        images = min(self.context.config.rescue.images, len(self.context.calibration))
        write_sensitivity(
            folder,
            self.name,
            self.sensitivity,
            kept=[layer.name for layer in kept],
            images=images,
            candidates=candidates,
        )
