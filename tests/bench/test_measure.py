"""`measure` on runtimes of known delay, and what happens when a worker does not live to tell."""

import cv2
import numpy as np
import psutil
import pytest

from bench.config import BenchConfig
from bench.measure import measure
from bench.result import BenchResult
from bench.worker_process import WorkerError
from modelpack.errors import PackageError, SettingsError, UnknownNameError
from modelpack.package import ModelPackage
from tests.bench.fake_runtimes import DELAYS_S
from tests.tiny_package import write_tiny_package

LEAST_SPEEDUP = 1.5
"""The delays differ by a factor of 5; a busy machine stretches the short one most."""


def test_every_session_is_measured_at_every_boundary_and_batch(result):
    cases = {(case.session, case.boundary, case.batch) for case in result.cases}
    assert cases == {
        (session, boundary, batch)
        for session in ("slow", "fast")
        for boundary, batch in (("graph", 1), ("image", 1), ("graph", 2))
    }


def test_no_run_is_quicker_than_the_delay(result):
    for case in result.cases:
        assert case.min_ms >= DELAYS_S[case.session] * 1000
        assert case.min_ms <= case.percentile(50).value <= case.max_ms


def test_the_faster_package_is_found_and_the_first_is_the_baseline(result):
    assert {(entry.baseline, entry.session) for entry in result.comparisons} == {("slow", "fast")}
    assert all(entry.speedup.value > LEAST_SPEEDUP for entry in result.comparisons)


def test_samples_are_kept_raw_and_by_round(result):
    for case in result.cases:
        assert [len(samples) for samples in case.rounds_ms] == [4, 4, 4, 4]
        flat = np.concatenate([np.asarray(samples) for samples in case.rounds_ms])
        assert case.samples == len(flat) == 16
        assert case.mean_ms == pytest.approx(flat.mean())
        assert case.images_per_second == pytest.approx(case.batch * 1000 / flat.mean())


def test_peak_memory_does_not_shrink_with_the_batch(result):
    for session in ("slow", "fast"):
        peaks = [case.peak_memory_bytes for case in result.cases_at("graph") if case.session == session]
        assert 0 < peaks[0] <= peaks[1]


def test_a_session_carries_the_hash_size_and_claims_of_its_file(result, packages):
    artifact = ModelPackage.open(packages["slow"]).artifact()
    session = result.session("slow")
    assert (session.sha256, session.size_bytes) == (artifact.sha256, artifact.size_bytes)
    assert [claim.value for claim in session.claims] == [0.6543]
    assert result.session("fast").miou() is None


def test_a_claim_belongs_to_the_file_whichever_package_it_stands_in(quick, packages, tmp_path):
    write_tiny_package(tmp_path / "copy", num_samples=0)
    config = quick(
        packages={"slow": packages["slow"], "copy": tmp_path / "copy"},
        samples=4,
        batch_sizes=[1],
        boundaries=["graph"],
    )
    measured = measure(config)
    assert measured.session("copy").sha256 == measured.session("slow").sha256
    assert [claim.value for claim in measured.session("copy").claims] == [0.6543]


def test_the_result_says_where_and_how_it_was_made(result):
    assert {"cpu", "packages", "code"} <= result.environment.keys()
    assert set(result.boundaries) == {"graph", "image"}
    assert result.other_load is None or 0 <= result.other_load <= 1
    assert result.verdict.state == "noisy"
    assert "slow graph batch 1: only 16 samples, 30 are the least" in result.verdict.reasons


def test_result_is_the_same_after_json(result, tmp_path):
    file = tmp_path / "latency.json"
    file.write_text(result.to_json())
    assert BenchResult.read(file) == result


def test_raw_samples_take_one_line_per_round(result):
    samples = result.cases[0].rounds_ms[0]
    assert f"[{', '.join(map(str, samples))}]" in result.to_json()


