"""Each step of the proof does on the CPU, on something small, what it will do on the GPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from afdcd.gpu import ceilings, clients, device, distil, export, latency, losses, pair, plan, replay, service
from afdcd.gpu.step import Context, StepSkippedError
from afdcd.gpu.timing import interleaved_seconds
from distill.compare import TEACHER_FOLDER
from distill.losses.contrast import omni_contrast
from distill.networks import NETWORKS
from distill.run import TrainingRun
from export.config import ParityRule
from export.targets import TARGETS
from modelpack.package import ModelPackage
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, tiny_config
from tests.export.tiny_run import BUILDERS, write_tiny_run
from tests.tiny_package import write_tiny_package

CPU = torch.device("cpu")
FLOAT32_ERROR = 1e-5
SMALL_CASE = losses.Case("camvid", images=2, height=8, width=4, channels=32)
MAP_BYTES = 2 * 8 * 4 * 32 * 4
QUICK_LATENCY = {"boundaries": ("graph",), "batch_sizes": (1,), "samples": 6, "rounds": 3}


class Notes(dict):
    def __call__(self, key, value):
        self[key] = value


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def context(tmp_path) -> Context:
    return Context(out=tmp_path / "out", work=tmp_path / "work", device="cpu", seconds=1.0)


def test_onnx_runtime_is_asked_to_compute_and_compared():
    described = device.onnx_runtime("cpu")
    assert (described["provider"], described["agreement_with_cpu"]) == ("CPUExecutionProvider", 1.0)


def test_ceilings_are_positive():
    assert ceilings.copy_gb_per_s(CPU, 1 << 16, runs=2) > 0
    assert ceilings.matmul_tflop_per_s(CPU, side=32, runs=2) > 0


def test_replay_gives_a_row_for_each_line():
    rows = replay.replayed([replay.GOLDEN / "kd_case1.npz", Path("none.npz")], "cpu")
    assert [(row["file"], row["dtype"], row["verdict"]) for row in rows] == [
        ("kd_case1.npz", "float64", "ok"),
        ("kd_case1.npz", "float32", "ok"),
        ("none.npz", "", "FAIL"),
    ]


def test_formulations_are_timed_and_held_against_float64_and_the_speed_of_copies():
    triton, ours, published = losses.compare(SMALL_CASE, CPU, rounds=2, copies=1.0)
    assert [row["formulation"] for row in (triton, ours, published)] == ["triton", "torch", "published"]
    for row in (ours, published):
        assert row["median_ms"] > 0
        assert row["limit_ms"] == pytest.approx(3 * MAP_BYTES / 1e9 * 1e3)
        assert row["limit_share"] == pytest.approx(row["limit_ms"] / row["median_ms"])
        assert row["loss_rel_err"] < FLOAT32_ERROR
        assert row["grad_rel_err"] < FLOAT32_ERROR


def test_a_backend_that_cannot_run_here_says_why():
    triton, *_ = losses.compare(SMALL_CASE, CPU, rounds=1, copies=1.0)
    assert "it computes on CUDA" in triton["unavailable"]
    assert "median_ms" not in triton


def test_a_wrong_formulation_shows_its_error(monkeypatch):
    monkeypatch.setitem(
        losses.FORMULATIONS, "torch", lambda *maps, **over: 1.01 * omni_contrast(*maps, **over)
    )
    _, ours, _ = losses.compare(SMALL_CASE, CPU, rounds=1, copies=1.0)
    assert ours["loss_rel_err"] == pytest.approx(0.01, rel=1e-3)
    assert ours["grad_rel_err"] == pytest.approx(0.01, rel=1e-3)


def test_the_float64_reference_by_image_is_that_of_the_whole_batch():
    student, teacher = (torch.randn(3, 16, 4, 4, dtype=torch.float64) for _ in range(2))
    student.requires_grad_(True)
    value, gradient = losses.float64_by_image(student, teacher)
    whole, whole_gradient = losses.backward(omni_contrast, student, teacher)
    torch.testing.assert_close(value, whole)
    torch.testing.assert_close(gradient, whole_gradient)


def test_out_of_memory_is_a_result_and_the_other_is_still_timed(monkeypatch):
    def too_large(*maps, **over):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB.")

    monkeypatch.setitem(losses.FORMULATIONS, "published", too_large)
    _, ours, published = losses.compare(SMALL_CASE, CPU, rounds=1, copies=1.0)
    assert published["out_of_memory"] == "CUDA out of memory"
    assert "median_ms" not in published
    assert ours["median_ms"] > 0


def test_interleaved_rounds_turn_the_order():
    order = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    interleaved_seconds(works, CPU, rounds=2)
    assert "".join(order) == "ab" + "ba" + "ab"


def test_camvid_is_taken_where_it_is_and_scenes_of_its_size_stand_in_where_it_is_not(tmp_path):
    data, reason = pair.camvid_or_stand_in(tmp_path / "nothing")
    assert (data["name"], data["height"], data["width"]) == ("streets", 360, 480)
    assert reason is not None
    assert reason.startswith("CamVid is skipped")
    (tmp_path / "train").mkdir()
    assert pair.camvid_or_stand_in(tmp_path) == ({"name": "camvid", "root": str(tmp_path)}, None)


@pytest.mark.parametrize(
    "data", [pair.STAND_IN, {"name": "camvid", "root": "/data"}], ids=lambda data: data["name"]
)
def test_the_pair_is_the_published_one_from_scratch(data, tmp_path):
    published = pair.PublishedPair.of_recipes(data, tmp_path / TEACHER_FOLDER)
    teacher, student = published.teacher, published.student
    assert (teacher.student.network, student.student.network) == ("deeplabv3_resnet101", "deeplabv3_resnet18")
    assert (teacher.student.weights, student.student.weights) == (None, None)
    assert student.teacher is not None
    assert student.teacher.checkpoint == tmp_path / TEACHER_FOLDER
    assert [method.name for method in student.methods] == ["kd", "afdcd"]
    assert teacher.data == student.data
    assert teacher.data.name == data["name"]


def test_steps_and_evaluations_fit_the_time():
    teacher, student = plan.Speed(step_s=0.2, image_s=0.02), plan.Speed(step_s=0.1, image_s=0.01)
    shared = plan.share_out(1000.0, teacher, student, selection=101, report=233)
    cost = 2 * plan.START_S + 233 * teacher.image_s
    for speed, run in ((teacher, shared.teacher), (student, shared.student)):
        evaluations = -(-run.steps // run.every)
        assert evaluations == plan.EVALUATIONS
        cost += run.steps * speed.step_s + (evaluations * 101 + 233) * speed.image_s
    assert cost == pytest.approx(plan.SAFETY * 1000.0, abs=1.0)


def test_too_little_time_still_makes_a_few_steps_and_plenty_no_more_than_published():
    speed = plan.Speed(step_s=1.0, image_s=1.0)
    assert plan.share_out(1.0, speed, speed, 10, 10).student.steps == plan.LEAST_STEPS
    assert plan.share_out(1e9, speed, speed, 10, 10).teacher.steps == plan.MOST_STEPS


def test_teacher_then_student_are_trained_by_plan_and_a_second_call_keeps_the_plan(
    context, notes, monkeypatch
):
    monkeypatch.setattr(plan, "MEASURED_SECONDS", 0.0)
    learns_from = {"checkpoint": str(context.teacher_run), "min_miou": 0.0, **NETWORK}
    published = {"steps": plan.MOST_STEPS}
    tiny = pair.PublishedPair(
        tiny_config(context.work, optim=published),
        tiny_config(context.work, optim=published, teacher=learns_from, methods=[KD, AFDCD]),
    )
    distil.distil(tiny, context, notes)
    assert [row["steps"] for row in notes["planned"]] == [plan.LEAST_STEPS, plan.LEAST_STEPS]
    assert notes["student"]["teacher_miou_percent"] == notes["teacher"]["miou_percent"]
    assert notes["student"]["dataset"] == "streets"
    assert TrainingRun.open(context.student_run).result["steps"] == plan.LEAST_STEPS
    before = (context.student_run / "result.json").read_bytes()
    distil.distil(tiny, context.model_copy(update={"seconds": 1e6}), notes)
    assert (context.student_run / "result.json").read_bytes() == before


class TestExport:
    @pytest.fixture
    def run_dir(self, tmp_path, monkeypatch) -> Path:
        for name, builder in BUILDERS.items():
            monkeypatch.setitem(NETWORKS, name, builder)
        return write_tiny_run(tmp_path / "work" / "distil" / "student", images=2)

    def test_both_precisions_are_packaged_with_their_parity(self, run_dir, context, notes):
        assert run_dir == context.student_run
        export.run(context, notes)
        rows = [(row["device"], row["artifact"], row["images"]) for row in notes["parity"]]
        assert rows == [("cpu", "onnx-fp32", 2), ("cpu", "onnx-fp16", 2)]
        assert notes["refused"] == []
        assert len(ModelPackage.open(context.package).manifest.artifacts) == 2

    def test_a_refused_precision_leaves_a_package_of_the_other(self, run_dir, context, monkeypatch):
        impossible = replace(TARGETS["onnx-fp16"], rule=ParityRule(max_logit_error=0.0))
        monkeypatch.setitem(TARGETS, "onnx-fp16", impossible)
        rows, refusals = export.build(run_dir, context.package, "cpu", 2)
        assert [row["artifact"] for row in rows] == ["onnx-fp32"]
        assert len(refusals) == 1
        assert refusals[0].startswith("onnx-fp16 is refused")
        assert [a.name for a in ModelPackage.open(context.package).manifest.artifacts] == ["onnx-fp32"]


def test_latency_keeps_its_raw_samples_and_says_what_ran_where(tmp_path):
    package = write_tiny_package(tmp_path / "package")
    (row,) = latency.measured(package.path, "cpu", tmp_path / "latency-cpu", QUICK_LATENCY)
    assert (row["device"], row["batch"], row["size"]) == ("cpu", 1, "48x64")
    assert row["images_per_s"] > 0
    assert (tmp_path / row["file"]).is_file()


def test_the_service_answers_every_number_of_clients(context, notes, monkeypatch):
    monkeypatch.setattr(service, "REQUESTS", 40)
    write_tiny_package(context.package)
    service.run(context, notes)
    assert notes["runtime"]["device"] == "cpu"
    assert [(row["clients"], row["requests"]) for row in notes["closed_loop"]] == [(1, 40), (4, 40), (16, 40)]
    assert all(row["not_answered"] == 0 and row["p50_ms"] > 0 for row in notes["closed_loop"])


def test_a_server_that_is_not_there_is_counted_as_unanswered():
    load = clients.closed_loop("http://127.0.0.1:9/x?y", [b""], clients=2, requests=6, most_seconds=10.0)
    assert load.statuses == {clients.NO_ANSWER: 6}
    assert load.percentile(50) is None
    assert load.answers_per_s == 0


@pytest.mark.parametrize("step", [export, latency, service])
def test_a_step_without_anything_to_work_on_is_skipped(step, context, notes):
    with pytest.raises(StepSkippedError, match="there is no"):
        step.run(context, notes)
