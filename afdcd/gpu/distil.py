"""Step `distil`: DeepLabV3-ResNet101 teaches DeepLabV3-ResNet18 on CamVid, for the minutes at hand.

Without published weights: the teacher is trained from scratch first, then the student with it.
"""

from typing import Any

import torch

from afdcd.gpu.pair import PublishedPair, camvid_or_stand_in, with_steps
from afdcd.gpu.plan import Plan, make_plan
from afdcd.gpu.step import Context, Note
from distill.config import TrainConfig
from distill.run import TrainingRun
from distill.train import train
from modelpack.atomic import write_json

PLAN_FILE = "plan.json"


def run(context: Context, note: Note) -> None:
    data, reason = camvid_or_stand_in(context.data_root)
    note("data", data["name"])
    note("skipped", reason or "nothing")
    pair = PublishedPair.of_recipes(data, context.teacher_run, {"compute": {"device": context.device}})
    distil(pair, context, note)


def distil(pair: PublishedPair, context: Context, note: Note) -> None:
    """Plan, train the teacher, train the student; an interrupted run is resumed with the plan it had."""
    plan = _plan(pair, context)
    note("planned", [{"run": name, **run_plan.row()} for name, run_plan in plan.runs().items()])
    runs = (
        ("teacher", with_steps(pair.teacher, plan.teacher.steps, plan.teacher.every), context.teacher_run),
        ("student", with_steps(pair.student, plan.student.steps, plan.student.every), context.student_run),
    )
    for name, config, folder in runs:
        note(name, described(train(config, folder), config))


def described(run: TrainingRun, config: TrainConfig) -> dict[str, Any]:
    """What a reader wants to know of a finished run."""
    report, teacher = run.result["report"], run.result["teacher"]
    peak = torch.cuda.max_memory_allocated() / (1 << 20) if torch.cuda.is_available() else None
    return {
        "network": run.result["network"],
        "steps": config.optim.steps,
        "batch": config.optim.batch,
        "precision": run.result["precision"],
        "device": run.result["device"],
        "dataset": report["dataset"],
        "split": report["split"],
        "images": report["images"],
        "miou_percent": 100 * report["miou"],
        "teacher_miou_percent": None if teacher is None else 100 * teacher["miou"],
        "selected_step": run.result["selection"]["step"],
        "peak_mib_of_process": peak,
        "result": run.result,
    }


def _plan(pair: PublishedPair, context: Context) -> Plan:
    path = context.work / "distil" / PLAN_FILE
    if path.is_file():
        return Plan.model_validate_json(path.read_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    plan = make_plan(pair, context.train_seconds or context.seconds, path.parent)
    write_json(path, plan.model_dump(mode="json"))
    return plan
