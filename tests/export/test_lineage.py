"""From a served mask back to settings, data, teacher and code, by the commands of docs/lineage.md."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from afdcd.__main__ import STAGES
from distill.data_list import list_data
from distill.run import TrainingRun
from distill.weights import STUDENT_FILE
from export.lineage import describe_lineage, hash_weights
from modelpack.atomic import sha256_file
from modelpack.command import run
from modelpack.tables import resolve
from tests.serve.conftest import running_server

DOCUMENT = Path(__file__).parents[2] / "docs/lineage.md"
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


class Walk:
    """Runs the document's commands, on names of this machine in place of the document's."""

    def __init__(self, folder: Path, package: Path, training_run: Path, url: str) -> None:
        self.folder = folder
        self.names = {"PACKAGE": str(package), "RUN": str(training_run), "http://127.0.0.1:8000": url}

    def run(self, line: str, capfd: pytest.CaptureFixture[str]) -> str:
        """What the command prints; it must succeed."""
        for name, here in self.names.items():
            line = line.replace(name, here)
        command, *words = shlex.split(line)
        if command != "afdcd":
            done = subprocess.run(
                [command, *words], cwd=self.folder, capture_output=True, text=True, check=True
            )
            return done.stdout
        capfd.readouterr()
        assert run(resolve(STAGES[words[0]][0]), words[1:], "afdcd") == 0, capfd.readouterr().err
        return capfd.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of_the_walk_leads_to_the_next(package, tiny_run, tmp_path, capfd, monkeypatch):
    copy = shutil.copytree(package.path, tmp_path / "package")
    shutil.copy(copy / package.manifest.samples[0].image, tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    start, request, *rest = COMMANDS
    assert start == "afdcd serve start PACKAGE"
    with running_server(copy) as server:
        walk = Walk(tmp_path, copy, tiny_run, server.url)
        header = re.search(r"^x-model: (.+?)\s*$", walk.run(request, capfd), re.MULTILINE | re.IGNORECASE)[1]
    assert (tmp_path / "mask.png").is_file()
    said = {line: walk.run(line, capfd) for line in rest}
    manifest_sha256 = said["sha256sum PACKAGE/manifest.json"].split()[0]
    assert header.endswith(f";sha256={manifest_sha256}")
    shown = said["afdcd export inspect PACKAGE"]
    assert f"sha256 {manifest_sha256}" in shown
    weights = re.search(r"^weights file +sha256 (\w+)$", shown, re.MULTILINE)[1]
    assert said["sha256sum RUN/student.safetensors"].split()[0] == weights
    whole = json.loads(said["afdcd export inspect PACKAGE --json"].splitlines()[-1])
    settings = json.loads(said["cat RUN/settings.json"])
    assert whole["lineage"]["run"]["settings"]["data"].items() >= settings["data"].items()
    assert "0 failed" in said["afdcd export verify PACKAGE --full"]
    assert "which is trusted" in said["afdcd export verify PACKAGE --trusted-key release.key.pub"]


def test_the_data_is_hashed_split_by_split(package, tiny_run):
    dataset = package.manifest.lineage["dataset"]
    expected = list_data(TrainingRun.open(tiny_run).config.data)
    assert dataset["sha256"] == {split: entry.sha256 for split, entry in expected.items()}
    assert set(dataset["sha256"]) == {"train", "val", "test"}


def test_weights_and_their_file_are_both_hashed(package, tiny_run):
    assert package.manifest.lineage["weights_file_sha256"] == sha256_file(tiny_run / STUDENT_FILE)


@pytest.fixture
def taught(tiny_run, tmp_path):
    """A run folder that names a teacher, and what its result noted of it."""

    def make(checkpoint, noted):
        folder = shutil.copytree(tiny_run, tmp_path / "taught")
        settings = json.loads((folder / "settings.json").read_text())
        settings["teacher"] = {"network": "tiny", "checkpoint": str(checkpoint)}
        (folder / "settings.json").write_text(json.dumps(settings))
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**result, "teacher": noted}))
        return TrainingRun.open(folder)

    return make


@pytest.mark.parametrize(
    ("exists", "noted", "expected"),
    [
        (True, {"weights_sha256": "noted"}, "noted"),
        (True, {}, "of the file"),
        (True, None, "of the file"),
        (False, {}, None),
    ],
    ids=["noted by the run", "found at the export", "a run without a note", "gone"],
)
def test_the_teacher_is_named_by_the_hash_of_its_weights(taught, tiny_run, tmp_path, exists, noted, expected):
    from distill.run import load_student
    from export.config import ExportConfig

    checkpoint = tiny_run if exists else tmp_path / "gone"
    training_run = taught(checkpoint, noted)
    config = ExportConfig(run_dir=training_run.folder, package_dir=tmp_path / "package")
    network = load_student(training_run)
    lineage = describe_lineage(training_run, training_run.config.data, network, config)
    if expected == "of the file":
        expected = sha256_file(tiny_run / STUDENT_FILE)
    assert lineage["teacher"]["weights_file_sha256"] == expected
    assert lineage["weights_sha256"] == hash_weights(network)
