"""Whom `bench serve` measures: the naive endpoint answers rightly, and work without HTTP is the same work."""

import importlib
import sys

import numpy as np
import pytest
from starlette.testclient import TestClient

from bench.__main__ import app
from bench.load.server_process import ServerError
from bench.messages import OpenOrder
from bench.plan import noise_image
from bench.service.config import ServiceConfig
from bench.service.field import open_field
from bench.service.images import multipart_body, read_images
from bench.service.in_process import InProcess
from bench.service.naive_process import PATH
from bench.service.result import ServiceResult
from modelpack.command import run
from modelpack.errors import SettingsError
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image, decode_png_labels
from modelpack.runtimes import RUNTIMES
from tests.tiny_package import tiny_answer, write_tiny_package

SIZE = 48, 64


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("service") / "package", size=SIZE)


@pytest.fixture
def naive(package, monkeypatch):
    """The application, imported as uvicorn would."""
    monkeypatch.setenv("AFDCD_NAIVE_GRAPH", str(package.artifact_path("onnx-fp32")))
    monkeypatch.setenv("AFDCD_NAIVE_SIZE", f"{SIZE[1]}x{SIZE[0]}")
    yield importlib.import_module("bench.service.naive").app
    del sys.modules["bench.service.naive"]


def test_the_naive_endpoint_answers_with_the_right_mask(naive):
    image = noise_image(SIZE, seed=0)
    body = multipart_body(image)
    answer = TestClient(naive).post(PATH, content=body.content, headers={"Content-Type": body.content_type})
    assert answer.status_code == 200
    expected = tiny_answer(decode_image(image.content, max_pixels=10**6))
    assert np.mean(decode_png_labels(answer.content) == expected) > 0.99  # two JPEG decoders


def test_samples_are_sent_as_jpeg_and_a_folder_may_take_their_place(package, tmp_path):
    sent = read_images(ServiceConfig(package=package.path), package)
    assert [image.content[:2] for image in sent] == [b"\xff\xd8"] * len(package.manifest.samples)
    (tmp_path / "mine.jpg").write_bytes(noise_image((8, 8), 0).content)
    (own,) = read_images(ServiceConfig(package=package.path, images=tmp_path), package)
    assert (own.name, own.size) == ("mine.jpg", (8, 8))
    (tmp_path / "mine.jpg").unlink()
    with pytest.raises(SettingsError, match=r"no \.jpg"):
        read_images(ServiceConfig(package=package.path, images=tmp_path), package)


def test_work_without_http_is_counted_in_every_thread(package):
    order = OpenOrder(
        package=package.path,
        artifact="onnx-fp32",
        runtime="onnxruntime",
        runtime_table={"onnxruntime": RUNTIMES["onnxruntime"]},
        device="cpu",
        threads=1,
        input_size=SIZE,
        images=(noise_image((36, 48), 0).content,),
    )
    with InProcess(1, order) as work:
        samples, (loaded,) = work.run(1, 2, warm_up_seconds=0.0, seconds=0.1)
    assert samples.is_ok.all()
    assert (np.diff(samples.intended_ns) >= 0).all()
    assert len(samples) >= 2
    assert loaded.wall_seconds > 0


def test_a_package_without_an_fp32_graph_is_refused(package, tmp_path):
    manifest = (package.path / "manifest.json").read_text()
    other = write_tiny_package(tmp_path / "package", size=SIZE).path
    (other / "manifest.json").write_text(manifest.replace('"fp32"', '"fp16"'))
    with (
        pytest.raises(SettingsError, match="no verified ONNX graph in fp32"),
        open_field(ServiceConfig(package=other)),
    ):
        pass


def test_a_shadow_that_cannot_be_loaded_is_said(package, tmp_path):
    shadow = {"package": str(tmp_path / "nowhere")}
    config = ServiceConfig(package=package.path, serve={"workers": 1}, shadow=shadow)
    with pytest.raises(ServerError, match=r"no shadow to measure \(failed\).*nowhere"), open_field(config):
        pass


@pytest.mark.slow
def test_everybody_is_measured_and_the_files_are_left(package, tmp_path):
    quick = ["rounds=2", "seconds=0.3", "warm_up_seconds=0.1", "serve.workers=2"]
    quick += [f"shadow.package={package.path}", "shadow.share=1"]
    assert run(app, ["serve", str(package.path), *quick, "--out", str(tmp_path)], "afdcd bench") in (0, 1)
    result = ServiceResult.read(tmp_path / "service.json")
    assert [entry.name for entry in result.contestants][:3] == ["ours", "naive", "ours-shadowed"]
    assert {bar.name for bar in result.bars} >= {
        "ours-4-of-in-process",
        "ours-16-of-naive",
        "p99-4",
        "memory",
    }
    raw = {file.name for file in (tmp_path / "raw").iterdir()}
    assert raw == {f"{visit.run.name}.{kind}" for visit in result.visits for kind in ("npz", "hlog")}
    assert not sum(visit.run.queries - visit.run.ok for visit in result.visits)
    assert ModelPackage.open(package.path).manifest.name in result.model
