"""Does the manifest say how good each artifact is?"""

from export.verification.check import Check, judged, not_run
from modelpack.manifest import Artifact, Manifest

CHECK = "claims"
DUE = ("miou", "agreement")


def check_claims(manifest: Manifest, artifact: Artifact) -> Check:
    """Every figure of `DUE`; none for an artifact that was never run."""
    claimed = {claim.name: claim for claim in manifest.claims if claim.artifact == artifact.name}
    if not artifact.is_verified:
        if claimed:
            return judged(CHECK, artifact.name, False, "claims of an artifact that was never run")
        return not_run(CHECK, artifact.name, "the machine that built it could not run it")
    missing = [name for name in DUE if name not in claimed]
    if missing:
        return judged(CHECK, artifact.name, False, f"no claim of its {' and '.join(missing)}")
    figures = ", ".join(f"{name} {claimed[name].value:.5f}" for name in DUE)
    return judged(CHECK, artifact.name, True, figures)
