"""`/v1/samples`."""

import shutil

import pytest

from modelpack.package import ModelPackage
from serve import ServeSettings
from tests.serve.conftest import app_client


def test_the_samples_are_those_of_the_package(client, package):
    listed = client.get("/v1/samples").json()
    assert listed["model"] == "tiny:1"
    for entry, (_, content, _) in zip(listed["samples"], ModelPackage.open(package).samples(), strict=True):
        answer = client.get(f"/v1/samples/{entry['index']}")
        assert answer.content == content
        assert answer.headers["content-type"] == entry["media_type"] == "image/png"


@pytest.mark.parametrize("index", [-1, 2, 10**30])
def test_a_sample_that_there_is_not_is_a_404(client, index):
    answer = client.get(f"/v1/samples/{index}")
    assert (answer.status_code, answer.json()["error"]) == (404, "UnknownSampleError")


def test_a_sample_that_is_no_number_is_a_422(client):
    assert client.get("/v1/samples/..").status_code == 404
    assert client.get("/v1/samples/first").status_code == 422


def test_samples_of_an_unknown_model_are_a_404(client):
    assert client.get("/v1/samples?model=none").json()["error"] == "UnknownModelError"


@pytest.mark.parametrize("harm", ["gone", "another"])
def test_what_has_changed_on_disk_is_not_given(package, tmp_path, harm):
    copy = tmp_path / "tiny"
    shutil.copytree(package, copy)
    (sample,) = copy.glob("samples/000-image*")
    with app_client(ServeSettings(package=copy, threads=1)) as client:
        sample.unlink()
        if harm == "another":
            sample.symlink_to("/etc/hostname")
        answer = client.get("/v1/samples/0")
        assert answer.status_code == 404
        assert "Load the model again." in answer.json()["detail"]
