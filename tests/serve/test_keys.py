"""API keys: the file, the verb that fills it, and who may ask what."""

import json
import os

import httpx
import pytest

from modelpack.command import run
from modelpack.errors import SettingsError
from serve import ServeSettings, keys
from serve.__main__ import app, read_settings
from serve.access import scope_for
from serve.keys import KeyFile, Scope, add_key, read_keys
from serve.problems import PROBLEM_TYPE
from tests.serve.conftest import app_client, running_server
from tests.serve.pictures import gradient, png

GOOD = png(gradient())
OPEN = ["/", "/docs", "/openapi.json", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"]
INFER = [
    ("POST", "/v1/segment"),
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("POST", "/v2/repository/index"),
]
ADMIN = [
    ("POST", "/v1/models/other/load"),
    ("POST", "/v1/models/other/unload"),
    ("POST", "/v2/repository/models/other/load"),
    ("POST", "/v2/repository/models/other/unload"),
]


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "keys.txt"


@pytest.fixture(scope="module")
def secrets(key_file):
    """Key by scope."""
    return {scope: add_key(key_file, f"{scope}-key", [scope]) for scope in Scope}


@pytest.fixture(scope="module")
def client(package, key_file, secrets):
    with app_client(ServeSettings(package=package, threads=1, keys=key_file)) as client:
        yield client


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def error_of(answer):
    """The sentence, wherever the address puts it."""
    if answer.url.path.startswith("/v2"):
        assert list(answer.json()) == ["error"]
        return answer.json()["error"]
    assert answer.headers["content-type"] == PROBLEM_TYPE
    return answer.json()["detail"]


@pytest.mark.parametrize("path", OPEN)
def test_health_and_pages_are_open(client, path):
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(("method", "path"), [*INFER, *ADMIN])
def test_without_a_key_the_answer_is_401_and_says_how_to_send_one(client, method, path):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer KEY or X-API-Key: KEY" in error_of(answer)


@pytest.mark.parametrize(("method", "path"), [*INFER, *ADMIN])
@pytest.mark.parametrize("secret", ["afdcd_wrong", "\xe4", "a" * 5000])
def test_a_key_that_nobody_made_is_401(client, method, path, secret):
    answer = client.request(method, path, headers={"X-API-Key": secret.encode("latin-1")})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert secret not in error_of(answer)


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_changing_the_service_takes_the_scope_admin(client, secrets, method, path):
    answer = client.request(method, path, headers=bearer(secrets[Scope.INFER]))
    assert answer.status_code == 403
    assert 'scope="admin"' in answer.headers["www-authenticate"]
    assert "scope admin; 'infer-key' has not got it" in error_of(answer)
    assert client.request(method, path, headers=bearer(secrets["admin"])).status_code == 404


def test_the_scope_admin_alone_does_not_segment(client, secrets):
    assert client.post("/v1/segment", content=GOOD, headers=bearer(secrets["admin"])).status_code == 403


def test_both_headers_carry_a_key(client, secrets):
    for headers in (
        bearer(secrets[Scope.INFER]),
        {"Authorization": f"bearer  {secrets['infer']}"},
        {"X-API-Key": secrets[Scope.INFER]},
    ):
        assert client.post("/v1/segment", content=GOOD, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["//v1/segment", "/livez/", "/LIVEZ", "/v2/health", "/web"])
def test_what_merely_looks_like_an_open_address_is_closed(path):
    assert scope_for("GET", path) == "infer"
    assert scope_for("POST", "/livez") == "admin"


def test_an_address_that_no_rule_knows_takes_the_scope_admin():
    assert scope_for("DELETE", "/v1/models/tiny") == "admin"
    assert scope_for("POST", "/v1/something/new") == "admin"
    assert scope_for("POST", "/v2/models/tiny/versions/1/infer") == "infer"


@pytest.mark.parametrize("name", ["..", "..%2F..", "%2Fetc", "a%00b"])
def test_the_name_of_a_model_is_no_path(client, secrets, name):
    for address in (f"/v1/models/{name}/load", f"/v2/repository/models/{name}/load"):
        assert client.post(address, headers=bearer(secrets["admin"])).status_code in (404, 405)


def test_every_stored_key_is_compared_in_constant_time(key_file, secrets, monkeypatch):
    compared = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(
        keys.hmac, "compare_digest", lambda a, b: (compared.append((len(a), len(b))), real(a, b))[1]
    )
    assert KeyFile(key_file).find(secrets[Scope.INFER].encode()).name == "infer-key"
    assert compared == [(32, 32)] * len(Scope)


def test_a_key_is_revoked_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "keys.txt"
    first, second = (add_key(path, name, [Scope.INFER]).encode() for name in ("first", "second"))
    key_file = KeyFile(path)
    assert key_file.find(first).name == "first"
    path.write_text(path.read_text().splitlines()[1])
    assert key_file.find(first) is None
    assert key_file.find(second).name == "second"


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("nonsense")])
def test_a_key_file_that_breaks_while_the_service_runs_leaves_the_keys_as_they_were(
    tmp_path, monkeypatch, damage
):
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "keys.txt"
    secret = add_key(path, "first", [Scope.INFER]).encode()
    key_file = KeyFile(path)
    damage(path)
    assert key_file.find(secret).name == "first"


