"""Visit one variant after the other, round after round, in fresh processes; go on where that ended."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from distill.config import TrainConfig
from distill.preparation.stage import prepare
from distill.same_run import with_new_settings
from distill.step_cost.result import Costs, Visit, costs_of
from distill.step_cost.settings import CostConfig
from modelpack.atomic import write_json
from modelpack.environment import fingerprint
from modelpack.errors import CheckpointError, SegError, UsageError
from modelpack.settings import StrictModel

log = logging.getLogger(__name__)

COST_FILE = "cost.json"
"""In the folder of the comparison: every visit so far."""


class CostError(SegError):
    """A process that measured a variant failed."""


class Measured(StrictModel):
    """The content of `COST_FILE`."""

    warm_up: int
    steps: int
    settings: dict[str, dict[str, Any]]
    """By variant, those of its training."""
    environment: dict[str, Any]
    visits: dict[str, list[Visit]]
    """By variant, one for each round so far."""


def refuse_several_processes() -> None:
    """Raises UsageError where torchrun started more than one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "compare.cost measures steps of one process, and torchrun started several. Leave it out here "
            "(compare.cost=null), and start the same command once without torchrun afterwards."
        )


def measure_costs(configs: Mapping[str, TrainConfig], config: CostConfig, folder: Path) -> Costs:
    """Take what is missing of `config.rounds` rounds over all variants; visits are kept in `folder`.

    configs: by variant, with trained teachers. All variants are measured in the same rounds: where there is
    one more of them, settings differ, or the code does in the middle of the rounds, all are measured again.
    Raises CostError where a process fails, CheckpointError where what is kept is damaged.
    """
    path = folder / COST_FILE
    measured = _continued(path, configs, config)
    for number in range(config.rounds):
        for name, variant in configs.items():
            if len(measured.visits[name]) > number:
                continue
            if not measured.visits[name]:
                prepare(variant)  # else its first visit would, and learning takes other memory than training
            visit = _visit(name, variant, config)
            measured.visits[name].append(visit)
            write_json(path, measured.model_dump(mode="json"))
            log.info(
                "costs, round %d of %d, %s: %.0f ms a step",
                *(number + 1, config.rounds, name, median(visit.steps_ms)),
            )
    visits = {name: visited[: config.rounds] for name, visited in measured.visits.items()}
    threads = next(iter(configs.values())).compute.threads
    return costs_of(visits, config, threads, measured.environment)


def _continued(path: Path, configs: Mapping[str, TrainConfig], config: CostConfig) -> Measured:
    """What is there already, if it is of the same; else an empty beginning."""
    empty = Measured(
        warm_up=config.warm_up,
        steps=config.steps,
        settings={name: json.loads(_as_json(variant)) for name, variant in configs.items()},
        environment=fingerprint(),
        visits={name: [] for name in configs},
    )
    if not path.is_file():
        return empty
    try:
        there = Measured.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged. Remove it, and costs are measured again.") from error
    is_finished = all(len(visits) >= config.rounds for visits in there.visits.values())
    is_same = (there.warm_up, there.steps) == (empty.warm_up, empty.steps) and (
        _what_costs(there.settings) == _what_costs(empty.settings)
    )
    if is_same and (is_finished or _place(there.environment) == _place(empty.environment)):
        return there
    log.info("costs: what %s holds was measured under other conditions; all are measured again", path)
    return empty


def _what_costs(settings: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without what only says where something lies."""
    found = {}
    for name, values in settings.items():
        completed = with_new_settings(values, TrainConfig)
        teacher = completed.get("teacher") and {**completed["teacher"], "checkpoint": None}
        found[name] = {**completed, "name": None, "output": None, "teacher": teacher}
    return found


def _as_json(config: TrainConfig) -> str:
    return json.dumps(config.model_dump(mode="json"), default=str)


def _place(environment: Mapping[str, Any]) -> tuple[Any, ...]:
    """Code and machine."""
    return tuple(environment[key] for key in ("code", "cpu", "gpu"))


def _visit(name: str, variant: TrainConfig, config: CostConfig) -> Visit:
    command = [sys.executable, "-m", "distill.step_cost.visit", str(config.warm_up), str(config.steps)]
    done = subprocess.run(command, input=_as_json(variant), capture_output=True, text=True, check=False)
    if done.returncode:
        last_words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CostError(
            f"the process that measures the cost of {name} failed: {last_words}. "
            "Leave costs out with compare.cost=null."
        )
    return Visit.model_validate_json(done.stdout.splitlines()[-1])
