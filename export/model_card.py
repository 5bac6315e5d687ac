"""The package's README, rendered from its manifest so that it cannot say anything else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from export.mask_counts import BAND_PX
from export.precision.proof import PrecisionProof
from modelpack.manifest import Artifact, Manifest, TensorSpec

_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def render_model_card(manifest: Manifest) -> str:
    """Markdown: input and output, files, measured accuracy, classes, how to serve it, where it came from."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "shape": _shape,
        "mebibytes": _mebibytes,
        "hex_colour": _hex_colour,
        "proof": _proof,
        "closeness": _closeness,
    }
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(manifest=manifest, lineage=manifest.lineage, band_px=BAND_PX) + "\n"


def _shape(tensor: TensorSpec) -> str:
    return ", ".join(str(side) for side in tensor.shape)


def _mebibytes(artifact: Artifact) -> str:
    return f"{artifact.size_bytes / 2**20:.1f} MiB"


def _hex_colour(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _proof(details: Mapping[str, Any]) -> str:
    """A cell: how many nodes compute in the claimed type, and how many were kept out of it on purpose."""
    proof = PrecisionProof.model_validate(details)
    kept = f", {len(proof.kept)} kept on purpose" if proof.kept else ""
    return f"{proof.in_claimed} of {proof.nodes}{kept}"


def _closeness(parity: Mapping[str, Any] | jinja2.Undefined) -> str:
    """Six cells; of an artifact that never ran, six that say so."""
    if isinstance(parity, jinja2.Undefined):
        return " | ".join(["not run"] * 6)
    shares = (parity[f"agreement{part}"] for part in ("", "_confident", "_band", "_interior"))
    loss = parity["largest_class_loss"]
    return " | ".join(
        [
            parity["computed_in"],
            *("-" if share is None else f"{share:.5f}" for share in shares),
            "none" if loss is None else f"{loss['class']}, {loss['points']:.2f} points",
        ]
    )
