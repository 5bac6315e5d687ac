"""The step `tensorrt` of the GPU proof: builds everywhere, and says why what it built does not run here."""

import numpy as np
import pytest

from afdcd.gpu import tensorrt
from afdcd.gpu.step import Context, StepSkippedError
from modelpack.errors import GateError, RuntimeUnavailableError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.runtimes.runtime import StageTimes
from modelpack.tensorrt.flavour import find_flavour
from tests.tiny_package import tiny_answer, write_tiny_package

HAS_CUDA = missing_device() is None


class Notes(dict):
    def __call__(self, key, value):
        self[key] = value


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def context(tmp_path):
    context = Context(out=tmp_path / "out", work=tmp_path / "work", device="cpu", seconds=1.0)
    write_tiny_package(context.package)
    return context


@pytest.fixture
def only_rtx(monkeypatch):
    flavour = find_flavour("rtx")
    monkeypatch.setattr(tensorrt, "installed", lambda: ([flavour], [{"flavour": "tensorrt", "reason": "no"}]))
    return flavour


class Runs:
    """A runtime that answers as the tiny network does, or otherwise."""

    mistaken = False

    def __init__(self, plan):
        assert plan.is_file()

    def run(self, images):
        return {"mask": tiny_answer(images) + np.uint8(self.mistaken)}

    def run_timed(self, images):
        return self.run(images), StageTimes(0.1, 0.2, len(images), 0.3, 0.5 + len(images))

    def describe(self):
        return {"launches": {"1x48x64x3": "graph"}}

    def close(self):
        pass


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
def test_without_a_gpu_plans_are_built_and_the_reason_is_recorded(context, notes, only_rtx):
    with pytest.raises(StepSkippedError, match=r"TensorRT-RTX .*: TensorRT needs an NVIDIA GPU"):
        tensorrt.run(context, notes)
    (row,) = notes["plans"]
    assert row["plan_bytes"] > 0
    assert "NVIDIA" in row["reason"]
    assert notes["installed"] == [{"flavour": only_rtx.title}, {"flavour": "tensorrt", "reason": "no"}]


def test_a_plan_that_runs_is_compared_and_timed_at_every_batch_size(context, notes, only_rtx, monkeypatch):
    monkeypatch.setattr(tensorrt, "TensorRTRuntime", Runs)
    tensorrt.run(context, notes)
    (row,) = notes["plans"]
    assert (row["agreement"], row["launches"]) == (1.0, "1x48x64x3 graph")
    assert [(entry["batch"], entry["compute_ms"]) for entry in notes["latency"]] == [(1, 1), (4, 4), (16, 16)]


def test_a_plan_that_answers_otherwise_fails_the_step(context, notes, only_rtx, monkeypatch):
    monkeypatch.setattr(Runs, "mistaken", True)
    monkeypatch.setattr(tensorrt, "TensorRTRuntime", Runs)
    with pytest.raises(GateError, match=r"unlike the graphs they were built from: TensorRT-RTX .* fp32"):
        tensorrt.run(context, notes)


def test_without_any_tensorrt_the_step_is_skipped_with_the_way_to_get_one(context, notes, monkeypatch):
    def missing(name):
        raise RuntimeUnavailableError(f"{name} cannot be imported; pip install 'afdcd[rtx]'")

    monkeypatch.setattr(tensorrt, "find_flavour", missing)
    with pytest.raises(StepSkippedError, match=r"tensorrt cannot .*; rtx cannot .* pip install"):
        tensorrt.run(context, notes)


def test_without_a_package_the_step_is_skipped(tmp_path, notes):
    context = Context(out=tmp_path, work=tmp_path, device="cpu", seconds=1.0)
    with pytest.raises(StepSkippedError, match="there is no package"):
        tensorrt.run(context, notes)
