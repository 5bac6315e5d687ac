import os

import pytest

from modelpack.staging import staged_folder

DEAD_PID = 2**22 + 1  # above Linux's largest pid


def fill(target):
    with staged_folder(target) as folder:
        (folder / "file").write_text("new")


def test_the_target_appears_only_at_the_end(tmp_path):
    with staged_folder(tmp_path / "a/target") as folder:
        (folder / "file").write_text("new")
        assert not (tmp_path / "a/target").exists()
    assert (tmp_path / "a/target/file").read_text() == "new"


def test_every_file_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    target = tmp_path / "target"
    synced = {}
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.setdefault(os.fstat(descriptor).st_ino, target.exists())
    )
    with staged_folder(target) as folder:
        (folder / "a/b").mkdir(parents=True)
        (folder / "a/b/file").write_text("new")
    content = [target, *target.rglob("*")]
    assert [synced[path.stat().st_ino] for path in content] == [False] * 4
    assert synced[tmp_path.stat().st_ino] is True


def test_a_folder_moved_aside_by_a_killed_swap_is_put_back(tmp_path):
    aside = tmp_path / f".target.old.{DEAD_PID}.0"
    aside.mkdir()
    (aside / "file").write_text("old")
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "target"):
        raise RuntimeError
    assert (tmp_path / "target/file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "target"]


def test_leftovers_of_dead_processes_go_and_those_of_the_living_stay(tmp_path):
    dead, earlier_with_our_pid, living, other_target = (
        tmp_path / name
        for name in (
            f".target.staging.{DEAD_PID}.0",
            f".target.staging.{os.getpid()}.999999",
            f".target.staging.{os.getppid()}.0",
            f".target2.staging.{DEAD_PID}.0",
        )
    )
    for folder in (dead, earlier_with_our_pid, living, other_target):
        folder.mkdir()
    fill(tmp_path / "target")
    assert sorted(tmp_path.iterdir()) == sorted([living, other_target, tmp_path / "target"])


def test_two_writers_in_one_process_do_not_disturb_each_other(tmp_path):
    with staged_folder(tmp_path / "target") as first:
        (first / "file").write_text("first")
        fill(tmp_path / "target")
    assert (tmp_path / "target/file").read_text() == "first"
    assert list(tmp_path.iterdir()) == [tmp_path / "target"]
