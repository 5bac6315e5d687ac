"""`/v2` with two workers: models that come and go, what is counted, and the asyncio client."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from tests.serve.conftest import SIZE, RunningServer, running_server
from tests.serve.pictures import gradient, png
from tests.serve.tritons import files, pixels, triton
from tests.tiny_package import tiny_answer, write_tiny_package

IMAGE = gradient(*SIZE)
BATCH = np.stack([IMAGE, IMAGE[:, ::-1]])
MODEL = "four"


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("oip")
    for name, num_classes in ((MODEL, 4), ("two", 2)):
        write_tiny_package(root / name, num_classes=num_classes, size=SIZE, name=name, num_samples=1)
    return root


@pytest.fixture(scope="module")
def server(packages) -> Iterator[RunningServer]:
    with running_server(packages / MODEL, f"repository={packages}", "workers=2") as server:
        yield server


def test_the_asyncio_client_passes_every_call(server):
    async def calls() -> None:
        async with aio.InferenceServerClient(server.url.removeprefix("http://").rstrip("/")) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(MODEL)
            assert (await client.get_server_metadata())["name"] == "afdcd"
            assert (await client.get_model_metadata(MODEL))["name"] == MODEL
            assert (await client.get_model_config(MODEL))["name"] == MODEL
            assert await client.get_model_repository_index()
            await client.load_model("two")
            answers = await asyncio.gather(*(client.infer(MODEL, [pixels(BATCH)]) for _ in range(4)))
            for answer in answers:
                np.testing.assert_array_equal(answer.as_numpy("mask"), tiny_answer(BATCH))
            zipped = await client.infer(
                "two",
                [files(png(IMAGE))],
                request_compression_algorithm="gzip",
                response_compression_algorithm="deflate",
            )
            np.testing.assert_array_equal(zipped.as_numpy("mask"), tiny_answer(IMAGE, 2)[None])
            await client.unload_model("two")
            assert not await client.is_model_ready("two")
            assert (await client.get_inference_statistics())["model_stats"]
            with pytest.raises(InferenceServerException, match="'none' is not loaded"):
                await client.infer("none", [pixels(BATCH)])

    asyncio.run(calls())


def test_models_are_loaded_and_unloaded_in_all_workers(server):
    for _ in range(2):
        with triton(server) as client:
            client.load_model("two")
        for _ in range(4):  # new connections: both workers
            with triton(server) as client:
                result = client.infer("two", [pixels(BATCH)])
                np.testing.assert_array_equal(result.as_numpy("mask"), tiny_answer(BATCH, 2))
        with triton(server) as client:
            client.unload_model("two")
            assert not client.is_model_ready("two")


def test_a_model_that_was_unloaded_can_be_loaded_again(packages):
    others = f"more_packages=[{packages / 'two'}]"
    with running_server(packages / MODEL, others) as server, triton(server) as client:
        client.unload_model("two")
        client.load_model("two")
        assert client.is_model_ready("two")


def test_the_only_model_is_unloaded_as_triton_does_it(packages):
    with running_server(packages / MODEL, "workers=2") as server:
        with triton(server) as client:
            client.unload_model(MODEL)
        for worker in psutil.Process(server.process.pid).children()[:1]:
            worker.kill()
        for _ in range(4):  # new connections: both workers, the new one too
            with triton(server) as client:
                assert client.is_server_ready()
                assert not client.is_model_ready(MODEL)
                (entry,) = client.get_model_repository_index()
                assert (entry["name"], entry["state"], entry["reason"]) == (MODEL, "UNAVAILABLE", "unloaded")
                with pytest.raises(InferenceServerException, match="is not loaded"):
                    client.infer(MODEL, [pixels(BATCH)])
        with triton(server) as client:
            client.load_model(MODEL)
            (entry,) = client.get_model_repository_index()
            assert entry["state"] == "READY"
            np.testing.assert_array_equal(
                client.infer(MODEL, [pixels(BATCH)]).as_numpy("mask"), tiny_answer(BATCH)
            )


def test_no_request_breaks_off_when_the_only_model_leaves_and_returns(packages):
    """It is answered, or told that there is no model; nothing else happens to it."""
    statuses: set[int] = set()
    last: list[int] = []
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                statuses.add(client.post("/v1/segment", content=png(IMAGE)).status_code)
            last.append(client.post("/v1/segment", content=png(IMAGE)).status_code)

    with running_server(packages / MODEL, "workers=2") as server:
        clients = [threading.Thread(target=ask, args=(server.url,)) for _ in range(4)]
        for client in clients:
            client.start()
        with triton(server) as admin:
            for _ in range(3):
                admin.unload_model(MODEL)
                admin.load_model(MODEL)
        stop.set()
        for client in clients:
            client.join()
    assert statuses <= {200, 404}
    assert last == [200] * 4


def test_statistics_are_summed_over_the_workers(packages):
    with running_server(packages / MODEL, "workers=2") as server:
        for size in (1, 2, 2):
            with triton(server) as client:
                client.infer(MODEL, [pixels(BATCH[:size])])
        with triton(server) as client:
            with pytest.raises(InferenceServerException):
                client.infer(MODEL, [files(b"no image")])
            (stats,) = client.get_inference_statistics(MODEL)["model_stats"]
            assert client.get_inference_statistics()["model_stats"] == [stats]
    assert (stats["name"], stats["version"]) == (MODEL, "1")
    assert (stats["inference_count"], stats["execution_count"]) == (5, 3)
    counts = {name: entry["count"] for name, entry in stats["inference_stats"].items()}
    assert (counts["success"], counts["fail"], counts["compute_infer"], counts["cache_hit"]) == (3, 1, 3, 0)
    assert [(entry["batch_size"], entry["compute_infer"]["count"]) for entry in stats["batch_stats"]] == [
        (1, 1),
        (2, 2),
    ]
    assert 0 < stats["inference_stats"]["compute_infer"]["ns"] < stats["inference_stats"]["success"]["ns"]
    assert stats["last_inference"] > 0
