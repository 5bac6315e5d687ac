"""Trials over several workers, and orders that reach workers which are being born."""

import threading
from typing import Any

import httpx
import psutil

from modelpack.png import decode_png_labels
from serve.processes.link import Link
from tests.serve.conftest import SIZE, running_server, wait_until
from tests.serve.test_canary import (
    GOOD,
    IMAGE,
    SIMILAR,
    ask_until_it_is_over,
    begin,
    canary,
    packages,
    version,
)
from tests.serve.test_workers import figure
from tests.tiny_package import tiny_answer, write_tiny_package

__all__ = ["packages"]


def of_both(url: str, path: str) -> list[dict[str, Any]]:
    """What two workers answer: while one has an open connection, the other gets the next."""
    with httpx.Client(base_url=url, timeout=30) as one, httpx.Client(base_url=url, timeout=30) as other:
        return [client.get(path).json() for client in (one, other)]


def test_all_workers_change_at_once_and_no_request_is_lost(packages):
    answers: list[int] = []
    masks: set[bytes] = set()
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                answer = client.post("/v1/segment", content=GOOD)
                answers.append(answer.status_code)
                masks.add(decode_png_labels(answer.content).tobytes())

    with running_server(packages / "old", "workers=2", f"repository={packages}") as server:
        clients = [threading.Thread(target=ask, args=(server.url,)) for _ in range(2)]
        for client in clients:
            client.start()
        with httpx.Client(base_url=server.url, timeout=60) as operator:
            begin(operator, "other")
            wait_until(lambda: canary(operator)["state"] == "rolled_back")
            begin(operator, "similar", min_agreement=0.9)
            wait_until(lambda: canary(operator)["state"] == "promoted")
        stop.set()
        for client in clients:
            client.join()
        assert [answer["version"] for answer in of_both(server.url, "/v1/model")] == ["2", "2"]
    assert set(answers) == {200}
    assert masks == {tiny_answer(IMAGE).tobytes(), tiny_answer(IMAGE, levels=SIMILAR).tobytes()}


def test_the_trial_survives_the_worker_that_judges_it(packages):
    with running_server(packages / "old", "workers=1", f"repository={packages}") as server:
        with httpx.Client(base_url=server.url, timeout=60) as operator:
            begin(operator, "similar", min_agreement=0.9, min_images=50)
        (judge,) = psutil.Process(server.process.pid).children()
        judge.kill()
        wait_until(lambda: figure(server.url, "afdcd_ready") == 1)
        with httpx.Client(base_url=server.url, timeout=60) as operator:
            assert canary(operator)["state"] == "on_trial"
            assert ask_until_it_is_over(operator)["state"] == "promoted"
            assert version(operator) == "2"


def test_a_worker_that_is_being_born_hears_what_the_others_agree_on(packages, tmp_path):
    heavy = write_tiny_package(tmp_path / "heavy", size=SIZE, name="heavy", slow_layers=6, num_samples=4)
    settings = ("workers=2", f"repository={packages}", f"more_packages=[{heavy.path}]")
    with running_server(packages / "old", *settings) as server:
        psutil.Process(server.process.pid).children()[0].kill()
        wait_until(lambda: figure(server.url, "afdcd_worker_restarts_total") == 1)
        wait_until(lambda: figure(server.url, "afdcd_workers_alive") == 2)
        loaded = httpx.post(f"{server.url}/v1/models/stranger/load", timeout=60)
        assert loaded.status_code == 200, loaded.text
        wait_until(lambda: figure(server.url, "afdcd_ready") == 2)

        wait_until(lambda: [len(answer["models"]) for answer in of_both(server.url, "/v1/models")] == [3, 3])


def test_figures_of_many_workers_fit_one_message():
    ours, theirs = Link.pair()
    message = {
        "kind": "outcome",
        "answers": [{"name": "afdcd_requests_total", "value": n} for n in range(9000)],
    }
    ours.send(message)
    assert theirs.receive() == (message, None)
    ours.close()
    theirs.close()
