"""Several models in one service, and how they are changed while it answers."""

import json
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from modelpack.package import MANIFEST_NAME
from modelpack.png import decode_png_labels
from serve import ServeSettings
from tests.serve.conftest import SIZE, app_client, running_server, wait_until
from tests.serve.pictures import gradient, png
from tests.tiny_package import tiny_answer, write_tiny_package

IMAGE = gradient()
GOOD = png(IMAGE)
HOT_LOADS = 5


@pytest.fixture
def packages(tmp_path) -> Path:
    """`four` and `two`: the same question answered in four and in two classes."""
    for name, num_classes in (("four", 4), ("two", 2)):
        write_tiny_package(tmp_path / name, num_classes=num_classes, size=SIZE, name=name)
    return tmp_path


@pytest.fixture
def client(packages):
    settings = ServeSettings(package=packages / "four", repository=packages, threads=1)
    with app_client(settings) as client:
        yield client


def replace_package(folder: Path, **what) -> None:
    shutil.rmtree(folder)
    write_tiny_package(folder, size=SIZE, **what)


def mask_of(client, **query) -> np.ndarray:
    answer = client.post("/v1/segment", content=GOOD, params=query)
    assert answer.status_code == 200, answer.text
    return decode_png_labels(answer.content)


def names(client) -> list[str]:
    return [entry["name"] for entry in client.get("/v1/models").json()["models"]]


def test_a_model_of_the_repository_is_loaded_by_name_and_answers_by_name(client):
    assert client.post("/v1/models/two/load").status_code == 200
    assert names(client) == ["four", "two"]
    np.testing.assert_array_equal(mask_of(client, model="two"), tiny_answer(IMAGE, 2))
    np.testing.assert_array_equal(mask_of(client), tiny_answer(IMAGE, 4))


def test_further_packages_are_there_from_the_start(packages):
    with app_client(ServeSettings(package=packages / "four", more_packages=(packages / "two",))) as client:
        assert names(client) == ["four", "two"]
        assert client.get("/v1/model", params={"model": "two:1"}).json()["name"] == "two"


@pytest.mark.parametrize("name", ["none", "..", ".hidden", "four:9"])
def test_an_unknown_model_is_404(client, name):
    assert client.post("/v1/segment", content=GOOD, params={"model": name}).status_code == 404
    assert client.post(f"/v1/models/{name}/load").status_code == 404


def test_a_damaged_package_is_refused_and_the_old_one_goes_on(client, packages):
    (packages / "four" / "model.fp32.onnx").write_bytes(b"damaged")
    answer = client.post("/v1/models/four/load")
    assert answer.status_code >= 400
    assert "damaged" in answer.json()["detail"]
    np.testing.assert_array_equal(mask_of(client), tiny_answer(IMAGE, 4))


def test_a_loaded_package_takes_the_place_of_the_one_from_the_same_folder(client, packages):
    replace_package(packages / "four", num_classes=3, name="four")
    assert client.post("/v1/models/four/load").status_code == 200
    assert len(names(client)) == 1
    np.testing.assert_array_equal(mask_of(client), tiny_answer(IMAGE, 3))


def test_an_unloaded_model_is_gone(client):
    client.post("/v1/models/two/load")
    assert client.post("/v1/models/two/unload").status_code == 200
    assert client.post("/v1/segment", content=GOOD, params={"model": "two"}).status_code == 404


def test_without_any_model_the_service_says_so_until_one_is_loaded_again(client):
    assert client.post("/v1/models/four/unload").json() == {"models": []}
    for refused in (client.post("/v1/segment", content=GOOD), client.get("/v1/model")):
        assert (refused.status_code, refused.json()["error"]) == (404, "UnknownModelError")
        assert "/v1/models/NAME/load" in refused.json()["detail"]
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["model"]) == (200, "")
    assert client.post("/v1/segment", content=GOOD, params={"model": "four"}).status_code == 404
    assert client.get("/v1/models").json()["models"] == []
    client.post("/v1/models/four/load")
    assert client.get("/readyz").json()["model"] == "four:1"
    np.testing.assert_array_equal(mask_of(client), tiny_answer(IMAGE, 4))


def test_answers_name_the_manifest_that_they_came_from(client, packages):
    client.post("/v1/models/two/load")
    header = client.post("/v1/segment", content=GOOD, params={"model": "two"}).headers["x-model"]
    manifest = json.loads((packages / "two" / MANIFEST_NAME).read_text())
    assert header.startswith(f"two;version={manifest['version']};")


def test_all_workers_change_together_and_no_request_is_lost(packages):
    answers: list[int] = []
    masks: set[bytes] = set()
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                answer = client.post("/v1/segment", content=GOOD)
                answers.append(answer.status_code)
                masks.add(decode_png_labels(answer.content).tobytes())

    with running_server(packages / "four", "workers=2") as server:
        clients = [threading.Thread(target=ask, args=(server.url,)) for _ in range(4)]
        for client in clients:
            client.start()
        for round_index in range(HOT_LOADS):
            classes = 3 - round_index % 2
            replace_package(packages / "four", num_classes=classes, name="four")
            assert httpx.post(f"{server.url}/v1/models/four/load", timeout=60).status_code == 200
            for _ in range(4):  # new connections: both workers
                mask = decode_png_labels(httpx.post(f"{server.url}/v1/segment", content=GOOD).content)
                np.testing.assert_array_equal(mask, tiny_answer(IMAGE, classes))
        stop.set()
        for client in clients:
            client.join()
    assert set(answers) == {200}
    assert masks <= {tiny_answer(IMAGE, classes).tobytes() for classes in (2, 3, 4)}


def test_a_worker_that_is_born_later_has_what_the_others_agreed_on(packages):
    with running_server(packages / "four", "workers=1", f"repository={packages}") as server:
        httpx.post(f"{server.url}/v1/models/two/load", timeout=60)
        (worker,) = psutil.Process(server.process.pid).children()
        worker.kill()
        answer = httpx.get(f"{server.url}/v1/models", timeout=60)
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)
        answer = httpx.get(f"{server.url}/v1/models", timeout=60)
    assert [entry["name"] for entry in answer.json()["models"]] == ["four", "two"]


def test_sighup_under_load_loses_nothing(packages):
    def ask(url: str) -> set[int]:
        with httpx.Client(base_url=url, timeout=30) as client:
            statuses, mask = set(), None
            while not np.array_equal(mask, tiny_answer(IMAGE, 2)):
                answer = client.post("/v1/segment", content=GOOD)
                statuses.add(answer.status_code)
                mask = decode_png_labels(answer.content)
            return statuses

    with running_server(packages / "four", "workers=2") as server, ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask, server.url) for _ in range(4)]
        replace_package(packages / "four", num_classes=2, name="four")
        server.process.send_signal(signal.SIGHUP)
        assert [client.result() for client in clients] == [{200}] * 4


@pytest.mark.parametrize("workers", [0, 2])
def test_sighup_loads_what_has_changed_on_disk(packages, workers):
    with running_server(packages / "four", f"workers={workers}") as server:
        replace_package(packages / "four", num_classes=2, name="four")
        server.process.send_signal(signal.SIGHUP)

        def is_new() -> bool:
            mask = decode_png_labels(httpx.post(f"{server.url}/v1/segment", content=GOOD).content)
            return np.array_equal(mask, tiny_answer(IMAGE, 2))

        wait_until(is_new)
