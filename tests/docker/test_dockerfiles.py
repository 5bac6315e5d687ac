"""No Docker engine is needed: what an image is made of is read from its Dockerfile."""

import re
import shlex
import tomllib

import pytest
import yaml

from tests.docker.dockerfile import REPOSITORY, arguments_of, copied, exec_form, read_dockerfile

DOCKERFILES = sorted(path.name for path in (REPOSITORY / "docker").glob("Dockerfile.*"))
SERVING = ["Dockerfile.serve", "Dockerfile.serve-gpu"]
COMPOSE = yaml.safe_load((REPOSITORY / "docker/compose.yaml").read_text())


def test_there_is_an_image_to_train_and_two_to_serve():
    assert DOCKERFILES == ["Dockerfile.serve", "Dockerfile.serve-gpu", "Dockerfile.train"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_process_is_no_root(name):
    keywords = [keyword for keyword, _ in read_dockerfile(name)]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", arguments_of(name, "USER")[-1])
    assert keywords.index("USER") > max(i for i, keyword in enumerate(keywords) if keyword == "RUN")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_command_is_the_first_process_and_gets_signals_itself(name):
    assert exec_form(name, "ENTRYPOINT")[0] == "afdcd"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_everything_installed_is_pinned_and_every_extra_exists(name):
    installs = [shlex.split(line) for line in arguments_of(name, "RUN") if line.startswith("pip install")]
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for words in installs:
        assert words[2:4] == ["--constraint", "constraints.txt"]
        asked_for = next(word for word in words if word.startswith(".["))
        assert set(asked_for[2:-1].split(",")) <= set(extras)
    assert len(installs) == 1


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_base_image_names_its_python_and_system(name):
    assert arguments_of(name, "FROM") == ["python:3.11-slim-bookworm"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_is_let_through_by_dockerignore(name):
    rules = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for source in copied(name):
        assert (REPOSITORY / source).exists(), source
        assert f"!{source}" in rules


@pytest.mark.parametrize("name", SERVING)
def test_health_is_readiness_at_the_port_that_is_served(name):
    check, entry = exec_form(name, "HEALTHCHECK"), exec_form(name, "ENTRYPOINT")
    port = entry[entry.index("--port") + 1]
    assert f"http://127.0.0.1:{port}/readyz" in check[-1]
    assert arguments_of(name, "EXPOSE") == [port]


@pytest.mark.parametrize("name", SERVING)
def test_a_serving_image_holds_no_training_code(name):
    assert set(copied(name)).isdisjoint({"distill", "export", "bench"})


def test_the_gpu_image_never_serves_from_the_cpu_unnoticed():
    assert "device=cuda" in exec_form("Dockerfile.serve-gpu", "ENTRYPOINT")


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_compose_builds_each_service_from_its_dockerfile(service):
    build = COMPOSE["services"][service]["build"]
    assert build == {"context": "..", "dockerfile": f"docker/Dockerfile.{service}"}


@pytest.mark.parametrize("service", ["serve", "serve-gpu"])
def test_compose_mounts_the_package_read_only_and_drops_all_rights(service):
    settings = COMPOSE["services"][service]
    assert [volume.rpartition("}")[2] for volume in settings["volumes"]] == [":/package:ro"]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
