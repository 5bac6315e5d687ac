"""A real Triton reads our repository, lacks nothing but the onnxruntime backend, and gives our masks."""

import json
import os
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from export.triton.repository import write_triton_repository
from modelpack.pixels import decode_image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

SERVER_PACKAGES = ("nvidia-pytriton", "onnxruntime", "tritonclient[grpc]")
"""nvidia-pytriton brings `tritonserver` with the python backend alone."""
CLIENT = Path(__file__).with_name("triton_client.py")
CLIENT_TIMEOUT_S = 300
MISSING_BACKEND = "unable to find backend library for backend 'onnxruntime'"


@pytest.fixture(scope="module")
def triton_python(tmp_path_factory):
    """The Python of an environment of its own: Triton's client and server do not bear our protobuf."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", *SERVER_PACKAGES], check=True)
    return python


@pytest.fixture(scope="module")
def repository(package, tmp_path_factory):
    return write_triton_repository(package, tmp_path_factory.mktemp("triton") / "models")


@pytest.fixture(scope="module")
def triton_port(triton_python, repository, tmp_path_factory):
    """A server's gRPC port."""
    site = Path(
        subprocess.check_output(
            [triton_python, "-c", "import pytriton; print(list(pytriton.__path__)[0])"], text=True
        ).strip()
    )
    backends = tmp_path_factory.mktemp("server") / "backends"
    shutil.copytree(site / "tritonserver/backends", backends)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = site / "tritonserver/python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    grpc_port, http_port = free_port(), free_port()
    environment = {
        **os.environ,
        "PATH": f"{triton_python.parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(site.parent / "nvidia_pytriton.libs"),
    }
    words = [
        site / "tritonserver/bin/tritonserver",
        f"--model-repository={repository.path}",
        f"--backend-directory={backends}",
        "--exit-on-error=false",
        "--allow-metrics=false",
        f"--grpc-port={grpc_port}",
        f"--http-port={http_port}",
    ]
    server = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield grpc_port
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def answers(package, repository, triton_python, triton_port, tmp_path_factory):
    """(what the client saw, its masks, ours)."""
    folder = tmp_path_factory.mktemp("answers")
    samples = [
        (package.manifest.resizing.resize_image(decode_image(image, max_pixels=1 << 20)), mask_hw)
        for _, image, mask_hw in package.samples()
    ]
    np.save(folder / "images.npy", np.stack([image for image, _ in samples]))
    model = repository.models[-1].name
    words = [triton_python, CLIENT, triton_port, repository.path, model]
    words += [folder / "images.npy", folder / "masks.npy"]
    said = subprocess.check_output([str(word) for word in words], text=True, timeout=CLIENT_TIMEOUT_S)
    masks_nhw = np.load(folder / "masks.npy")
    return json.loads(said), masks_nhw, np.stack([mask_hw for _, mask_hw in samples])


def test_the_python_backend_gives_the_packages_masks(answers):
    _, found_nhw, expected_nhw = answers
    np.testing.assert_array_equal(found_nhw, expected_nhw)


def test_all_that_the_onnx_models_lack_is_triton_s_onnxruntime_backend(answers, repository):
    states = {model["name"]: model for model in answers[0]["models"]}
    for model in repository.models:
        state = states[model.name]
        if model.backend == "python":
            assert state["state"] == "READY"
        else:
            assert state["state"] == "UNAVAILABLE"
            assert MISSING_BACKEND in state["reason"]


def test_nvidias_own_message_reads_every_configuration(answers, repository):
    assert answers[0]["configs"] == sorted(model.name for model in repository.models)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
