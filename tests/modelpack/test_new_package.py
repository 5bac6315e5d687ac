import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from modelpack.errors import PackageError
from modelpack.package import ModelPackage, new_package
from tests.tiny_package import write_tiny_package

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path):
    return write_tiny_package(tmp_path / "tiny")


def test_samples_come_back_as_they_were_added(tmp_path):
    mask_hw = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with new_package(tmp_path / "p") as writer:
        add_graph(writer)
        writer.add_sample(b"first", ".jpg", mask_hw)
        writer.add_sample(b"second", ".png", mask_hw + 1)
        writer.write_manifest(**manifest_fields())
    stored = list(ModelPackage.open(tmp_path / "p").samples())
    assert [image for _, image, _ in stored] == [b"first", b"second"]
    assert [Path(sample.image).suffix for sample, _, _ in stored] == [".jpg", ".png"]
    assert np.array_equal(stored[1][2], mask_hw + 1)


def test_an_exception_while_writing_leaves_nothing(tmp_path):
    def fail(writer):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(tmp_path / "p", before_the_end=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_package_without_a_manifest_is_not_kept(tmp_path):
    with (
        pytest.raises(PackageError, match="was left without a manifest"),
        new_package(tmp_path / "p") as writer,
    ):
        writer.write_text("README.md", "no manifest")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_after_it_was_added_is_not_kept(tmp_path):
    def spoil(writer):
        (writer.folder / "m.onnx").write_bytes(b"other")

    with pytest.raises(PackageError, match=r"m\.onnx is damaged"):
        write(tmp_path / "p", before_the_end=spoil)
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_must_have_been_written(tmp_path):
    with (
        pytest.raises(PackageError, match=r"artifact 'a': m\.onnx was not written"),
        new_package(tmp_path / "p") as new,
    ):
        new.add_artifact("a", "m.onnx", kind="onnx", precision="fp32")


def test_a_taken_path_is_refused_and_says_how_to_replace(package):
    with (
        pytest.raises(
            PackageError, match=r"exists\. Choose another folder, or set replace=true to replace it\."
        ),
        new_package(package.path),
    ):
        pass


def test_a_path_that_is_taken_meanwhile_is_not_overwritten(tmp_path):
    with pytest.raises(PackageError, match="exists"):
        write(tmp_path / "p", before_the_end=lambda _: write_tiny_package(tmp_path / "p"))
    assert ModelPackage.open(tmp_path / "p").manifest.name == "tiny"


def test_replace_swaps_the_package_and_leaves_nothing_else(package):
    with new_package(package.path, replace=True) as writer:
        assert ModelPackage.open(package.path).manifest == package.manifest
        add_graph(writer)
        writer.write_manifest(**manifest_fields(name="second"))
    assert ModelPackage.open(package.path).manifest.name == "second"
    assert list(package.path.parent.iterdir()) == [package.path]


def test_replace_never_touches_a_folder_that_is_no_package(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"dear")
    with (
        pytest.raises(PackageError, match="exists and is no model package, so it is not replaced"),
        new_package(tmp_path / "photos", replace=True),
    ):
        pass
    assert (tmp_path / "photos/a.jpg").exists()


@pytest.mark.parametrize("replace", [False, True])
def test_a_killed_writer_leaves_the_path_as_it_was_and_the_next_one_cleans_up(tmp_path, replace):
    path = tmp_path / "p"
    if replace:
        write_tiny_package(path)
    killed = subprocess.Popen(
        [sys.executable, "-c", WRITER_THAT_HANGS, str(path), str(int(replace))],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert killed.stdout.readline() == b"everything is written but the last rename\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (leftover,) = tmp_path.glob(".p.staging.*")
    if replace:
        assert ModelPackage.open(path).manifest.name == "tiny"
    else:
        assert not path.exists()

    with new_package(path, replace=replace) as writer:
        assert not leftover.exists()
        add_graph(writer)
        writer.write_manifest(**manifest_fields(name="second"))
    assert list(tmp_path.iterdir()) == [path]


def write(path, before_the_end=lambda writer: None):
    with new_package(path) as writer:
        add_graph(writer)
        writer.write_manifest(**manifest_fields())
        before_the_end(writer)


def add_graph(writer):
    (writer.folder / "m.onnx").write_bytes(b"graph")
    writer.add_artifact("onnx-fp32", "m.onnx", kind="onnx", precision="fp32")


WRITER_THAT_HANGS = """
import sys, time
from modelpack.package import new_package
from tests.modelpack.test_new_package import add_graph, manifest_fields

with new_package(sys.argv[1], replace=sys.argv[2] == "1") as writer:
    add_graph(writer)
    writer.write_manifest(**manifest_fields())
    print("everything is written but the last rename", flush=True)
    time.sleep(60)
"""


def manifest_fields(name="first"):
    return {
        "name": name,
        "labels": {"names": ["a"], "palette": [[0, 0, 0]]},
        "normalisation": {},
        "resizing": {},
        "inputs": [],
        "outputs": [],
    }
