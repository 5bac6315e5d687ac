"""What browsers are told, and what their pages may do here."""

import logging

import pytest

from modelpack.errors import SettingsError
from serve import ServeSettings
from serve.__main__ import read_settings
from serve.keys import Scope, add_key
from serve.security_headers import SECURITY_HEADERS
from tests.serve.conftest import app_client
from tests.serve.pictures import gradient, png

GOOD = png(gradient())
FRIEND, STRANGER = "https://friend.example", "https://stranger.example"
UNLOAD = "/v1/models/other/unload"


@pytest.fixture(scope="module")
def open_to_a_friend(package):
    with app_client(ServeSettings(package=package, threads=1, cors_origins=(FRIEND,))) as client:
        yield client


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/nowhere", "/v2/models/none", "/metrics"])
def test_every_answer_carries_the_security_headers(client, path):
    assert client.get(path).headers.items() >= {k.lower(): v for k, v in SECURITY_HEADERS.items()}.items()


def test_a_fault_of_ours_carries_them_too(client, monkeypatch):
    monkeypatch.setattr("serve.service.decode_image", lambda *_, **__: 1 / 0)
    answer = client.post("/v1/segment", content=GOOD)
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_keep_their_own_policy(client, path):
    headers = client.get(path).headers
    assert headers.get_list("content-security-policy") == [headers["content-security-policy"]]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


def test_without_a_list_no_other_origin_is_let_in(client):
    answer = client.get("/v1/model", headers={"Origin": STRANGER})
    assert "access-control-allow-origin" not in answer.headers


def test_a_listed_origin_may_read_answers_and_problems(open_to_a_friend):
    for answer in (
        open_to_a_friend.get("/v1/model", headers={"Origin": FRIEND}),
        open_to_a_friend.post("/v1/segment", content=b"", headers={"Origin": FRIEND}),
    ):
        assert answer.headers["access-control-allow-origin"] == FRIEND
    assert (
        "access-control-allow-origin" not in open_to_a_friend.get("/", headers={"Origin": STRANGER}).headers
    )


def test_a_preflight_needs_no_key(package, tmp_path):
    add_key(tmp_path / "keys.txt", "page", [Scope.INFER])
    settings = ServeSettings(package=package, threads=1, keys=tmp_path / "keys.txt", cors_origins=(FRIEND,))
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with app_client(settings) as client:
        allowed = client.options("/v1/segment", headers={"Origin": FRIEND, **asks})
        refused = client.options("/v1/segment", headers={"Origin": STRANGER, **asks})
    assert (allowed.status_code, refused.status_code) == (200, 400)
    assert allowed.headers["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize(
    "origin", ["*", "example.org", "https://example.org/", "https://*.example.org", "null"]
)
def test_an_origin_that_is_none_is_wrong_use(package, origin):
    with pytest.raises(SettingsError, match="is not an origin"):
        read_settings(package, [f"cors_origins=['{origin}']"], {})


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        (None, "127.0.0.1:8000", 404),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", 404),
        ("http://[::1]:8000", "[::1]:8000", 404),
        (FRIEND, "127.0.0.1:8000", 404),
        (STRANGER, "127.0.0.1:8000", 403),
        ("http://127.0.0.1:9999", "127.0.0.1:8000", 403),
        ("null", "127.0.0.1:8000", 403),
        ("http://led-here.example:8000", "led-here.example:8000", 403),
    ],
)
def test_without_keys_pages_of_other_sites_cannot_change_the_service(open_to_a_friend, origin, host, status):
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    assert open_to_a_friend.post(UNLOAD, headers=headers).status_code == status


def test_no_key_is_written_to_the_log(package, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secret = add_key(tmp_path / "keys.txt", "page", [Scope.INFER])
    with app_client(ServeSettings(package=package, threads=1, keys=tmp_path / "keys.txt")) as client:
        for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret + "x"}):
            client.post("/v1/segment?format=none", content=GOOD, headers=headers)
    lines = [line for line in caplog.messages if line.startswith("POST /v1/segment")]
    assert len(lines) == 2
    assert "400" in lines[0]
    assert secret not in caplog.text


def test_a_line_break_in_an_address_is_no_line_of_the_log(client, caplog):
    caplog.set_level(logging.INFO, "serve.requests")
    client.get("/nowhere%0Aforged line")
    (line,) = [line for line in caplog.messages if "nowhere" in line]
    assert "\n" not in line
