"""The API's description is true: keys, scopes and the way errors are written."""

import pytest
from starlette.testclient import TestClient

from serve import ServeSettings, create_app
from serve.access import scope_for
from serve.keys import Scope, add_key
from serve.problems import PROBLEM_TYPE
from tests.serve.pictures import gradient, png


def operations(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@pytest.fixture(scope="module")
def locked(package, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    add_key(keys, "one", [Scope.INFER])
    return TestClient(create_app(ServeSettings(package=package, keys=keys)))


def test_every_error_is_a_problem_or_one_of_the_protocol(client):
    for method, path, operation in operations(client):
        expected = "application/json" if path.startswith("/v2") else PROBLEM_TYPE
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == [expected], (method, path, status)


def test_wrong_parameters_are_answered_as_declared(client):
    answer = client.post("/v1/segment?alpha=7", content=png(gradient()))
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM_TYPE)


def test_every_operation_says_which_key_it_takes(locked):
    for method, path, operation in operations(locked):
        scope = scope_for(method, path)
        assert operation["security"] == ([] if scope is None else [{"bearer": []}, {"apiKey": []}])
        assert scope is None or f"scope `{scope}`" in operation["description"]


def test_without_a_key_what_takes_one_is_refused_as_declared(locked):
    for method, path, operation in operations(locked):
        status = locked.request(method, path.replace("{", "").replace("}", "")).status_code
        assert (status == 401) == bool(operation["security"])
        assert status != 401 or "401" in operation["responses"]


def test_a_service_without_keys_says_that_none_is_needed(client):
    assert all({} in o["security"] or not o["security"] for _, _, o in operations(client))


def test_the_schemes_are_those_that_are_read(locked):
    schemes = locked.get("/openapi.json").json()["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["apiKey"]["name"] == "X-API-Key"
