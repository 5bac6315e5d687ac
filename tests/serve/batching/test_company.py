"""What one request does to those that share its run: nothing."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np

from serve import ServeSettings, create_app
from tests.serve.batching.conftest import Runs, picture
from tests.serve.conftest import running_server, wait_until
from tests.serve.leaving import ask_and_leave
from tests.serve.pictures import png
from tests.serve.test_images import mask_of
from tests.tiny_package import tiny_answer


def test_an_image_that_fails_harms_no_other_of_its_run(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    images = [picture(seed) for seed in range(5)]
    joined.runs.poison = images[2]
    futures = [joined.send(image) for image in images]
    joined.wait_for(5)
    joined.runs.opened.set()
    answered = [future.result() for future in futures]
    assert [answer.status_code for answer in answered] == [200, 200, 500, 200, 200]
    for place in (0, 1, 3, 4):
        assert np.array_equal(mask_of(answered[place]), tiny_answer(images[place]))
    assert sorted(joined.runs.images) == [1, 1, 1, 1, 1, 1, 5]
    assert joined.metric("afdcd_batch_retries_total") == 5


def test_files_that_are_no_images_reach_no_run(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    good = [joined.send(picture(seed)) for seed in range(3)]
    bad = [joined.client.post("/v1/segment", content=png(picture(9))[:200]) for _ in range(3)]
    joined.wait_for(3)
    joined.runs.opened.set()
    assert [answer.status_code for answer in bad] == [422] * 3
    assert [future.result().status_code for future in good] == [200] * 3
    assert joined.runs.images == [1, 3]


def test_requests_of_v1_and_v2_share_a_run(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    pair = np.stack([picture(0), picture(1)])
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(pair.shape), "data": pair.ravel().tolist()}
    both = joined.pool.submit(joined.client.post, "/v2/models/tiny/infer", json={"inputs": [tensor]})
    single = joined.send(picture(2))
    joined.wait_for(2)
    joined.runs.opened.set()
    masks = np.array(both.result().json()["outputs"][0]["data"], np.uint8).reshape(2, 48, 64)
    assert np.array_equal(masks, tiny_answer(pair))
    assert np.array_equal(mask_of(single.result()), tiny_answer(picture(2)))
    assert joined.runs.images == [1, 3]


def test_beyond_the_queue_requests_are_told_to_come_back(serve_joined):
    joined = serve_joined(max_images=2, active=2, queue_length=2)
    joined.keep_busy()
    waiting = [joined.send(picture(seed)) for seed in range(3)]
    wait_until(lambda: "afdcd_queue_depth 2.0" in joined.client.get("/metrics").text)
    refused = joined.client.post("/v1/segment", content=png(picture(9)))
    joined.runs.opened.set()
    assert (refused.status_code, refused.json()["error"]) == (429, "OverloadedError")
    assert int(refused.headers["retry-after"]) >= 1
    assert [future.result().status_code for future in waiting] == [200] * 3


def test_clients_that_hang_up_before_their_run_cost_none(package, monkeypatch):
    runs = Runs()
    app = create_app(ServeSettings(package=package, threads=1, batching={"enabled": True}))
    gone = asyncio.Event()

    async def scenario():
        async with app.router.lifespan_context(app):
            await app.state.loading
            runs.install(monkeypatch)
            requests = [asyncio.create_task(ask_and_leave(app, png(picture(0)), gone)) for _ in range(12)]
            while not runs.seen:
                await asyncio.sleep(0.01)
            gone.set()
            statuses = await asyncio.gather(*requests)
            runs.opened.set()
            return statuses

    assert asyncio.run(scenario()) == [499] * 12
    assert len(runs.seen) == 1


def test_a_service_that_leaves_answers_what_waits_for_a_run(slow_package):
    with (
        running_server(slow_package, "batching.enabled=true", "drain_delay_s=1") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        sent = [pool.submit(client.post, "/v1/segment", content=png(picture(seed))) for seed in range(8)]
        wait_until(lambda: "afdcd_active_requests 0.0" not in client.get("/metrics").text)
        server.process.send_signal(signal.SIGTERM)
        assert [future.result().status_code for future in sent] == [200] * 8
        assert server.process.wait(30) == 0


def test_statistics_count_a_shared_run_once(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 48, 64, 3], "data": [0] * (48 * 64 * 3)}
    sent = [
        joined.pool.submit(joined.client.post, "/v2/models/tiny/infer", json={"inputs": [tensor]})
        for _ in range(3)
    ]
    joined.wait_for(3)
    joined.runs.opened.set()
    assert [future.result().status_code for future in sent] == [200] * 3
    (stats,) = joined.client.get("/v2/models/tiny/stats").json()["model_stats"]
    assert (stats["inference_count"], stats["execution_count"]) == (3, 1)
    assert [(entry["batch_size"], entry["compute_infer"]["count"]) for entry in stats["batch_stats"]] == [
        (3, 1)
    ]
    assert stats["inference_stats"]["success"]["count"] == 3
