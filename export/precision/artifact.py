"""Prove the precision of a file in a package, from the file itself wherever it can be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data

from export.precision.onnx_graph import prove_onnx
from export.precision.proof import Precision, PrecisionError, PrecisionProof
from modelpack.errors import PackageError
from modelpack.manifest import Artifact

Kind = Literal["onnx", "tensorrt"]

PROOF, KEPT = "precision_proof", "kept_float32"
"""Keys of `Artifact.details`: the proof, and the names of nodes that stay in float32 on purpose."""


def prove_artifact(path: Path, artifact: Artifact) -> PrecisionProof:
    """Walk an ONNX file. A plan cannot be read back: take the proof of the network that it was built from.

    Raises PrecisionError where the claim does not hold or a plan brings no proof, PackageError for a file
    that is no ONNX graph.
    """
    return prove(artifact.name, path, artifact.kind, artifact.precision, artifact.details)


def prove(
    stage: str, path: Path, kind: Kind, claimed: Precision, details: Mapping[str, Any]
) -> PrecisionProof:
    """The same for a file that is not in a package yet; errors name `stage`."""
    proof = read_proof(stage, path, kind, claimed, details)
    proof.check(stage)
    return proof


def read_proof(
    stage: str, path: Path, kind: Kind, claimed: Precision, details: Mapping[str, Any]
) -> PrecisionProof:
    """The same, whatever it proves; raises PrecisionError only where there is nothing to read."""
    if kind == "onnx":
        try:
            model = onnx.load(path, load_external_data=False)
            _check_is_whole(path, model)
            return prove_onnx(model, claimed, details.get(KEPT, ()))
        except (DecodeError, ValueError, onnx.shape_inference.InferenceError) as error:
            raise PackageError(f"{path} cannot be loaded, it is no whole ONNX graph: {error}") from error
    if PROOF not in details:
        raise PrecisionError(
            stage, f"{stage} is refused: a {kind} artifact must bring {PROOF} from its build, it brings none."
        )
    proof = PrecisionProof.model_validate(details[PROOF])
    if proof.claimed != claimed:
        raise PrecisionError(
            stage, f"{stage} is refused: it claims {claimed}, its proof is of {proof.claimed}."
        )
    return proof


def _check_is_whole(path: Path, model: onnx.ModelProto) -> None:
    """A package vouches for files that it lists, and for no others beside them."""
    outside = [entry.name for entry in model.graph.initializer if uses_external_data(entry)]
    if outside:
        raise PackageError(
            f"{path} keeps {len(outside)} of its constants in other files, first {outside[0]}. "
            "Save them inside."
        )
