"""Whom an analysis looks at: every run's student before and after its training, grouped by teacher."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from distill.analysis.runs import variant_of
from distill.assemble import build_student
from distill.config import TeacherConfig, TrainConfig
from distill.networks import build_network
from distill.networks.output import FeatureInfo, SegNetwork
from distill.run import TrainingRun, load_student
from distill.weights import weights_file
from modelpack.atomic import sha256_file
from modelpack.errors import CheckpointError


@dataclass(frozen=True)
class Subject:
    """One network to be compared with the teacher of `run`."""

    run: TrainingRun
    state: Literal["before", "after"]
    row: str
    """Seeds of one variant share it."""
    weights_from: TrainingRun | None
    """None: the weights that the run's student began with."""

    def load(self) -> SegNetwork:
        """In evaluation mode, float32, on the CPU."""
        if self.weights_from is not None:
            return load_student(self.weights_from)
        torch.manual_seed(self.run.config.seed)
        return build_student(self.run.config, self.run.labels.num_classes).eval()

    def describe(self) -> dict[str, Any]:
        """Who it is, as plain data."""
        methods = self.run.config.methods if self.state == "after" else ()
        own: dict[str, Any] = {
            "row": self.row,
            "state": self.state,
            "seed": self.run.config.seed,
            "network": (self.weights_from or self.run).config.student.network,
            "methods": [method.name for method in methods],
        }
        if self.weights_from is None:
            return own
        result = self.weights_from.result
        return {
            **own,
            "run": self.weights_from.folder.resolve().name,
            "miou": result["report"]["miou"],
            "weights_sha256": result["weights_sha256"],
        }


@dataclass(frozen=True)
class Taught:
    """Runs that learned from one checkpoint."""

    name: str
    """Of the teacher, among those of this analysis."""
    teacher: TeacherConfig
    runs: tuple[TrainingRun, ...]
    weights_sha256: str

    def student_features(self) -> Mapping[str, FeatureInfo]:
        """Those that the students of all runs have."""
        students = {json.dumps(_network(run.config)): run for run in self.runs}
        found: Mapping[str, FeatureInfo] = {}
        for index, run in enumerate(students.values()):
            config = run.config.student
            features = build_network(
                config.network, run.labels.num_classes, options=config.options
            ).feature_info
            found = features if index == 0 else {name: found[name] for name in found if name in features}
        return found

    def describe(self) -> dict[str, Any]:
        measured = [run.result["teacher"] for run in self.runs if run.result["teacher"]]
        return {
            "name": self.name,
            "network": self.teacher.network,
            "weights_sha256": self.weights_sha256,
            "miou": measured[0]["miou"] if measured else None,
            "miou_split": measured[0]["split"] if measured else None,
        }


def by_teacher(runs: Sequence[TrainingRun]) -> list[Taught]:
    """In the order in which teachers first come. Raises CheckpointError for one without weights."""
    hashes: dict[Path, str] = {}
    groups: dict[str, list[TrainingRun]] = {}
    for run in runs:
        file = _teacher_file(run)
        if file not in hashes:
            hashes[file] = sha256_file(file)
        groups.setdefault(hashes[file], []).append(run)
    taught: list[Taught] = []
    for sha256, group in groups.items():
        teacher = group[0].config.teacher
        assert teacher is not None
        assert teacher.checkpoint is not None  # its file has been read
        path = teacher.checkpoint.resolve()
        name = path.stem if path.is_file() else path.name
        is_taken = any(other.name == name for other in taught)
        unique = f"{name}-{sha256[:8]}" if is_taken else name
        taught.append(Taught(unique, teacher, tuple(group), sha256))
    return taught


def subjects_of(runs: Sequence[TrainingRun], before: TrainingRun | None) -> Iterator[Subject]:
    """Of runs that share a teacher: each beginning once, then every run.

    before: a run that stands for the beginning of all of them.
    """
    if before is not None:
        yield Subject(before, "before", f"before ({variant_of(before)})", before)
    several = len({json.dumps(_network(run.config)) for run in runs}) > 1
    starts: set[str] = set()
    for run in runs if before is None else ():
        start = json.dumps([run.config.student.model_dump(mode="json"), run.config.seed])
        if start not in starts:
            network = f", {run.config.student.network}" if several else ""
            yield Subject(run, "before", f"before ({_beginning(run.config)}{network})", None)
        starts.add(start)
    for run in runs:
        yield Subject(run, "after", variant_of(run), run)


def _teacher_file(run: TrainingRun) -> Path:
    teacher = run.config.teacher
    if teacher is None or teacher.checkpoint is None:
        raise CheckpointError(
            f"the teacher of {run.folder} has no checkpoint to compare with. Name it: teacher.checkpoint=RUN."
        )
    file = weights_file(teacher.checkpoint)
    if not file.is_file():
        raise CheckpointError(
            f"{file}, the teacher of {run.folder}, is not there. Say where it is: teacher.checkpoint=RUN."
        )
    return file


def _network(config: TrainConfig) -> dict[str, Any]:
    return {"network": config.student.network, "options": config.student.options}


def _beginning(config: TrainConfig) -> str:
    if config.student.init is not None:
        return "the weights of student.init"
    return "untrained" if config.student.weights is None else "pre-trained backbone"
