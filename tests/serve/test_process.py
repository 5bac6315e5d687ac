"""The process: how it starts, refuses to start, leaves, and dies."""

import hashlib
import json
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from modelpack.command import run
from modelpack.png import encode_png_labels
from serve.__main__ import app
from serve.errors import ServerStartError
from serve.server import listen, url_of
from tests.serve.conftest import running_server, wait_until
from tests.serve.pictures import gradient, png

GOOD = png(gradient())


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str

    @property
    def sentence(self):
        """The one line of error."""
        assert "Traceback" not in self.stderr
        (line,) = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        return line


@pytest.fixture
def run_serve(capsys):
    """The command line in this process, where starting it again costs nothing."""

    def call(*arguments):
        returncode = run(app, arguments, "afdcd serve")
        return Done(returncode, *capsys.readouterr())

    return call


def test_it_prints_its_url_and_a_line_to_try(server):
    assert f"curl -F image=@photo.jpg '{server.url}/v1/segment?format=overlay'" in server.said
    assert json.loads(server.said.splitlines()[-1]) == {"url": server.url}


def test_sigterm_answers_what_is_in_flight_and_exits_with_0(slow_package):
    with running_server(slow_package, "drain_delay_s=1") as server, ThreadPoolExecutor(8) as pool:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            client.get("/livez")
            in_flight = [
                pool.submit(httpx.post, f"{server.url}/v1/segment", content=GOOD, timeout=30)
                for _ in range(8)
            ]
            wait_until(lambda: "afdcd_active_requests 4.0" in client.get("/metrics").text)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: client.get("/readyz").status_code == 503)
            leaving = client.get("/readyz")
        assert [future.result().status_code for future in in_flight] == [200] * 8
        assert (leaving.status_code, leaving.json()["detail"]) == (503, "the service is shutting down.")
        assert server.process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/livez")


def test_sigterm_is_not_held_up_by_an_idle_connection(package):
    with running_server(package) as server, socket.create_connection(server.address):
        begun = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - begun < 5


def test_kill_9_leaves_the_port_to_the_next_process(package):
    with running_server(package) as server:
        with httpx.Client(base_url=server.url) as client:
            assert client.post("/v1/segment", content=GOOD).status_code == 200
            server.process.kill()
            server.process.wait()
        port = server.address[1]
    with running_server(package, port=port) as again:
        assert again.address[1] == port
        assert httpx.post(f"{again.url}/v1/segment", content=GOOD).status_code == 200


def test_a_taken_port_is_one_sentence(run_serve, server, package):
    port = server.address[1]
    done = run_serve("start", str(package), "--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in done.sentence
    assert "--port" in done.sentence


def damaged(package, tmp_path, relative, change):
    copy = tmp_path / "damaged"
    shutil.copytree(package, copy)
    change(copy / relative)
    return copy


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_corrupted_package_is_refused_at_the_start(run_serve, package, tmp_path):
    copy = damaged(package, tmp_path, "model.fp32.onnx", flip_a_byte)
    done = run_serve("start", str(copy), "--port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model.fp32.onnx is damaged" in done.sentence


def test_check_agrees_with_a_good_package(run_serve, package):
    done = run_serve("check", str(package), "--json")
    assert done.returncode == 0
    line, result = done.stdout.splitlines()
    assert line.startswith("tiny:1 onnx-fp32 on CPUExecutionProvider: 2 samples replayed: agreement 1.0000")
    assert json.loads(result)["agreements"] == [1.0, 1.0]


def test_a_recipe_stands_for_the_package_that_it_made(run_serve, package, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"output: {tmp_path}/nothing\nexport: {{package_dir: {package}}}\nserve: {{threads: 1}}\n"
    )
    assert run_serve("check", str(recipe)).returncode == 0


def test_samples_that_come_out_wrong_are_refused_with_the_numbers(run_serve, package, tmp_path):
    mask = encode_png_labels(np.zeros((48, 64), np.uint8))

    def other_mask(manifest_path):
        manifest = json.loads(manifest_path.read_text())
        manifest["samples"][0]["mask_sha256"] = hashlib.sha256(mask).hexdigest()
        manifest_path.write_text(json.dumps(manifest))
        (manifest_path.parent / manifest["samples"][0]["mask"]).write_bytes(mask)

    done = run_serve("check", str(damaged(package, tmp_path, "manifest.json", other_mask)))
    assert done.returncode == 1
    assert "samples/000-image.png" in done.sentence
    assert "of the pixels, and 0.99 is asked for" in done.sentence


def test_a_mistyped_setting_is_wrong_use(run_serve, package):
    done = run_serve("start", str(package), "prot=1")
    assert done.returncode == 2
    assert "unknown setting 'prot'. Did you mean 'port'?" in done.sentence


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ServerStartError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        listen("192.0.2.1", 0)


def test_the_url_of_a_wildcard_address_can_be_opened():
    with listen("0.0.0.0", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_second_signal_does_not_wait(slow_package):
    with running_server(slow_package, "drain_timeout_s=30") as server:
        body = b"POST /v1/segment HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nthe rest never comes"
        with socket.create_connection(server.address) as connection:
            connection.sendall(body)
            time.sleep(0.2)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            threading.Timer(0.5, server.process.send_signal, (signal.SIGTERM,)).start()
            server.process.wait(30)
        assert time.monotonic() - begun < 10
