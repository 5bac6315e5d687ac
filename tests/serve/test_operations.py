"""What operators see: readiness, the model, metrics, ids, timings, logs and a true API description."""

import json
import logging
import re
import threading

import pytest
from starlette.testclient import TestClient

from modelpack import errors as model_errors
from modelpack.errors import SegError
from serve import ServeSettings, create_app, errors
from serve.logs import logging_in_background
from serve.problems import PROBLEM_TYPE, STATUS, status_of
from tests.serve.conftest import wait_until_ready
from tests.serve.pictures import gradient, png

GOOD = png(gradient())


def test_readiness_waits_for_the_replay(package, monkeypatch):
    from serve import repository

    replayed = threading.Event()
    load_model = repository.load_model
    monkeypatch.setattr(
        repository, "load_model", lambda settings: (replayed.wait(30), load_model(settings))[1]
    )
    with TestClient(create_app(ServeSettings(package=package))) as client:
        assert client.get("/livez").status_code == 200
        for response in (
            client.get("/readyz"),
            client.get("/v1/model"),
            client.post("/v1/segment", content=GOOD),
        ):
            assert (response.status_code, response.json()["error"]) == (503, "NotReadyError")
            assert response.headers["retry-after"] == "1"
        assert "afdcd_ready 0.0" in client.get("/metrics").text
        replayed.set()
        wait_until_ready(client)
        assert client.post("/v1/segment", content=GOOD).status_code == 200
        assert "afdcd_ready 1.0" in client.get("/metrics").text


def test_the_model_page_names_classes_artifact_and_runtime(client):
    model = client.get("/v1/model").json()
    assert (model["name"], model["version"]) == ("tiny", "1")
    assert model["classes"][1] == {"index": 1, "name": "class1", "color": [128, 0, 0]}
    assert (model["artifact"]["name"], model["artifact"]["precision"]) == ("onnx-fp32", "fp32")
    assert (model["runtime"]["provider"], model["runtime"]["threads"]) == ("CPUExecutionProvider", 1)
    assert model["input"] == {"height": 48, "width": 64}


def test_every_stage_is_timed(client):
    timing = client.post("/v1/segment", content=GOOD).headers["server-timing"]
    stages = dict(re.fullmatch(r"(\w+);dur=([\d.]+)", entry).groups() for entry in timing.split(", "))
    assert set(stages) == {"queue", "decode", "infer", "encode"}
    assert all(0 <= float(duration) < 10_000 for duration in stages.values())


def test_a_request_id_is_kept_or_made(client):
    assert client.get("/livez", headers={"X-Request-Id": "trace-7"}).headers["x-request-id"] == "trace-7"
    made = client.get("/livez", headers={"X-Request-Id": "no good {id}"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_metrics_count_requests_stages_and_problems(client):
    client.post("/v1/segment", content=GOOD)
    client.post("/v1/segment", content=b"text")
    text = client.get("/metrics").text
    assert re.search(r'afdcd_requests_total\{route="/v1/segment",status="200"\} [1-9]', text)
    assert re.search(r'afdcd_problems_total\{error="UnsupportedImageError"\} [1-9]', text)
    assert re.search(r'afdcd_stage_seconds_count\{stage="infer"\} [1-9]', text)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v1/segment", 405), ("POST", "/readyz", 405)],
)
def test_wrong_addresses_and_methods_are_problems_too(client, method, path, status):
    response = client.request(method, path)
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM_TYPE)
    assert path in response.json()["detail"]


def test_a_fault_of_ours_is_a_500_that_names_the_log_entry_and_nothing_else(client, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("secret path /home/somebody")

    monkeypatch.setattr("serve.service.decode_image", broken)
    response = client.post("/v1/segment", content=GOOD, headers={"X-Request-Id": "broken-1"})
    assert (response.status_code, response.headers["content-type"]) == (500, PROBLEM_TYPE)
    assert response.headers["x-request-id"] == "broken-1"
    assert "broken-1" in response.json()["detail"]
    assert "secret" not in response.text
    assert "secret path" in caplog.text
    assert client.post("/v1/segment", content=b"").status_code == 400


def test_every_problem_of_an_image_is_declared_in_the_api_description(client):
    responses = client.get("/openapi.json").json()["paths"]["/v1/segment"]["post"]["responses"]
    of_an_image = STATUS.keys() - {errors.ClientGoneError, errors.ControlError}
    visible = {str(STATUS[kind]) for kind in of_an_image}
    assert visible <= responses.keys()
    assert all(PROBLEM_TYPE in responses[status]["content"] for status in visible)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (model_errors.CorruptImageError(""), 422),
        (model_errors.ImageTooLargeError(""), 413),
        (errors.OverloadedError("", 1), 429),
        (model_errors.ShapeError(""), 500),
        (SegError(""), 500),
        (ValueError(""), 500),
    ],
)
def test_the_nearest_class_in_the_table_gives_the_status(error, status):
    assert status_of(error) == status


@pytest.mark.parametrize("path", ["/docs", "/"])
def test_pages_load_nothing_from_elsewhere(client, path):
    page = client.get(path)
    assert page.status_code == 200
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page.text)
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_json_log_lines_carry_id_status_and_time_and_no_image(client, capfd, caplog):
    caplog.set_level(logging.INFO)
    with logging_in_background("json"):
        client.post("/v1/segment", content=GOOD, headers={"X-Request-Id": "logged-1"})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = (line for line in lines if line.get("request_id") == "logged-1")
    assert (line["status"], line["path"], line["level"]) == (200, "/v1/segment", "info")
    assert line["duration_ms"] > 0
    assert len(json.dumps(line)) < 400
