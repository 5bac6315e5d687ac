"""What is in a package, for a person in a terminal."""

from modelpack.manifest import Manifest, TensorSpec
from modelpack.package import ModelPackage


def describe(package: ModelPackage) -> str:
    """Plain text, a line for each tensor, artifact and claim."""
    manifest = package.manifest
    return "\n".join(
        [
            f"{package.path}: {manifest.name} version {manifest.version}, made {manifest.created}",
            f"classes    {manifest.labels.num_classes}: {', '.join(manifest.labels.names)}",
            *(f"input      {_tensor(tensor)}" for tensor in manifest.inputs),
            *(f"output     {_tensor(tensor)}" for tensor in manifest.outputs),
            *_artifacts(manifest),
            f"samples    {len(manifest.samples)}",
            *_claims(manifest),
            *_lineage(manifest),
        ]
    )


def _tensor(tensor: TensorSpec) -> str:
    return f"{tensor.name} {tensor.dtype} ({', '.join(map(str, tensor.shape))})"


def _artifacts(manifest: Manifest) -> list[str]:
    return [
        f"artifact   {entry.name}: {entry.path}, {entry.precision}, {entry.size_bytes} bytes, "
        f"sha256 {entry.sha256[:16]}"
        for entry in manifest.artifacts
    ]


def _claims(manifest: Manifest) -> list[str]:
    return [
        f"claim      {claim.name} {claim.value:.5f} of {claim.artifact} on {claim.dataset} {claim.split} "
        f"({claim.images} images, {claim.image_size[0]}x{claim.image_size[1]}, {claim.device})"
        for claim in manifest.claims
    ]


def _lineage(manifest: Manifest) -> list[str]:
    """The short entries; the settings in full are in the manifest."""
    return [
        f"lineage    {key} {value}"
        for key, value in manifest.lineage.items()
        if isinstance(value, (str, int))
    ]
