"""Does an artifact compute in the type that it claims?"""

from export.precision.artifact import prove_artifact
from export.precision.proof import PrecisionProof
from export.verification.check import Check, judged, not_run
from modelpack.errors import SegError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage

CHECK = "precision"


def check_precision(package: ModelPackage, artifact: Artifact) -> Check:
    """Walked anew in an ONNX file; of a plan there is only what its build wrote down."""
    try:
        proof = prove_artifact(package.artifact_path(artifact.name), artifact)
    except SegError as error:
        return judged(CHECK, artifact.name, False, str(error))
    found = describe_proof(proof)
    if artifact.kind == "onnx":
        return judged(CHECK, artifact.name, True, found)
    return not_run(CHECK, artifact.name, f"a plan cannot be read back; its build noted {found}")


def describe_proof(proof: PrecisionProof) -> str:
    """As in `54 of 56 convolutions and products in int8, 2 kept in fp32 (ONNX graph)`."""
    kinds = ", ".join(sorted(set(proof.kept.values())))
    kept = f", {len(proof.kept)} kept in {kinds}" if proof.kept else ""
    return (
        f"{proof.in_claimed} of {proof.nodes} convolutions and products in {proof.claimed}{kept} "
        f"({proof.established})"
    )
