import json

import pytest

from modelpack.errors import PackageError, UnknownNameError
from modelpack.package import MANIFEST_NAME, ModelPackage
from tests.tiny_package import write_tiny_package


@pytest.fixture
def package(tmp_path):
    return write_tiny_package(tmp_path / "tiny")


def edit_manifest(package, change):
    file = package.path / MANIFEST_NAME
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def test_what_was_written_is_what_opens(package):
    again = ModelPackage.open(str(package.path))
    assert again.manifest == package.manifest
    assert again.artifact_path("onnx-fp32").read_bytes()[:2] == b"\x08\x09"  # ir_version 9


def test_the_first_artifact_is_the_default_and_a_wrong_name_gets_the_list(package):
    assert package.artifact() == package.artifact("onnx-fp32")
    with pytest.raises(UnknownNameError, match=r"unknown artifact 'onnx-fp16'\. Did you mean 'onnx-fp32'"):
        package.artifact("onnx-fp16")


@pytest.mark.parametrize("file", ["model.fp32.onnx", "samples/000-image.png", "samples/001-mask.png"])
def test_one_changed_byte_is_found_and_the_file_named(package, file):
    path = package.path / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        PackageError, match=rf"{file} is damaged: its sha256 is .* Copy the package again, or build it"
    ):
        ModelPackage.open(package.path)


def test_a_cut_file_is_found_by_its_size(package):
    path = package.artifact_path()
    path.write_bytes(path.read_bytes()[:-1])
    size = package.artifact().size_bytes
    with pytest.raises(PackageError, match=f"it has {size - 1} bytes, the manifest says {size}"):
        ModelPackage.open(package.path)


def test_a_missing_file_is_named_even_without_verification(package):
    package.artifact_path().unlink()
    with pytest.raises(PackageError, match=r"model\.fp32\.onnx is missing\. Copy the package again"):
        ModelPackage.open(package.path, verify=False)


def test_without_verification_content_is_not_read(package):
    package.artifact_path().write_bytes(b"other")
    assert ModelPackage.open(package.path, verify=False).manifest == package.manifest


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "samples/../../secret"])
def test_a_path_that_leaves_the_folder_is_refused(package, path):
    (package.path.parent / "secret").write_text("x")
    edit_manifest(package, lambda values: values["artifacts"][0].update(path=path))
    with pytest.raises(PackageError, match=r"leaves the folder\. Do not use this package"):
        ModelPackage.open(package.path, verify=False)


def test_a_link_that_leaves_the_folder_is_refused(package):
    outside = package.path.parent / "outside.onnx"
    package.artifact_path().rename(outside)
    package.artifact_path().symlink_to(outside)
    with pytest.raises(PackageError, match="leaves the folder"):
        ModelPackage.open(package.path)


def test_an_unknown_format_version_says_which_one_is_read(package):
    edit_manifest(package, lambda values: values.update(format_version=99))
    with pytest.raises(PackageError, match=r"has format_version 99, this version of afdcd reads 1\."):
        ModelPackage.open(package.path)


def test_a_damaged_manifest_names_the_key(package):
    edit_manifest(package, lambda values: values.pop("labels"))
    with pytest.raises(PackageError, match=r"manifest\.json: labels is required\."):
        ModelPackage.open(package.path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_none_is_a_package_error(package, content):
    (package.path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(PackageError, match=r"manifest\.json"):
        ModelPackage.open(package.path)


def test_a_folder_that_is_no_package_says_what_is_missing(tmp_path):
    with pytest.raises(PackageError, match=r"is no model package: it holds no manifest\.json"):
        ModelPackage.open(tmp_path)
    with pytest.raises(
        PackageError, match=r"there is no model package at .* `afdcd export build RECIPE` makes one"
    ):
        ModelPackage.open(tmp_path / "none")
