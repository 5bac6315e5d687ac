"""A new version on trial beside the old one: it takes over when it agrees, and leaves when it does not."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelpack.png import decode_png_labels
from serve import ServeSettings
from serve.model import ServedModel
from tests.serve.conftest import SIZE, app_client, wait_until
from tests.serve.pictures import gradient, png
from tests.tiny_package import tiny_answer, write_tiny_package

IMAGE = gradient()
GOOD = png(IMAGE)
SIMILAR, OTHER = 257, 400
"""Levels of brightness of packages whose masks are nearly those of 256 levels, and far from them."""
QUICK = {"canary": True, "share": 1, "min_images": 4, "at_least_s": 0, "max_latency_factor": 1000}


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """Versions of `m`: `old`, and what may be put on trial beside it."""
    folder = tmp_path_factory.mktemp("versions")
    write_tiny_package(folder / "old", size=SIZE, name="m")
    write_tiny_package(folder / "similar", size=SIZE, name="m", version="2", levels=SIMILAR)
    write_tiny_package(folder / "other", size=SIZE, name="m", version="3", levels=OTHER)
    write_tiny_package(folder / "larger", size=(96, 128), name="m", version="4")
    write_tiny_package(folder / "slow", size=SIZE, name="m", version="5", slow_layers=2)
    write_tiny_package(folder / "classes", size=SIZE, name="m", version="6", num_classes=3)
    write_tiny_package(folder / "stranger", size=SIZE, name="n")
    return folder


@pytest.fixture(scope="module")
def service(packages):
    with app_client(ServeSettings(package=packages / "old", repository=packages, threads=1)) as client:
        yield client


@pytest.fixture
def client(service):
    """No canary, and version 1 alone, before and after each test."""
    yield service
    service.post("/v1/models/m/canary/abort")
    for entry in service.get("/v1/models").json()["models"]:
        if entry["version"] != "1":
            service.post("/v1/models/m/unload", params={"version": entry["version"]})


def begin(client, name: str, **rules: Any) -> None:
    answer = client.post(f"/v1/models/{name}/load", params={**QUICK, **rules})
    assert answer.status_code == 200, answer.text
    assert answer.json()["canary"]["state"] == "on_trial"


def canary(client) -> dict[str, Any]:
    return dict(client.get("/v1/models").json()["canary"])


def ask_until_it_is_over(client) -> dict[str, Any]:
    def over() -> bool:
        assert client.post("/v1/segment", content=GOOD).status_code == 200
        return canary(client)["state"] != "on_trial"

    wait_until(over)
    return canary(client)


def version(client) -> str:
    return str(client.get("/v1/model").json()["version"])


def verdicts(client, word: str) -> float:
    text = client.get("/metrics").text
    (count,) = re.findall(rf'^afdcd_canary_verdicts_total{{verdict="{word}"}} (\S+)$', text, re.M)
    return float(count)


def test_a_canary_that_agrees_takes_over(client):
    before = verdicts(client, "promoted")
    begin(client, "similar", min_agreement=0.9)
    ended = ask_until_it_is_over(client)
    assert ended["state"] == "promoted", ended
    assert version(client) == "2"
    mask = decode_png_labels(client.post("/v1/segment", content=GOOD).content)
    np.testing.assert_array_equal(mask, tiny_answer(IMAGE, levels=SIMILAR))
    assert verdicts(client, "promoted") == before + 1


def test_agreement_is_that_of_the_masks(client):
    begin(client, "other", min_agreement=0.99)
    ended = ask_until_it_is_over(client)
    old, new = tiny_answer(IMAGE), tiny_answer(IMAGE, levels=OTHER)
    assert ended["agreement"] == pytest.approx((old == new).mean())
    both, either = ((old == 1) & (new == 1)).sum(), ((old == 1) | (new == 1)).sum()
    assert ended["iou_per_class"]["class1"] == pytest.approx(both / either)


def test_a_canary_that_does_not_agree_is_rolled_back_with_the_reason(client, caplog):
    before = verdicts(client, "rolled_back")
    begin(client, "other")
    ended = ask_until_it_is_over(client)
    assert ended["state"] == "rolled_back"
    assert "is asked for" in ended["reason"]
    wait_until(lambda: "rolled_back" in caplog.text)
    assert version(client) == "1"
    assert verdicts(client, "rolled_back") == before + 1


def test_clients_get_the_old_masks_during_the_trial(client):
    begin(client, "other", at_least_s=3600)
    wait_until(lambda: client.post("/v1/segment", content=GOOD) and canary(client)["compared"] > 0)
    mask = decode_png_labels(client.post("/v1/segment", content=GOOD).content)
    np.testing.assert_array_equal(mask, tiny_answer(IMAGE))


def test_a_canary_that_fails_is_rolled_back(client, monkeypatch):
    infer = ServedModel.infer

    def infer_or_fail(self, image_hwc):
        if self.manifest.version == "2" and image_hwc.mean() < 200:
            raise RuntimeError("the graph failed")
        return infer(self, image_hwc)

    begin(client, "similar")
    monkeypatch.setattr(ServedModel, "infer", infer_or_fail)
    ended = ask_until_it_is_over(client)
    assert (ended["state"], version(client)) == ("rolled_back", "1")
    assert "failed" in ended["reason"]


def test_a_canary_that_is_slow_is_rolled_back(client):
    begin(client, "slow", max_latency_factor=2)
    ended = ask_until_it_is_over(client)
    assert ended["state"] == "rolled_back"
    assert "times as long" in ended["reason"]


def test_a_class_that_got_lost_is_a_reason(client):
    begin(client, "other", min_agreement=0, min_class_iou=0.9)
    assert "class 'class3' has an IoU of 0.0000" in ask_until_it_is_over(client)["reason"]


def test_a_canary_of_another_input_size_is_compared_at_the_size_of_the_answer(client):
    begin(client, "larger", min_agreement=0.9)
    assert ask_until_it_is_over(client)["state"] == "promoted"


def test_a_canary_without_traffic_is_rolled_back_in_the_end(client):
    begin(client, "similar", at_most_s=0.1)
    wait_until(lambda: canary(client)["state"] == "rolled_back")
    assert "min_images" in canary(client)["reason"]


@pytest.mark.parametrize(("name", "why"), [("classes", "classes"), ("stranger", "load it at once")])
def test_what_cannot_be_compared_is_refused_and_nothing_changes(client, name, why):
    answer = client.post(f"/v1/models/{name}/load", params=QUICK)
    assert (answer.status_code, answer.json()["error"]) == (409, "ControlError")
    assert why in answer.json()["detail"]
    assert (client.get("/v1/models").json()["canary"] or {}).get("state") != "on_trial"
    assert version(client) == "1"


def test_a_package_written_over_the_one_that_answers_is_refused(client):
    answer = client.post("/v1/models/m/load", params=QUICK)
    assert answer.status_code == 409
    assert "folder of its own" in answer.json()["detail"]


def test_one_canary_at_a_time(client):
    begin(client, "similar", at_least_s=3600)
    answer = client.post("/v1/models/other/load", params=QUICK)
    assert (answer.status_code, answer.json()["error"]) == (409, "ControlError")
    assert canary(client)["version"] == "2"


@pytest.mark.parametrize(("word", "left"), [("promote", "2"), ("abort", "1")])
def test_an_operator_decides_at_once(client, word, left):
    begin(client, "similar", at_least_s=3600)
    answer = client.post(f"/v1/models/m/canary/{word}")
    assert answer.status_code == 200, answer.text
    assert canary(client)["reason"] == "an operator said so."
    assert version(client) == left
    again = client.post(f"/v1/models/m/canary/{word}")
    assert (again.status_code, again.json()["error"]) == (409, "ControlError")


def test_a_canary_may_follow_another(client):
    for _ in range(2):
        begin(client, "similar", at_least_s=3600)
        client.post("/v1/models/similar/canary/abort")
    assert version(client) == "1"


def test_traffic_of_the_open_inference_protocol_counts_too(client):
    begin(client, "similar", at_least_s=3600)
    infer = client.post("/v2/models/m/infer", content=GOOD, headers={"Inference-Header-Content-Length": "0"})
    assert infer.status_code == 200
    wait_until(lambda: canary(client)["compared"] == 1)


def test_a_wrong_rule_is_422(client):
    assert client.post("/v1/models/similar/load", params={**QUICK, "share": 2}).status_code == 422
