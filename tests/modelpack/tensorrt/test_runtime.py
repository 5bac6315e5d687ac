"""The runtime `tensorrt` over a device and engines in main memory: everything but the device's own calls."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from modelpack.errors import PackageError, RuntimeUnavailableError, SegError, ShapeError
from modelpack.runtimes.runtime import GatheringRuntime, TimedRuntime
from modelpack.runtimes.tensorrt import DEFAULT_LANES, TensorRTRuntime
from modelpack.tensorrt import lane
from modelpack.tensorrt.device import DeviceError
from tests.modelpack.tensorrt.fake_tensorrt import fake_flavour
from tests.modelpack.tensorrt.images import ANY_SIZE, RTX_PLAN, TENSORRT_PLAN, assert_answers, images


@pytest.mark.parametrize("file", [RTX_PLAN, TENSORRT_PLAN])
def test_all_outputs_come_back_by_name_in_their_types(load, file):
    outputs = load(file=file, logits=True).run(images())
    assert set(outputs) == {"mask", "confidence", "logits"}
    assert_answers(outputs, images())


def test_outputs_are_the_callers_own(load):
    runtime = load()
    first = runtime.run(images(seed=1))
    runtime.run(images(seed=2))
    assert_answers(first, images(seed=1))


def test_shapes_may_change_from_call_to_call(load):
    runtime = load()
    shapes = [(1, 8, 16), (8, 32, 40), (2, 24, 32), (1, 8, 16), (8, 12, 24)]
    for seed, (n, height, width) in enumerate(shapes):
        batch = images(n, height, width, seed)
        assert_answers(runtime.run(batch), batch)


def test_views_are_taken(load):
    flipped = images()[:, ::-1, :, ::-1]
    assert_answers(load().run(flipped), flipped)


@pytest.mark.parametrize("n", [9, 16, 17])
def test_a_batch_larger_than_the_plan_takes_goes_in_parts(load, n):
    assert_answers(load().run(images(n)), images(n))


@pytest.mark.parametrize("sizes", [(1,), (2, 1, 3), (9, 8, 1)], ids=["one", "some", "more than fit"])
def test_gathered_arrays_are_answered_as_one_batch(load, sizes):
    runtime = load()
    assert isinstance(runtime, GatheringRuntime)
    for seed in (0, 10):
        parts = [images(n, seed=seed + place) for place, n in enumerate(sizes)]
        assert_answers(runtime.run_gathered(parts), np.concatenate(parts))


@pytest.mark.parametrize(
    "wrong",
    [images().astype(np.float32), images()[0], images()[:0], images().transpose(0, 3, 1, 2)],
    ids=["dtype", "rank", "empty batch", "channels first"],
)
def test_what_no_graph_takes_is_refused_as_by_every_runtime(load, wrong):
    with pytest.raises(ShapeError, match=r"the graph takes image uint8 \(batch, height, width, 3\), got"):
        load().run(wrong)


def test_a_size_that_no_profile_has_is_refused_with_the_ranges(load):
    with pytest.raises(ShapeError, match=r"\(1\.\.8, 8\.\.32, 16\.\.40, 3\), got \(2, 24, 96, 3\)"):
        load().run(images(width=96))


def test_a_batch_that_cannot_be_split_above_the_minimum_is_refused(load):
    runtime = load(((4, 4, 6), (24, 24, 24), (32, 32, 32)))
    assert_answers(runtime.run(images(8)), images(8))
    with pytest.raises(ShapeError, match=r"\(4\.\.6, 24, 32, 3\)"):
        runtime.run(images(7))


def test_the_smallest_profile_that_takes_the_batch_whole_answers(load, monkeypatch):
    seen = []
    run = lane.Lane.run
    monkeypatch.setattr(
        lane.Lane, "run", lambda self, part, profile, **k: seen.append((len(part), profile.index))
        or run(self, part, profile, **k),
    )  # fmt: skip
    runtime = load(((1, 8, 16), *ANY_SIZE[1:]), ((1, 1, 1), *ANY_SIZE[1:]))
    for n in (1, 3, 16, 20):
        assert_answers(runtime.run(images(n)), images(n))
    assert seen == [(1, 1), (3, 0), (16, 0), (10, 0), (10, 0)]


def test_calls_from_several_threads_do_not_mix(load, device):
    runtime = load(threads=3)

    def call(seed):
        batch = images(1 + seed % 9, 8 + 4 * (seed % 5), 40, seed)
        assert_answers(runtime.run(batch), batch)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(64)))
    assert len(device.streams) <= 3


def test_as_many_calls_are_on_the_device_at_once_as_there_are_lanes(load, device, monkeypatch):
    runtime = load(threads=2)
    meet = threading.Barrier(2, timeout=20)
    wait = device.wait
    first_calls = itertools.count()

    def wait_together(stream):
        if next(first_calls) < 2:
            meet.wait()  # breaks unless two calls get here
        wait(stream)

    monkeypatch.setattr(device, "wait", wait_together)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda seed: runtime.run(images(seed=seed)), range(4)))
    for seed, outputs in enumerate(answers):
        assert_answers(outputs, images(seed=seed))
    assert len(device.streams) == 2


def test_stages_are_told_apart(load):
    runtime = load()
    assert isinstance(runtime, TimedRuntime)
    outputs, times = runtime.run_timed(images(20))
    assert_answers(outputs, images(20))
    parts = 3
    assert (times.h2d_ms, times.compute_ms, times.d2h_ms) == (parts, parts, parts)
    assert 0 < times.enqueue_ms < times.host_ms


def test_device_memory_that_runs_out_is_an_error_and_the_next_call_works(load, device):
    runtime = load(threads=1)
    device.most_bytes = 6_000
    with pytest.raises(DeviceError, match="out of memory"):
        runtime.run(images())
    device.most_bytes = 1 << 30
    assert_answers(runtime.run(images()), images())


def test_a_failing_engine_says_why_and_its_lane_comes_back(load, device, monkeypatch):
    flavour = fake_flavour(device)
    runtime = load(threads=1, flavour=flavour)
    monkeypatch.setattr(flavour.trt.IExecutionContext, "is_failing", True)
    with pytest.raises(SegError, match=r"TensorRT-RTX 1\.7\.1\.116 failed on .*Cask convolution execution"):
        runtime.run(images())
    monkeypatch.setattr(flavour.trt.IExecutionContext, "is_failing", False)
    assert_answers(runtime.run(images()), images())


def test_it_says_what_it_is(load):
    runtime = load(threads=3)
    described = runtime.describe()
    assert described["runtime"] == runtime.name == "tensorrt"
    assert described["device"] == runtime.device == "cuda:0"
    assert described["provider"] == runtime.provider == "TensorRT-RTX 1.7.1.116"
    assert (described["version"], described["threads"]) == ("1.7.1.116", 3)
    assert described["profiles"] == ["(1..8, 8..32, 16..40, 3)"]
    assert load().describe()["threads"] == DEFAULT_LANES


def test_tensorrt_8_gets_one_lane_as_its_contexts_may_not_share_a_profile(load, device):
    old = fake_flavour(device, "tensorrt", "8.5.3.1")
    runtime = load(threads=3, file="fp16-tensorrt-8.5.3.1-sm87.plan", flavour=old)
    assert runtime.describe()["threads"] == 1


def test_the_cpu_is_refused(tmp_path):
    with pytest.raises(RuntimeUnavailableError, match="plans run on NVIDIA GPUs only"):
        TensorRTRuntime(tmp_path / RTX_PLAN, device="cpu")


def test_an_onnx_graph_is_no_plan(tmp_path):
    with pytest.raises(PackageError, match=r"model\.onnx is no TensorRT plan"):
        TensorRTRuntime(tmp_path / "model.onnx")


def test_a_plan_that_takes_floats_is_no_deployed_graph(load):
    with pytest.raises(PackageError, match="is no deployed graph: it takes image float32"):
        load(image="FLOAT")
