import hashlib
import json
import os

import pytest

from modelpack.atomic import sha256_file, write_bytes, write_json, write_text, write_with


def test_a_failing_writer_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "result.json"
    write_text(path, "old")

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_with(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    path = tmp_path / "f"
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, path.exists()))
    )
    write_text(path, "new")
    assert synced == [(path.stat().st_ino, False)]


def test_folders_on_the_way_are_made(tmp_path):
    write_bytes(tmp_path / "a/b/c.bin", b"x")
    assert (tmp_path / "a/b/c.bin").read_bytes() == b"x"


def test_json_keeps_the_order_of_keys_and_readable_letters(tmp_path):
    write_json(tmp_path / "r.json", {"z": "ä", "a": tmp_path})
    text = (tmp_path / "r.json").read_text()
    assert list(json.loads(text)) == ["z", "a"]
    assert '"ä"' in text
    assert text.endswith("}\n")


def test_sha256_is_that_of_the_whole_content(tmp_path):
    content = bytes(range(256)) * 5000
    write_bytes(tmp_path / "f", content)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(content).hexdigest()
