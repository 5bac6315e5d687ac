"""A package that asks for a signature opens with the right one alone, and each refusal says which it is."""

import json
import logging
import stat
import subprocess
import sys

import pytest

from modelpack.errors import PackageError, RuntimeUnavailableError, SettingsError, UsageError
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME, ModelPackage
from modelpack.signature import SignatureError, new_key, sign_package
from tests.tiny_package import write_tiny_package

WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None
from modelpack.errors import RuntimeUnavailableError
from modelpack.package import ModelPackage
package = ModelPackage.open(sys.argv[1])
try:
    ModelPackage.open(sys.argv[1], trusted_keys=["ed25519:x"])
except RuntimeUnavailableError as error:
    print(error)
"""


@pytest.fixture
def package(tmp_path):
    return write_tiny_package(tmp_path / "tiny")


@pytest.fixture
def key(tmp_path):
    """(private key file, public key)."""
    return tmp_path / "keys/release", new_key(tmp_path / "keys/release")


@pytest.fixture
def signed(package, key):
    sign_package(package.path, key[0])
    return package


def edit(file, change):
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def test_a_signed_package_opens_and_names_the_key(signed, key):
    assert ModelPackage.open(signed.path, trusted_keys=[key[1]]).signed_by == key[1]


def test_a_trusted_key_may_be_the_file_that_holds_it(signed, key):
    others = "ed25519:" + "A" * 43 + "="
    trusted = [others, f"{key[0]}.pub"]
    assert ModelPackage.open(signed.path, trusted_keys=trusted).signed_by == key[1]


def test_who_asks_for_no_signature_gets_none(signed):
    assert ModelPackage.open(signed.path).signed_by is None


def test_a_package_without_signature_is_refused(package, key):
    with pytest.raises(SignatureError, match=r"is not signed, and trusted_keys asks for it\. Sign it with"):
        ModelPackage.open(package.path, trusted_keys=[key[1]])


def test_another_key_is_refused_and_named(signed, key, tmp_path):
    other = new_key(tmp_path / "other")
    with pytest.raises(SignatureError, match="which is none of the trusted keys") as refusal:
        ModelPackage.open(signed.path, trusted_keys=[other])
    assert key[1] in str(refusal.value)
    assert other in str(refusal.value)


def test_a_changed_manifest_is_refused(signed, key):
    edit(signed.path / MANIFEST_NAME, lambda values: values.update(version="2"))
    with pytest.raises(SignatureError, match=r"manifest\.json was changed after ed25519:.* signed it"):
        ModelPackage.open(signed.path, trusted_keys=[key[1]])


def test_one_space_more_in_the_manifest_is_a_change(signed, key):
    file = signed.path / MANIFEST_NAME
    file.write_text(file.read_text() + " ")
    with pytest.raises(SignatureError, match="was changed after"):
        ModelPackage.open(signed.path, trusted_keys=[key[1]])


def test_a_swapped_artifact_is_refused_also_by_who_asks_for_no_verification(signed, key, tmp_path):
    other = write_tiny_package(tmp_path / "other", num_classes=3)
    signed.artifact_path().write_bytes(other.artifact_path().read_bytes())
    with pytest.raises(PackageError, match=r"model\.fp32\.onnx is damaged"):
        ModelPackage.open(signed.path, trusted_keys=[key[1]], verify=False)


def test_a_signature_of_another_package_does_not_fit(signed, key, tmp_path):
    other = write_tiny_package(tmp_path / "other", name="other")
    (other.path / SIGNATURE_NAME).write_bytes((signed.path / SIGNATURE_NAME).read_bytes())
    with pytest.raises(SignatureError, match="was changed after"):
        ModelPackage.open(other.path, trusted_keys=[key[1]])


def test_a_trusted_name_on_a_forged_signature_is_refused(package, key, tmp_path):
    new_key(tmp_path / "forger")
    sign_package(package.path, tmp_path / "forger")
    edit(package.path / SIGNATURE_NAME, lambda values: values.update(public_key=key[1]))
    with pytest.raises(SignatureError, match="was changed after"):
        ModelPackage.open(package.path, trusted_keys=[key[1]])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"public_key": 1, "signature": ""}', b"\xff"])
def test_a_signature_file_that_is_none_is_refused(signed, key, content):
    (signed.path / SIGNATURE_NAME).write_bytes(content)
    with pytest.raises(SignatureError, match=r"manifest\.sig\.json is no signature"):
        ModelPackage.open(signed.path, trusted_keys=[key[1]])


@pytest.mark.parametrize("text", ["!", "AAAA", ""])
def test_a_signature_that_is_no_base64_of_64_bytes_is_refused(signed, key, text):
    edit(signed.path / SIGNATURE_NAME, lambda values: values.update(signature=text))
    with pytest.raises(SignatureError, match="was changed after"):
        ModelPackage.open(signed.path, trusted_keys=[key[1]])


@pytest.mark.parametrize("wrong", ["ed25519:short", "no-such-file.pub", "ed25519:" + "?" * 43 + "="])
def test_a_trusted_key_that_is_none_is_wrong_use(signed, wrong):
    with pytest.raises(SettingsError, match=r"is no public key|is neither ed25519"):
        ModelPackage.open(signed.path, trusted_keys=[wrong])


def test_a_damaged_package_is_not_signed(package, key):
    package.artifact_path().write_bytes(b"other")
    with pytest.raises(PackageError, match="is damaged"):
        sign_package(package.path, key[0])
    assert not (package.path / SIGNATURE_NAME).exists()


def test_private_keys_are_their_owners_alone_and_never_overwritten(key):
    assert stat.S_IMODE(key[0].stat().st_mode) == 0o600
    content = key[0].read_bytes()
    with pytest.raises(UsageError, match="a key is never overwritten"):
        new_key(key[0])
    assert key[0].read_bytes() == content


def test_a_key_that_others_may_read_does_not_sign(package, key):
    key[0].chmod(0o644)
    with pytest.raises(UsageError, match=r"may be read by others \(mode 0644\)\. Run `chmod 600"):
        sign_package(package.path, key[0])


@pytest.mark.parametrize(
    "content", ["nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_a_key_file_that_is_none_is_refused_without_showing_it(package, tmp_path, content):
    file = tmp_path / "key"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(UsageError, match="is no unencrypted private key in PEM") as refusal:
        sign_package(package.path, file)
    assert content not in str(refusal.value)


def test_nothing_of_a_private_key_is_logged_or_written_into_the_package(package, key, caplog):
    secret = "".join(key[0].read_text().splitlines()[1:-1])
    with caplog.at_level(logging.DEBUG):
        sign_package(package.path, key[0])
    assert secret not in caplog.text
    assert all(secret.encode() not in file.read_bytes() for file in package.path.rglob("*") if file.is_file())


def test_without_cryptography_only_who_asks_for_signatures_hears_of_it(package):
    command = [sys.executable, "-c", WITHOUT_CRYPTOGRAPHY, str(package.path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("signatures need the package cryptography")
    assert "Install afdcd[sign]" in said


def test_the_error_tree_gives_each_refusal_an_exit_code():
    assert issubclass(SignatureError, PackageError)
    assert (SignatureError.exit_code, RuntimeUnavailableError.exit_code, UsageError.exit_code) == (1, 1, 2)