@pytest.mark.parametrize("text", ["", "{}", '{"format_version": 2}'])
def test_a_file_that_is_no_result_is_refused_by_name(tmp_path, text):
    file = tmp_path / "latency.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=str(file)):
        BenchResult.read(file)


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ("dying", ["slow, warming up graph, batch 1", "exit code 3", "the device fell off the bus"]),
        ("killed", ["slow, warming up graph, batch 1", "SIGKILL", "smaller batch_sizes"]),
        ("failing", ["slow, warming up graph, batch 1", "RuntimeError: no answer for a batch of 1"]),
        ("unloadable", ["slow, loading onnx-fp32", "ValueError: cannot load with 0 threads"]),
    ],
)
def test_a_lost_worker_is_one_clear_error_and_leaves_no_process(quick, packages, runtime, words):
    before = set(psutil.Process().children())
    with pytest.raises(WorkerError) as caught:
        measure(quick(runtime, packages={"slow": packages["slow"]}))
    assert all(word in str(caught.value) for word in words)
    assert set(psutil.Process().children()) == before


def test_a_runtime_that_prints_does_not_disturb_the_measurement(quick, packages):
    chatty = measure(
        quick("chatty", packages={"fast": packages["fast"]}, batch_sizes=[1], boundaries=["graph"], samples=4)
    )
    assert chatty.cases[0].samples == 4


def test_sessions_are_named_by_what_differs_and_threads_reach_the_runtime(quick, packages):
    config = quick(
        packages={"fast": packages["fast"]}, threads=[0, 1], batch_sizes=[1], boundaries=["graph"], samples=4
    )
    measured = measure(config)
    assert [session.name for session in measured.sessions] == ["fast own threads", "fast 1 thread"]
    assert measured.session("fast 1 thread").description == {"threads": 1, "opencv_threads": 1}


def test_real_graphs_are_measured_on_images_of_any_size(packages, tmp_path):
    cv2.imwrite(str(tmp_path / "frame.jpg"), np.full((30, 50, 3), 90, np.uint8))
    config = BenchConfig(
        packages={"tiny": packages["fast"]},
        images=tmp_path,
        batch_sizes=(1,),
        samples=6,
        rounds=3,
        device="cpu",
    )
    measured = measure(config)
    assert [(image.name, image.size) for image in measured.images] == [("frame.jpg", (30, 50))]
    assert measured.session("tiny").provider == "CPUExecutionProvider"
    assert {case.boundary for case in measured.cases} == {"graph", "image"}


def test_a_graph_of_dynamic_size_is_fed_with_the_stated_one(quick, tmp_path):
    package = write_tiny_package(tmp_path / "dynamic", size=None, num_samples=0)
    config = quick(
        packages={"any": package.path}, input_size=(33, 47), batch_sizes=[1], boundaries=["graph"], samples=4
    )
    measured = measure(config)
    assert measured.session("any").input_size == (33, 47)
    assert measured.images[0].name == "noise (seed 0)"


def test_a_fixed_batch_is_measured_alone_and_the_rest_is_said_to_be_skipped(quick, packages, tmp_path):
    package = write_tiny_package(tmp_path / "fixed", batch=2)
    measured = measure(quick(packages={"fixed": package.path, "fast": packages["fast"]}, samples=4))
    assert measured.skipped == ("fixed takes batches of exactly 2: not 1",)
    assert {case.batch for case in measured.cases if case.session == "fixed"} == {2}
    assert [entry.batch for entry in measured.comparisons] == [2]


def test_a_fixed_batch_that_was_not_asked_for_is_refused(quick, tmp_path):
    package = write_tiny_package(tmp_path / "fixed", batch=4)
    with pytest.raises(SettingsError, match="exactly 4, and batch_sizes is \\[1, 2\\]; add 4"):
        measure(quick(packages={"fixed": package.path}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"runtimes": ["paces"]}, UnknownNameError, "runtime 'paces'. Did you mean 'paced'"),
        ({"artifacts": ["onnx-fp16"]}, UnknownNameError, "artifact 'onnx-fp16'. Did you mean 'onnx-fp32'"),
        ({"packages": {"gone": "nowhere"}}, PackageError, "no model package at nowhere"),
    ],
)
def test_what_does_not_exist_is_named_before_anything_starts(quick, changes, error, message):
    with pytest.raises(error, match=message):
        measure(quick(**changes))


def test_an_image_that_does_not_decode_is_named(quick, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(SettingsError, match=r"broken\.png"):
        measure(quick(images=tmp_path))
    (tmp_path / "broken.png").unlink()
    with pytest.raises(SettingsError, match="there is no"):
        measure(quick(images=tmp_path))
