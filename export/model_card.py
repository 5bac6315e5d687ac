"""The package's README, rendered from its manifest so that it cannot say anything else."""

from pathlib import Path

import jinja2

from modelpack.manifest import Artifact, Manifest, TensorSpec

_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def render_model_card(manifest: Manifest) -> str:
    """Markdown: input and output, files, measured accuracy, classes, how to serve it, where it came from."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shape": _shape, "mebibytes": _mebibytes, "hex_colour": _hex_colour}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(manifest=manifest, lineage=manifest.lineage) + "\n"


def _shape(tensor: TensorSpec) -> str:
    return ", ".join(str(side) for side in tensor.shape)


def _mebibytes(artifact: Artifact) -> str:
    return f"{artifact.size_bytes / 2**20:.1f} MiB"


def _hex_colour(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
