import json
import subprocess

import pytest

from modelpack import environment
from modelpack.environment import SOURCE_PACKAGES, code_version, fingerprint


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the code's layout with one file, as if it were installed there."""
    (tmp_path / "distill").mkdir()
    (tmp_path / "distill/loop.py").write_text("steps = 1\n")
    monkeypatch.setattr(environment, "_ROOT", tmp_path)
    code_version.cache_clear()
    yield tmp_path
    code_version.cache_clear()


def test_a_fingerprint_is_json_and_names_machine_software_and_code():
    result = json.loads(json.dumps(fingerprint(), allow_nan=False))
    assert result["cpu"]["model"]
    assert result["cpu"]["cores"] >= 1
    assert result["memory_bytes"] > 2**28
    assert result["packages"]["numpy"].count(".") >= 1
    assert result["code"] == code_version()


def test_gpus_are_what_nvidia_smi_says(monkeypatch):
    monkeypatch.setattr(environment, "_output", lambda *_: "NVIDIA H200, 143771 MiB, 580.95\nnoise")
    assert environment._gpus() == [{"name": "NVIDIA H200", "memory": "143771 MiB", "driver": "580.95"}]


@pytest.mark.parametrize("command", [("no-such-command",), ("false",), ("sleep", "5")])
def test_a_command_that_is_missing_fails_or_hangs_says_nothing(command, monkeypatch):
    monkeypatch.setattr(environment, "_COMMAND_TIMEOUT_S", 0.05)
    assert environment._output(*command) is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda root: (root / "distill/loop.py").write_text("steps = 2\n"),
        lambda root: (root / "distill/loop.py").rename(root / "distill/pool.py"),
        lambda root: (root / "distill/new.py").touch(),
    ],
    ids=["changed", "renamed", "added"],
)
def test_any_edit_of_the_code_changes_its_version(checkout, edit):
    before = code_version()
    code_version.cache_clear()
    assert code_version() == before
    edit(checkout)
    code_version.cache_clear()
    assert code_version() != before


def test_compiled_files_do_not_change_the_version(checkout):
    before = code_version()
    (checkout / "distill/__pycache__").mkdir()
    (checkout / "distill/__pycache__/loop.pyc").write_bytes(b"x")
    code_version.cache_clear()
    assert code_version() == before


def test_all_stages_count():
    assert set(SOURCE_PACKAGES) == {"modelpack", "distill", "export", "bench", "serve"}


def test_a_checkout_has_a_commit_and_knows_when_it_was_edited(checkout):
    assert environment._git() is None
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(git + command, check=True)
    assert environment._git()["is_dirty"] is False
    assert len(environment._git()["commit"]) == 40
    (checkout / "distill/loop.py").write_text("edited\n")
    assert environment._git()["is_dirty"] is True
