"""Several workers under a supervisor: how they share, die, hang and leave."""

import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.serve.conftest import RunningServer, running_server, wait_until
from tests.serve.pictures import gradient, png

GOOD = png(gradient())
WORKERS = 2
CLIENTS = 4


@pytest.fixture
def crew(package):
    with running_server(package, f"workers={WORKERS}", "hang_timeout_s=2") as server:
        yield server


def workers_of(server: RunningServer) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def figure(url: str, name: str) -> float:
    """The sum over workers of a metric without its labels."""
    text = httpx.get(f"{url}/metrics", timeout=10).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def segment(url: str) -> int:
    return httpx.post(f"{url}/v1/segment", content=GOOD, timeout=30).status_code


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_connections_are_shared_evenly(crew):
    clients = [httpx.Client(base_url=crew.url, timeout=10) for _ in range(2 * WORKERS)]
    for client in clients:
        assert client.post("/v1/segment", content=GOOD).status_code == 200
    text = clients[0].get("/metrics").text
    counts = re.findall(r'afdcd_requests_total\{route="/v1/segment",status="200",worker="\d"\} (\S+)', text)
    assert counts == ["2.0"] * WORKERS
    for client in clients:
        client.close()


def test_a_killed_worker_is_replaced_and_the_others_answer_meanwhile(crew):
    victim = workers_of(crew)[0]
    victim.kill()
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(segment, [crew.url] * 20))
    assert statuses == [200] * 20
    wait_until(lambda: figure(crew.url, "afdcd_ready") == WORKERS)
    assert figure(crew.url, "afdcd_worker_restarts_total") == 1
    assert victim.pid not in [worker.pid for worker in workers_of(crew)]


def keep_asking(url: str, stop: threading.Event) -> tuple[list[int], int]:
    """(statuses of the answers, connections that broke before theirs), one request after the other."""
    statuses, lost = [], 0
    with httpx.Client(base_url=url, timeout=30) as client:
        while not stop.is_set():
            try:
                statuses.append(client.post("/v1/segment", content=GOOD).status_code)
            except httpx.TransportError:
                lost += 1
    return statuses, lost


def test_a_worker_killed_under_load_takes_only_what_it_had_in_flight(package):
    """Of clients that send one request after the other, that is one for each."""
    stop = threading.Event()
    with running_server(package, f"workers={WORKERS}") as server, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(keep_asking, server.url, stop) for _ in range(CLIENTS)]
        wait_until(lambda: figure(server.url, "afdcd_stage_seconds_count") > 0)
        workers_of(server)[0].kill()
        wait_until(lambda: figure(server.url, "afdcd_worker_restarts_total") == 1)
        wait_until(lambda: figure(server.url, "afdcd_ready") == WORKERS)
        stop.set()
        answered = [client.result() for client in clients]
    assert {status for statuses, _ in answered for status in statuses} == {200}
    assert max(lost for _, lost in answered) <= 1


def test_connections_that_a_dying_worker_has_not_taken_are_answered_by_another(crew):
    victim = workers_of(crew)[0]
    os.kill(victim.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2 * WORKERS) as pool:
        asked = [pool.submit(segment, crew.url) for _ in range(2 * WORKERS)]
        wait_until(lambda: sum(request.done() for request in asked) >= WORKERS)
        assert not all(request.done() for request in asked)
        victim.kill()
        assert [request.result() for request in asked] == [200] * len(asked)
    wait_until(lambda: figure(crew.url, "afdcd_ready") == WORKERS)


def test_sigterm_under_load_breaks_no_connection(package):
    """Each request has a connection of its own: it is answered, or nobody listens any more."""

    def ask_until_nobody_listens(url: str) -> set[int]:
        statuses = set()
        while True:
            try:
                statuses.add(segment(url))
            except httpx.ConnectError:
                return statuses

    with (
        running_server(package, f"workers={WORKERS}", "drain_delay_s=0.3") as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        clients = [pool.submit(ask_until_nobody_listens, server.url) for _ in range(CLIENTS)]
        wait_until(lambda: figure(server.url, "afdcd_stage_seconds_count") > 0)
        assert server.terminate() == 0
        assert [client.result() for client in clients] == [{200}] * CLIENTS


def test_a_hung_worker_is_killed_and_replaced(crew):
    victim = workers_of(crew)[0]
    os.kill(victim.pid, signal.SIGSTOP)
    wait_until(lambda: has_ended(victim))
    wait_until(lambda: figure(crew.url, "afdcd_ready") == WORKERS)
    assert segment(crew.url) == 200


def test_all_workers_killed_at_once_come_back(crew):
    for worker in workers_of(crew):
        worker.kill()
    assert httpx.get(f"{crew.url}/livez", timeout=30).status_code == 200
    wait_until(lambda: figure(crew.url, "afdcd_ready") == WORKERS)


def test_sigterm_answers_what_is_in_flight_in_all_workers_and_leaves_no_orphan(slow_package):
    with running_server(slow_package, f"workers={WORKERS}", "drain_delay_s=1") as server:
        workers = workers_of(server)
        with ThreadPoolExecutor(8) as pool:
            in_flight = [pool.submit(segment, server.url) for _ in range(8)]
            wait_until(lambda: figure(server.url, "afdcd_active_requests") > 0)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        assert [future.result() for future in in_flight] == [200] * 8
        assert server.process.wait(30) == 0
        assert all(has_ended(worker) for worker in workers)


def test_workers_leave_when_their_supervisor_is_killed(crew):
    workers = workers_of(crew)
    crew.process.kill()
    wait_until(lambda: all(has_ended(worker) for worker in workers))


def test_a_terminated_worker_answers_first_and_is_replaced(crew):
    victim = workers_of(crew)[0]
    victim.terminate()
    wait_until(lambda: has_ended(victim))
    wait_until(lambda: figure(crew.url, "afdcd_ready") == WORKERS)


def test_a_client_whose_header_does_not_come_is_cut_with_408(package):
    with running_server(package, "header_timeout_s=0.5") as server:
        with socket.create_connection(server.address, timeout=10) as client:
            client.sendall(b"POST /v1/segment HTTP/1.1\r\nHost:")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert segment(server.url) == 200


def test_a_client_that_says_nothing_is_cut(package):
    with (
        running_server(package, "header_timeout_s=0.5") as server,
        socket.create_connection(server.address, timeout=10) as client,
    ):
        assert b"408" in client.recv(4096)


def test_a_supervisor_without_file_handles_goes_on_once_it_has_some(crew):
    supervisor = psutil.Process(crew.process.pid)
    before = supervisor.rlimit(psutil.RLIMIT_NOFILE)
    supervisor.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
    with socket.create_connection(crew.address, timeout=10) as waiting:
        waiting.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)  # it has tried, more than once
        supervisor.rlimit(psutil.RLIMIT_NOFILE, before)
        assert waiting.recv(64).startswith(b"HTTP/1.1 200")
