"""The install steps of `docker/Dockerfile.serve` in a clean virtual environment: needs a package index."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

from modelpack.png import decode_png_labels, encode_png_rgb
from tests.docker.dockerfile import REPOSITORY, arguments_of, copied, exec_form
from tests.tiny_package import tiny_answer, write_tiny_package

DOCKERFILE = "Dockerfile.serve"
INSTALL_TIMEOUT_S = 800
REQUEST_TIMEOUT_S = 10
STOP_TIMEOUT_S = 30

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The folder with the image's Python commands."""
    root = tmp_path_factory.mktemp("image")
    for source in copied(DOCKERFILE):
        copy = shutil.copytree if (REPOSITORY / source).is_dir() else shutil.copy
        copy(REPOSITORY / source, root / source)
    subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
    for line in arguments_of(DOCKERFILE, "RUN"):
        command, *words = shlex.split(line)
        if command == "pip":
            subprocess.run([root / "venv/bin/pip", *words], cwd=root, check=True, timeout=INSTALL_TIMEOUT_S)
    return root / "venv/bin"


def run_there(image, *command):
    """Run a command of the image far from the repository; gives what it printed."""
    environment = {"PATH": f"{image}{os.pathsep}{os.environ['PATH']}", "HOME": str(image.parent)}
    done = subprocess.run(
        [image / command[0], *command[1:]],
        cwd=image.parent,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture
def service(image, tmp_path):
    """(process, URL) of the image's entry point on a tiny package and a free port."""
    package = write_tiny_package(tmp_path / "package").path
    inside = {"/package": str(package), "0.0.0.0": "127.0.0.1", "8000": "0"}
    command, *words = [inside.get(word, word) for word in exec_form(DOCKERFILE, "ENTRYPOINT")]
    process = subprocess.Popen(
        [image / command, *words, "--json"],
        cwd=tmp_path,
        env={"PATH": str(image)},
        stdout=subprocess.PIPE,
        text=True,
    )
    url = next(json.loads(line)["url"] for line in process.stdout if line.startswith("{"))
    yield process, url
    process.kill()
    process.wait()


def fetch(url, data=None, content_type="image/png"):
    request = urllib.request.Request(url, data, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
        return response.read()


def test_there_is_onnxruntime_and_no_torch(image):
    installed = {line.partition("==")[0] for line in run_there(image, "pip", "freeze").splitlines()}
    assert "onnxruntime" in installed
    assert installed.isdisjoint({"torch", "onnxruntime-gpu", "onnx", "openvino", "cryptography", "timm"})


def test_every_package_has_the_pinned_version(image):
    frozen = run_there(
        image, "pip", "list", "--format=json", "--exclude=afdcd", "--exclude=pip", "--exclude=setuptools"
    )
    pins = dict(
        line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if "==" in line
    )
    pinned = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for package in json.loads(frozen):
        assert pinned.get(package["name"].lower().replace("_", "-")) == package["version"], package


def test_the_installed_service_answers_with_the_right_mask(service):
    _, url = service
    image_hwc = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    mask_hw = decode_png_labels(fetch(f"{url}/v1/segment?format=png", encode_png_rgb(image_hwc)))
    assert np.array_equal(mask_hw, tiny_answer(image_hwc))


@pytest.mark.parametrize("page", ["/", "/docs", "/metrics", "/v1/model"])
def test_the_installed_service_has_its_pages(service, page):
    assert fetch(service[1] + page)


def test_the_health_check_of_the_image_passes(image, service):
    command, *words = exec_form(DOCKERFILE, "HEALTHCHECK")
    run_there(image, command, *(word.replace("http://127.0.0.1:8000", service[1]) for word in words))


def test_the_stop_signal_of_the_image_ends_it_cleanly(service):
    process, _ = service
    (stop_signal,) = arguments_of(DOCKERFILE, "STOPSIGNAL")
    process.send_signal(signal.Signals[stop_signal])
    assert process.wait(STOP_TIMEOUT_S) == 0