@pytest.mark.parametrize("line", ["afdcd_plain-key", "name root sha256:" + "0" * 64, "name infer sha256:00"])
def test_a_broken_line_is_named_by_number_and_not_repeated(tmp_path, line):
    path = tmp_path / "keys.txt"
    path.write_text(f"# keys\n{line}\n")
    with pytest.raises(SettingsError, match="line 2 is not 'NAME SCOPES sha256:HEX'") as caught:
        read_keys(path)
    assert line not in str(caught.value)


@pytest.mark.parametrize("content", [None, "# nobody\n"])
def test_a_file_without_keys_is_refused(tmp_path, content):
    path = tmp_path / "keys.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match="afdcd serve key"):
        read_keys(path)


def test_the_verb_prints_the_key_once_and_keeps_its_hash(tmp_path, capsys):
    path = tmp_path / "keys.txt"
    words = ["key", str(path), "camera", "--scope", "infer", "--scope", "admin", "--json"]
    assert run(app, words, "afdcd serve") == 0
    made = json.loads(capsys.readouterr().out)
    assert KeyFile(path).find(made["key"].encode()).scopes == {"infer", "admin"}
    assert made["key"] not in path.read_text()
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert run(app, ["key", str(path), "camera"], "afdcd serve") == 2
    assert "has a key 'camera' already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["two words", "", "line\nbreak"])
def test_a_name_that_would_break_the_file_is_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="cannot name a key"):
        add_key(tmp_path / "keys.txt", name, [Scope.INFER])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(package, host):
    assert ServeSettings(package=package, host=host).keys is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_addresses_need_keys_or_a_word(package, host):
    with pytest.raises(SettingsError, match=r"`afdcd serve key FILE NAME`.*allow_anonymous=true"):
        read_settings(package, (), {"host": host})
    assert read_settings(package, ["allow_anonymous=true"], {"host": host}).host == host
    assert read_settings(package, ["keys=keys.txt"], {"host": host}).host == host


def test_a_missing_key_file_is_one_sentence_before_anything_starts(package, tmp_path, capsys):
    assert run(app, ["start", str(package), f"keys={tmp_path}/none", "--port", "0"], "afdcd serve") == 2
    assert "none cannot be read" in capsys.readouterr().err


def test_workers_know_the_keys(package, key_file, secrets):
    with running_server(package, f"keys={key_file}") as server:
        url = f"{server.url}/v1/segment"
        assert httpx.post(url, content=GOOD, timeout=10).status_code == 401
        assert (
            httpx.post(url, content=GOOD, headers=bearer(secrets[Scope.INFER]), timeout=10).status_code == 200
        )
