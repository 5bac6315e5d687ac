"""A second model beside the answers: what is counted, what is kept, and that no answer depends on it."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from modelpack.pixels import decode_image
from serve import ServeSettings
from serve.mirror.kept_images import KeptImages
from serve.mirror.mirror import WAITING
from serve.model import ServedModel
from tests.serve.conftest import SIZE, app_client, wait_until
from tests.serve.pictures import gradient, png, rotated_jpeg
from tests.tiny_package import tiny_answer, write_tiny_package

IMAGE = gradient()
GOOD = png(IMAGE)
LEVELS = 400


@pytest.fixture(scope="module")
def shadow_package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shadow") / "teacher"
    return write_tiny_package(folder, size=SIZE, name="teacher", levels=LEVELS).path


def settings(package: Path, shadow: Path, **more) -> ServeSettings:
    return ServeSettings(package=package, threads=1, shadow={"package": shadow, "share": 1, **more})


def shadow(client) -> dict:
    return dict(client.get("/v1/models").json()["shadow"])


def wait_for(client, state: str) -> None:
    wait_until(lambda: shadow(client)["state"] == state)


def compared(client) -> int:
    return sum(beside["compared"] for beside in shadow(client)["beside"].values())


def test_agreement_with_the_answers_is_counted_overall_and_per_class(package, shadow_package):
    old, new = tiny_answer(IMAGE), tiny_answer(IMAGE, levels=LEVELS)
    both, either = ((old == 1) & (new == 1)).sum(), ((old == 1) | (new == 1)).sum()
    with app_client(settings(package, shadow_package)) as client:
        wait_for(client, "ready")
        client.post("/v1/segment", content=GOOD)
        wait_until(lambda: compared(client) == 1)
        beside = shadow(client)["beside"]["tiny:1"]
        text = client.get("/metrics").text
    assert beside["agreement"] == pytest.approx((old == new).mean())
    assert beside["iou_per_class"]["class1"] == pytest.approx(both / either)
    labels = 'class="class1",model="tiny:1",role="shadow"'
    assert f'afdcd_mirror_pixels_total{{by="both",{labels}}} {both}.0' in text
    assert f'afdcd_mirror_pixels_total{{by="either",{labels}}} {either}.0' in text
    assert 'afdcd_mirror_agreement_count{model="tiny:1",role="shadow"} 1.0' in text


def test_the_share_decides_how_many_it_sees(package, shadow_package):
    with app_client(settings(package, shadow_package, share=1e-9)) as client:
        wait_for(client, "ready")
        for _ in range(5):
            client.post("/v1/segment", content=GOOD)
        assert shadow(client)["beside"] == {}


def test_answers_do_not_wait_for_it_and_what_is_too_much_passes_by(package, shadow_package, monkeypatch):
    goes_on = threading.Event()
    infer = ServedModel.infer

    def infer_when_told(self, image_hwc):
        if self.manifest.name == "teacher":
            goes_on.wait(30)
        return infer(self, image_hwc)

    with app_client(settings(package, shadow_package)) as client:
        wait_for(client, "ready")
        monkeypatch.setattr(ServedModel, "infer", infer_when_told)
        statuses = [client.post("/v1/segment", content=GOOD).status_code for _ in range(WAITING + 3)]
        assert statuses == [200] * (WAITING + 3)
        assert shadow(client)["beside"]["tiny:1"]["dropped"] == 3
        goes_on.set()
        wait_until(lambda: compared(client) == WAITING)


def test_a_shadow_that_fails_is_counted_and_answers_go_on(package, shadow_package, monkeypatch):
    infer = ServedModel.infer

    def infer_or_fail(self, image_hwc):
        if self.manifest.name == "teacher":
            raise RuntimeError("the graph failed")
        return infer(self, image_hwc)

    with app_client(settings(package, shadow_package)) as client:
        wait_for(client, "ready")
        monkeypatch.setattr(ServedModel, "infer", infer_or_fail)
        assert client.post("/v1/segment", content=GOOD).status_code == 200
        wait_until(lambda: shadow(client)["beside"].get("tiny:1", {}).get("failed") == 1)
        assert 'fate="failed",model="tiny:1",role="shadow"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("mistake", ["missing", "other classes"])
def test_a_shadow_that_cannot_be_loaded_costs_no_answer(package, tmp_path, mistake):
    folder = tmp_path / "teacher"
    if mistake == "other classes":
        write_tiny_package(folder, size=SIZE, num_classes=3)
    with app_client(settings(package, folder)) as client:
        wait_for(client, "failed")
        assert shadow(client)["reason"]
        assert client.post("/v1/segment", content=GOOD).status_code == 200
        assert "afdcd_shadow_ready 0.0" in client.get("/metrics").text


def test_images_that_disagree_are_kept_without_their_metadata(package, shadow_package, tmp_path):
    upload = rotated_jpeg(IMAGE)
    keep = tmp_path / "kept"
    with app_client(settings(package, shadow_package, keep=keep, keep_below=1, keep_format="png")) as client:
        wait_for(client, "ready")
        client.post("/v1/segment", content=upload, headers={"X-Request-Id": "kept-1"})
        wait_until(lambda: compared(client) == 1)
        assert "afdcd_shadow_kept_total 1.0" in client.get("/metrics").text
    (image,) = keep.glob("*.png")
    pixels = decode_image(upload, max_pixels=10**6)
    np.testing.assert_array_equal(decode_image(image.read_bytes(), max_pixels=10**6), pixels)
    assert b"eXIf" not in image.read_bytes()
    facts = json.loads(image.with_suffix(".json").read_text())
    agreement = (tiny_answer(pixels) == tiny_answer(pixels, levels=LEVELS)).mean()
    assert facts["agreement"] == pytest.approx(agreement, abs=1e-6)
    assert facts["request_id"] == "kept-1"
    assert facts["answered_by"].startswith("tiny;version=1;")
    assert facts["shadow"].startswith("teacher;version=1;")
    assert facts["time"].endswith("+00:00")


def test_nothing_is_written_where_the_two_agree_enough(package, shadow_package, tmp_path):
    with app_client(settings(package, shadow_package, keep=tmp_path / "kept", keep_below=0)) as client:
        wait_for(client, "ready")
        client.post("/v1/segment", content=GOOD)
        wait_until(lambda: compared(client) == 1)
    assert not (tmp_path / "kept").exists()


def test_without_a_shadow_nothing_is_told(client):
    assert client.get("/v1/models").json()["shadow"] is None


def test_a_full_folder_keeps_the_worst(tmp_path):
    kept = KeptImages(tmp_path, max_images=2, max_bytes=10**6, file_format="jpg")
    offered = [kept.offer(IMAGE, agreement, {}) for agreement in (0.9, 0.5, 0.7, 0.8, 0.6)]
    assert offered == [True, True, True, False, True]
    names = sorted(path.name[:6] for path in tmp_path.glob("*.jpg"))
    assert names == ["0.5000", "0.6000"]
    assert {path.stem for path in tmp_path.glob("*.json")} == {path.stem for path in tmp_path.glob("*.jpg")}


def test_the_folder_stays_within_its_bytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    kept = KeptImages(tmp_path, max_images=100, max_bytes=40_000, file_format="png")
    for step in range(10):
        kept.offer(noise, 0.9 - step / 100, {})
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 40_000
    assert kept.offer(np.tile(noise, (4, 4, 1)), 0.1, {}) is False


def test_several_processes_may_keep_in_one_folder(tmp_path):
    keepers = [KeptImages(tmp_path, max_images=3, max_bytes=10**6, file_format="jpg") for _ in range(4)]

    def keep_some(number: int) -> None:
        for step in range(6):
            keepers[number].offer(IMAGE, 0.9 - (step * 4 + number) / 100, {})

    threads = [threading.Thread(target=keep_some, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name[:6] for path in tmp_path.glob("*.jpg")) == ["0.6700", "0.6800", "0.6900"]


def test_the_folder_is_the_owners_alone(tmp_path):
    KeptImages(tmp_path / "kept", max_images=1, max_bytes=10**6, file_format="jpg").offer(IMAGE, 0.5, {})
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


def test_keeping_without_a_shadow_is_a_mistake(package, tmp_path):
    with pytest.raises(ValueError, match="shadow"):
        ServeSettings(package=package, shadow={"keep": tmp_path})
