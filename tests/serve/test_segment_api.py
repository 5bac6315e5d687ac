"""What the API's description says of `/v1/segment` is what it does."""

import json

import pytest

from serve.formats import FORMATS
from tests.serve.pictures import gradient, png

PATHS = ("/v1/segment", "/v1/segment/batch")


@pytest.fixture(scope="module")
def described(client):
    return client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("path", PATHS)
def test_every_option_is_described_with_its_bounds(described, path):
    parameters = {entry["name"]: entry for entry in described[path]["post"]["parameters"]}
    assert {"format", "classes", "size", "alpha", "legend", "tolerance", "model"} <= set(parameters)
    assert all(entry["description"] for entry in parameters.values())
    assert parameters["format"]["schema"]["enum"] == list(FORMATS)
    assert parameters["size"]["schema"]["enum"] == ["original", "model"]
    assert (parameters["alpha"]["schema"]["minimum"], parameters["alpha"]["schema"]["maximum"]) == (0, 1)


def test_every_media_type_that_is_sent_is_described(described):
    content = described["/v1/segment"]["post"]["responses"]["200"]["content"]
    assert set(content) == {entry.media_type for entry in FORMATS.values()}


def test_a_line_of_a_batch_has_what_its_description_says(client, described):
    content = described["/v1/segment/batch"]["post"]["responses"]["200"]["content"]
    schema = content["application/x-ndjson"]["schema"]
    files = [("image", ("good.png", png(gradient()))), ("image", ("bad.png", b"x"))]
    for name in ("png", "stats"):
        lines = client.post("/v1/segment/batch", params={"format": name}, files=files).text.splitlines()
        for line in map(json.loads, lines):
            assert set(schema["required"]) <= set(line) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("path", "request_", "status"),
    [
        ("/v1/segment", {"params": {"classes": "sky"}, "content": png(gradient())}, 400),
        ("/v1/segment", {"params": {"alpha": 2}, "content": png(gradient())}, 422),
        ("/v1/segment/batch", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("/v1/segment/batch", {"content": b"", "headers": {"Content-Type": "application/zip"}}, 400),
    ],
)
def test_a_refusal_is_a_problem_that_is_described(client, described, path, request_, status):
    response = client.post(path, **request_)
    assert response.status_code == status
    declared = described[path]["post"]["responses"][str(status)]["content"]
    assert response.headers["content-type"] in declared
