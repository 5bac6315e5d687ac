"""Is the manifest the one that was signed, and by whom?"""

from collections.abc import Sequence

from export.verification.check import PACKAGE, Check, judged, not_run
from modelpack.errors import PackageError
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME, ModelPackage
from modelpack.tables import resolve

CHECK = "signature"
_MODULE = "modelpack.signature"


def check_signature(package: ModelPackage, trusted_keys: Sequence[str]) -> Check:
    """With `trusted_keys` one of them must have signed; without, a signature must at least fit its manifest.

    Raises RuntimeUnavailableError where there is a signature to check and cryptography is not installed.
    """
    if not (package.path / SIGNATURE_NAME).is_file() and not trusted_keys:
        return not_run(CHECK, PACKAGE, "the package is not signed")
    manifest = (package.path / MANIFEST_NAME).read_bytes()
    try:
        if trusted_keys:
            key = resolve(f"{_MODULE}:check_signature")(package.path, manifest, trusted_keys)
            return judged(CHECK, PACKAGE, True, f"signed by {key}, which is trusted")
        signature = resolve(f"{_MODULE}:read_signature")(package.path)
    except PackageError as error:
        return judged(CHECK, PACKAGE, False, str(error))
    if not resolve(f"{_MODULE}:is_signed_by")(signature, manifest):
        said = f"{MANIFEST_NAME} is not what {signature.public_key} signed"
        return judged(CHECK, PACKAGE, False, said)
    said = f"signed by {signature.public_key} (--trusted-key says whom you trust)"
    return judged(CHECK, PACKAGE, True, said)
