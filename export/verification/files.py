"""Is every file the one that the manifest names?"""

from collections.abc import Iterator

from export.verification.check import PACKAGE, Check, judged
from modelpack.errors import PackageError
from modelpack.package import ModelPackage

CHECK = "file"


def check_files(package: ModelPackage) -> Iterator[Check]:
    """Size and sha256 of every artifact, and of the samples together."""
    for artifact in package.manifest.artifacts:
        try:
            package.check_artifact(artifact)
        except PackageError as error:
            yield judged(CHECK, artifact.name, False, str(error))
        else:
            found = f"{artifact.size_bytes} bytes, sha256 {artifact.sha256[:16]}"
            yield judged(CHECK, artifact.name, True, found)
    samples = package.manifest.samples
    try:
        for sample in samples:
            package.check_sample(sample)
    except PackageError as error:
        yield judged(CHECK, PACKAGE, False, str(error))
    else:
        yield judged(CHECK, PACKAGE, True, f"{len(samples)} samples with their masks")
