"""Schemathesis holds the service against its own description, with requests that it makes up from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve.keys import Scope, add_key
from tests.serve.conftest import running_server

pytest.importorskip("schemathesis")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
ENOUGH_TIME = "X-Deadline-Ms: 30000"
"""Deadlines that it makes up are too short for any answer: 504 is right, and a server error to its eyes."""
TIMEOUT_S = 280


def assert_holds(url: str, folder: Path, *arguments: str) -> None:
    """Run the checks; what it says of a failure names the request as a curl line."""
    command = [Path(sys.executable).with_name("st"), "run", f"{url.rstrip('/')}/openapi.json"]
    options = ["--generation-deterministic", "--max-examples", "3", "--no-color", "--continue-on-failure"]
    done = subprocess.run(
        [*command, *options, *arguments],
        cwd=folder,
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("phase", ["fuzzing", pytest.param("coverage", marks=pytest.mark.slow)])
def test_the_service_answers_as_it_describes_itself(package, tmp_path, phase):
    """First with its model, which the second run may take away."""
    options = ("--phases", phase, "--checks", ",".join(CHECKS), "-H", ENOUGH_TIME)
    with running_server(package) as server:
        for which in ("--exclude-path-regex", "--include-path-regex"):
            assert_holds(server.url, tmp_path, *options, which, "unload")


@pytest.mark.slow
def test_no_operation_that_asks_for_a_key_can_do_without(package, tmp_path):
    secret = add_key(tmp_path / "keys.txt", "all", list(Scope))
    with running_server(package, f"keys={tmp_path / 'keys.txt'}") as locked:
        bearer = f"Authorization: Bearer {secret}"
        options = ("--phases", "fuzzing", "--checks", "ignored_auth", "-H", bearer, "-H", ENOUGH_TIME)
        assert_holds(locked.url, tmp_path, *options)
