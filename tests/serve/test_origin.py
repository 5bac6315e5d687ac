"""Every answer names the manifest that it came from, and a service may insist on whose manifest that is."""

import hashlib
import json
import shutil

import pytest

from modelpack.command import run
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME
from modelpack.png import read_png_text
from modelpack.signature import SignatureError, new_key, sign_package
from serve import ServeSettings
from serve.__main__ import app
from serve.model import load_model
from tests.serve.conftest import app_client
from tests.serve.pictures import gradient, png
from tests.tiny_package import write_tiny_package

GOOD = png(gradient())


def origin_of(package, artifact="onnx-fp32"):
    digest = hashlib.sha256((package / MANIFEST_NAME).read_bytes()).hexdigest()
    return f"tiny;version=1;artifact={artifact};sha256={digest}"


@pytest.mark.parametrize("name", ["png", "color", "overlay", "stats"])
def test_the_header_names_model_version_artifact_and_manifest(client, package, name):
    response = client.post("/v1/segment", params={"format": name}, content=GOOD)
    assert response.headers["x-model"] == origin_of(package)


@pytest.mark.parametrize("name", ["png", "color"])
def test_a_png_carries_the_same_inside_the_file(client, package, name):
    content = client.post("/v1/segment", params={"format": name}, content=GOOD).content
    assert read_png_text(content) == {"Model": origin_of(package)}


def test_statistics_carry_it_as_a_field(client, package):
    assert client.post("/v1/segment?format=stats", content=GOOD).json()["origin"] == origin_of(package)


def test_a_version_that_no_header_may_hold_is_quoted(package, tmp_path):
    copy = shutil.copytree(package, tmp_path / "copy")
    values = json.loads((copy / MANIFEST_NAME).read_text())
    values["version"] = "1;\r\nX-Evil: \u00fc"
    (copy / MANIFEST_NAME).write_text(json.dumps(values))
    with app_client(ServeSettings(package=copy, threads=1)) as client:
        response = client.post("/v1/segment", content=GOOD)
    assert ";version=1%3B%0D%0AX-Evil%3A%20%C3%BC;" in response.headers["x-model"]
    assert "x-evil" not in response.headers


def test_the_model_page_and_readiness_say_what_was_chosen_and_why(client, package):
    model = client.get("/v1/model").json()
    assert model["choice"].startswith(f"onnx-fp32 in {model['runtime']['runtime']} on cpu: ")
    assert model["manifest_sha256"] == origin_of(package).rpartition("=")[2]
    assert client.get("/readyz").json()["choice"] == model["choice"]


@pytest.fixture
def signed(tmp_path):
    """(package folder, public key)."""
    package = write_tiny_package(tmp_path / "tiny").path
    key = new_key(tmp_path / "key")
    sign_package(package, tmp_path / "key")
    return package, key


def test_a_package_signed_by_a_trusted_key_is_served_and_names_it(signed):
    package, key = signed
    with app_client(ServeSettings(package=package, threads=1, trusted_keys=(key,))) as client:
        assert client.get("/v1/model").json()["signed_by"] == key
        assert client.post("/v1/segment", content=GOOD).status_code == 200


def test_without_its_signature_it_is_not_served_and_one_sentence_says_why(signed, capsys):
    package, key = signed
    (package / SIGNATURE_NAME).unlink()
    words = ["check", str(package), "threads=1", f"trusted_keys=['{key}']"]
    assert run(app, words, "afdcd serve") == 1
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "is not signed, and trusted_keys asks for it" in sentence


def test_another_key_is_not_enough(signed, tmp_path):
    package, _ = signed
    other = new_key(tmp_path / "other")
    with pytest.raises(SignatureError, match="none of the trusted keys"):
        load_model(ServeSettings(package=package, threads=1, trusted_keys=(other,)))
