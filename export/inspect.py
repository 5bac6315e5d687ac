"""What is in a package and where it came from, for a person in a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from export.precision.artifact import KEPT, PROOF
from export.precision.proof import PrecisionProof
from export.verification.precision import describe_proof
from modelpack.manifest import Artifact, Claim, Manifest, TensorSpec
from modelpack.package import SIGNATURE_NAME, ModelPackage

LABEL_WIDTH = 14
_ITEMS_SHOWN = 5
_MIB = 1 << 20
_OWN_LINES = {PROOF, KEPT, "not_run", "opset", "rule", "parity", "versions"}
"""Details that are told in other words, or at length in `reports/`."""


def describe(package: ModelPackage) -> str:
    """Plain text: the model, then each artifact with its claims, then the lineage."""
    manifest = package.manifest
    resizing = manifest.resizing
    is_signed = (package.path / SIGNATURE_NAME).is_file()
    lines = [
        f"{package.path}: {manifest.name} version {manifest.version}, made {manifest.created}",
        _line("manifest", f"sha256 {package.manifest_sha256}{', signed' if is_signed else ', not signed'}"),
        _line("classes", f"{manifest.labels.num_classes}: {', '.join(manifest.labels.names)}"),
        *(_line("input", _tensor(tensor)) for tensor in manifest.inputs),
        *(_line("output", _tensor(tensor)) for tensor in manifest.outputs),
        _line(
            "size",
            f"{resizing.height}x{resizing.width} (height x width), {resizing.filter}"
            if resizing.height
            else "any",
        ),
        _line("samples", str(len(manifest.samples))),
        *(_line("claim", _claim(claim)) for claim in manifest.claims if claim.artifact == "reference"),
    ]
    for artifact in manifest.artifacts:
        lines += ["", *_artifact(manifest, artifact)]
    return "\n".join([*lines, "", *(_line(key, text) for key, text in _lineage(manifest.lineage))])


def _line(label: str, text: str) -> str:
    return f"{label:<{LABEL_WIDTH - 1}} {text}"


def _tensor(tensor: TensorSpec) -> str:
    return f"{tensor.name} {tensor.dtype} ({', '.join(map(str, tensor.shape))})"


def _claim(claim: Claim) -> str:
    return (
        f"{claim.name} {claim.value:.5f} of {claim.artifact} on {claim.dataset} {claim.split} "
        f"({claim.images} images, {claim.image_size[0]}x{claim.image_size[1]}, {claim.device})"
    )


def _artifact(manifest: Manifest, artifact: Artifact) -> Iterator[str]:
    details = artifact.details
    yield _line(
        "artifact",
        f"{artifact.name}: {artifact.path}, {artifact.kind} {artifact.precision}, "
        f"{artifact.size_bytes / _MIB:.2f} MiB, sha256 {artifact.sha256[:16]}",
    )
    yield _line("  verified", "yes" if artifact.is_verified else f"NO: {details.get('not_run', 'never run')}")
    if PROOF in details:
        yield _line("  precision", describe_proof(PrecisionProof.model_validate(details[PROOF])))
    if details.get(KEPT):
        yield _line("  kept", _plain(details[KEPT]))
    if "opset" in details:
        yield _line("  opset", str(details["opset"]))
    for key in (key for key in details if key not in _OWN_LINES):
        yield _line(f"  {key}", _plain(details[key]))
    for claim in manifest.claims:
        if claim.artifact == artifact.name:
            yield _line("  claim", _claim(claim))


def _plain(value: Any) -> str:
    """Nested JSON in one line; of long lists the beginning and how many there are."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        more = f", ... ({len(value)} in all)" if len(value) > _ITEMS_SHOWN else ""
        return "[" + ", ".join(map(_plain, value[:_ITEMS_SHOWN])) + more + "]"
    return str(value)


def _lineage(lineage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """From the weights back to data, teacher and code; all settings in full are in the manifest."""
    run: Mapping[str, Any] = lineage.get("run", {})
    settings, result = run.get("settings", {}), run.get("result", {})
    teacher, dataset = lineage.get("teacher"), lineage.get("dataset", {})
    if "network" in lineage:
        yield "network", f"{lineage['network']}, {lineage.get('parameters', 0):,} parameters"
    for key in ("weights_sha256", "weights_file_sha256"):
        if key in lineage:
            yield key.removesuffix("_sha256").replace("_", " "), f"sha256 {lineage[key]}"
    if "network" in lineage:
        methods = ", ".join(method["name"] for method in lineage.get("methods", ()))
        yield "trained", f"{settings.get('name')} seed {settings.get('seed')}, methods {methods or 'none'}"
    if teacher:
        yield "teacher", f"{teacher['network']}, sha256 {teacher.get('weights_file_sha256') or 'not known'}"
    for split, count in dataset.get("images", {}).items():
        sha256 = dataset.get("sha256", {}).get(split, "not known")
        yield f"data {split}", f"{dataset['name']}, {count} images, sha256 {sha256}"
    if "environment" in result:
        git = result["environment"].get("git") or {}
        yield "training code", f"{result['environment']['code']}, commit {git.get('commit', 'not known')}"
    if "code_version" in lineage:
        yield "export code", str(lineage["code_version"])
