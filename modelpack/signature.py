"""Signed packages: an Ed25519 signature over the bytes of the manifest, which carry the sha256 of the rest.

Public keys are written as `ed25519:BASE64`; private ones are PKCS #8 PEM files that only their owner may
read.
"""

import base64
import binascii
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from modelpack.atomic import write_json, write_text
from modelpack.errors import PackageError, RuntimeUnavailableError, SettingsError, UsageError
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME, ModelPackage
from modelpack.settings import StrictModel

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError as _error:
    raise RuntimeUnavailableError(
        f"signatures need the package cryptography, which cannot be imported ({_error}). "
        "Install afdcd[sign] (pip install cryptography)."
    ) from _error

PUBLIC_SUFFIX = ".pub"
_PREFIX = "ed25519:"
_PUBLIC = re.compile(rf"{_PREFIX}[A-Za-z0-9+/]{{43}}=")
_OWNER_ONLY = 0o600


class SignatureError(PackageError):
    """A package that is not what a trusted key signed."""


class Signature(StrictModel):
    """`manifest.sig.json`, beside the manifest."""

    format_version: Literal[1] = 1
    public_key: str
    """`ed25519:BASE64` of the key that signed."""
    signature: str
    """Base64 of 64 bytes."""


def new_key(file: Path) -> str:
    """Write a new private key to `file` and its public half to `file`.pub; gives the public half.

    Raises UsageError where one of the two exists: a key is never overwritten.
    """
    public_file = file.with_name(file.name + PUBLIC_SUFFIX)
    for taken in (file, public_file):
        if taken.exists():
            raise UsageError(f"{taken} exists, and a key is never overwritten. Choose another name.")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as private:
        private.write(pem)
    public = public_text(key.public_key())
    write_text(public_file, f"{public}\n")
    return public


def sign_package(folder: Path, key_file: Path) -> Signature:
    """Sign a package whose files are all as its manifest says; replaces an earlier signature.

    Raises PackageError for a package that is damaged, UsageError for a key file that is none or that others
    than its owner may read.
    """
    key = _read_private(key_file)
    ModelPackage.open(folder)
    signed = key.sign((folder / MANIFEST_NAME).read_bytes())
    signature = Signature(
        public_key=public_text(key.public_key()), signature=base64.b64encode(signed).decode()
    )
    write_json(folder / SIGNATURE_NAME, signature.model_dump(mode="json"))
    return signature


def check_signature(folder: Path, manifest: bytes, trusted_keys: Sequence[str]) -> str:
    """The trusted key that signed these bytes of `folder`'s manifest.

    `trusted_keys` are public keys, or files that hold one. Raises SignatureError where there is no signature,
    one by another key, or one over other bytes; SettingsError for a key that is none.
    """
    trusted = [read_public(key) for key in trusted_keys]
    signature = read_signature(folder)
    if signature is None:
        raise SignatureError(
            f"package {folder} is not signed, and trusted_keys asks for it. Sign it with `afdcd export sign "
            f"{folder} --key FILE`, or leave trusted_keys out."
        )
    if signature.public_key not in trusted:
        raise SignatureError(
            f"package {folder} is signed by {signature.public_key}, which is none of the trusted keys "
            f"({', '.join(trusted)}). Do not use it unless you know that key; then add it to trusted_keys."
        )
    if not is_signed_by(signature, manifest):
        raise SignatureError(
            f"package {folder}: {MANIFEST_NAME} was changed after {signature.public_key} signed it. "
            "Do not use this package; copy it again from where it was signed."
        )
    return signature.public_key


def read_signature(folder: Path) -> Signature | None:
    """None for a package without one; raises SignatureError for a file that is none."""
    file = folder / SIGNATURE_NAME
    if not file.is_file():
        return None
    try:
        return Signature.model_validate_json(file.read_bytes())
    except ValueError as error:
        raise SignatureError(
            f"{file} is no signature ({str(error).splitlines()[0]}). Sign the package again."
        ) from error


def is_signed_by(signature: Signature, manifest: bytes) -> bool:
    """Whether the signature is that of its own key over these bytes; whom to trust is another question."""
    try:
        signed = base64.b64decode(signature.signature, validate=True)
        _public_key(signature.public_key).verify(signed, manifest)
    except (InvalidSignature, SettingsError, binascii.Error):
        return False
    return True


def read_public(key: str) -> str:
    """`ed25519:BASE64` as it is, or from the file of that name. Raises SettingsError for anything else."""
    text = key.strip()
    if not text.startswith(_PREFIX):
        try:
            text = Path(key).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"trusted key {key!r} is neither {_PREFIX}BASE64 nor a file that holds it ({error})."
            ) from error
    _public_key(text)
    return text


def public_text(key: Ed25519PublicKey) -> str:
    return _PREFIX + base64.b64encode(key.public_bytes_raw()).decode()


def _public_key(text: str) -> Ed25519PublicKey:
    if not _PUBLIC.fullmatch(text):
        raise SettingsError(
            f"{text[:60]!r} is no public key; one is {_PREFIX} and 44 characters of base64, as `afdcd export "
            f"keygen` writes it to FILE{PUBLIC_SUFFIX}."
        )
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix(_PREFIX)))


def _read_private(file: Path) -> Ed25519PrivateKey:
    """The key; no message holds a byte of the file."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & ~_OWNER_ONLY:
            raise UsageError(
                f"key {file} may be read by others (mode {mode:04o}). Run `chmod 600 {file}`, or make "
                "another if it lay open."
            )
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"key {file} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"key {file} is no unencrypted private key in PEM. Make one with `afdcd export keygen FILE`."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"key {file} is not Ed25519. Make one with `afdcd export keygen FILE`.")
    return key
