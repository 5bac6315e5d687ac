"""A chain runs what is new, skips what is done, and goes on with what was interrupted."""

from pathlib import Path

import pytest

from afdcd.ledger import Ledger, Stage
from modelpack.errors import CheckpointError


class Work:
    """Writes its output and counts how often it was asked to."""

    def __init__(self, path: Path) -> None:
        self.path, self.times = path, 0

    def __call__(self) -> None:
        self.times += 1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(f"run {self.times}")


def stage(work: Work, name: str = "train", **over: object) -> Stage:
    values = {"settings": {"lr": 0.1}, "packages": (), "needs": (), "resumes": False} | over
    return Stage(name=name, work=work, outputs=(work.path,), **values)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "out")


def run(tmp_path: Path, *stages: Stage, **options: bool) -> None:
    Ledger(tmp_path / "chain.json", **options).run(stages)


def test_a_finished_stage_is_skipped(tmp_path: Path, work: Work):
    run(tmp_path, stage(work))
    run(tmp_path, stage(work))
    assert work.times == 1


def test_other_settings_run_the_stage_again_and_keep_the_old_result_aside(tmp_path: Path, work: Work):
    run(tmp_path, stage(work))
    run(tmp_path, stage(work, settings={"lr": 0.2}))
    assert work.times == 2
    assert [path.read_text() for path in (tmp_path / "stale").glob("*/out")] == ["run 1"]


def test_a_lost_output_is_made_again(tmp_path: Path, work: Work):
    run(tmp_path, stage(work))
    work.path.unlink()
    run(tmp_path, stage(work))
    assert work.times == 2


def test_a_change_upstream_runs_everything_below_again(tmp_path: Path, work: Work):
    below = Work(tmp_path / "below")
    for lr in (0.1, 0.2):
        run(tmp_path, stage(work, settings={"lr": lr}), stage(below, "export", needs=("train",)))
    assert below.times == 2


def test_other_code_runs_the_stage_again_unless_it_is_accepted(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
):
    run(tmp_path, stage(work, packages=("modelpack",)))
    monkeypatch.setattr("afdcd.ledger.code_version", lambda packages: "other")
    run(tmp_path, stage(work, packages=("modelpack",)), accepts_other_code=True)
    assert work.times == 1
    run(tmp_path, stage(work, packages=("modelpack",)))
    assert work.times == 2


def test_a_result_that_moves_aside_is_said_with_the_reason(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    run(tmp_path, stage(work, packages=("modelpack",)))
    run(tmp_path, stage(work, packages=("modelpack",), settings={"lr": 0.2}))
    assert "train: its settings or inputs have changed; what was there is now in" in caplog.text
    monkeypatch.setattr("afdcd.ledger.code_version", lambda packages: "other")
    run(tmp_path, stage(work, packages=("modelpack",), settings={"lr": 0.2}))
    assert "train: the code has changed (--accept-other-code keeps finished results); what" in caplog.text


def test_a_damaged_record_is_one_sentence(tmp_path: Path, work: Work):
    (tmp_path / "chain.json").write_text('{"train": ')
    with pytest.raises(
        CheckpointError, match=r"chain\.json is damaged .* Remove it: finished trainings are kept"
    ):
        run(tmp_path, stage(work))


def test_an_interrupted_stage_that_resumes_finds_what_it_left(tmp_path: Path):
    folder = tmp_path / "run"
    found = []

    def interrupted() -> None:
        found.append(folder.exists())
        folder.mkdir(exist_ok=True)
        if len(found) == 1:
            raise KeyboardInterrupt

    resuming = Stage("train", interrupted, (folder,), settings={}, resumes=True)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, resuming)
    run(tmp_path, resuming)
    assert found == [False, True]


def test_a_stage_without_resume_starts_anew_after_an_interruption(tmp_path: Path):
    half = tmp_path / "half"
    found = []

    def interrupted() -> None:
        found.append(half.exists())
        half.write_text("half")
        if len(found) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Stage("export", interrupted, (half,), settings={}))
    run(tmp_path, Stage("export", interrupted, (half,), settings={}))
    assert found == [False, False]
