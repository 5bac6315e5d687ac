"""Prepare the methods of a recipe: reuse what is finished, learn what is not."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from distill.compute import Compute
from distill.config import TrainConfig
from distill.datasets import open_dataset, open_to_learn_from
from distill.datasets.dataset import SegDataset
from distill.distributed import Processes
from distill.doctor import check_before_training
from distill.methods.method import MethodSettings, Pair
from distill.methods.preparation import Preparation, PreparationPlan
from distill.networks.output import SegNetwork
from distill.preparation.begin import begin
from distill.preparation.folder import WEIGHTS_FILE, describe, folder_of, is_finished, open_prepared
from distill.preparation.learning import learn
from distill.run import RESULT_FILE, SETTINGS_FILE, STATE_FILE
from distill.teacher import load_teacher, measure_teacher
from distill.training_data import data_to_learn_from
from distill.weights import save_weights
from modelpack.atomic import sha256_file, write_json
from modelpack.environment import fingerprint

log = logging.getLogger(__name__)

PREPARED_FILE = "prepared.json"
"""In a run's folder: what its methods had learned before its first step."""


@dataclass
class Preparations:
    """A `Prepare`: what each method must learn is there when it returns."""

    config: TrainConfig
    training: SegDataset
    report: SegDataset
    """What the teacher is measured on before anyone learns from it."""
    compute: Compute
    processes: Processes
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    """By method: folder, and sha256 of its weights."""

    def __call__(
        self, methods: Sequence[MethodSettings], pair: Pair, teacher: SegNetwork
    ) -> dict[str, Preparation]:
        """Raises GateError for a teacher that knows nothing, TrainingInterruptedError after a signal."""
        plans = [(method, method.preparation()) for method in methods]
        return {
            method.name: self._prepare(method, plan, pair, teacher)
            for method, plan in plans
            if plan is not None
        }

    def _prepare(
        self, method: MethodSettings, plan: PreparationPlan, pair: Pair, teacher: SegNetwork
    ) -> Preparation:
        settings = plan.settings
        steps = settings.steps or math.ceil(len(self.training) / settings.batch)
        description = describe(self.config, method.name, plan, steps, self.compute)
        folder = plan.finished or folder_of(self.config, description)
        if plan.finished is None and not is_finished(folder):
            with torch.random.fork_rng():
                self._learn(begin(method, plan, pair), plan, steps, folder, description, teacher)
        preparation = begin(method, plan, pair)
        sha256 = open_prepared(folder, preparation, description)
        self.used[method.name] = {"folder": str(folder), "weights_sha256": sha256}
        return preparation

    def _learn(
        self,
        preparation: Preparation,
        plan: PreparationPlan,
        steps: int,
        folder: Path,
        description: dict[str, object],
        teacher: SegNetwork,
    ) -> None:
        log.info("preparing %s", folder)
        if self.processes.is_main:
            write_json(folder / SETTINGS_FILE, description)
        measure_teacher(self.config, folder, teacher, self.report, self.compute, self.processes)
        rows = learn(
            preparation,
            plan.settings,
            steps,
            folder,
            teacher=teacher,
            dataset=self.training,
            config=self.config,
            compute=self.compute,
            processes=self.processes,
        )
        if self.processes.is_main:
            save_weights(preparation, folder / WEIGHTS_FILE)
            result = {
                **description,
                "losses": rows,
                "device": str(self.compute.device),
                "processes": self.processes.world_size,
                "weights_sha256": sha256_file(folder / WEIGHTS_FILE),
                "environment": fingerprint(),
            }
            write_json(folder / RESULT_FILE, result)
            (folder / STATE_FILE).unlink(missing_ok=True)
        self.processes.wait()


def prepare(config: TrainConfig) -> dict[str, dict[str, str]]:
    """Prepare the methods of a run without training its student; see `Preparations.used`.

    Raises what `distill.train.train` raises.
    """
    if config.teacher is None or all(method.preparation() is None for method in config.methods):
        return {}
    compute = Compute.choose(config.compute)
    processes = Processes.join(compute.device.type)
    try:
        compute = compute.on_rank(processes.local_rank)
        data = data_to_learn_from(config)
        check_before_training(data, config.splits)
        training = open_to_learn_from(data)
        report = open_dataset(config.data, config.evaluation.report_on)
        teacher = load_teacher(config.teacher, training.labels.num_classes, compute)
        preparations = Preparations(config, training, report, compute, processes)
        preparations(config.methods, Pair({}, teacher.feature_info, teacher.num_classes), teacher)
    finally:
        processes.leave()
    return preparations.used
