"""What a rescue saw and did, as a table for machines and a picture for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from export.sensitivity import LayerSensitivity
from modelpack.atomic import write_json, write_with

KEPT_COLOUR, OTHER_COLOUR = "#d55e00", "#8fa3b5"
MOST_BARS = 24
"""The rest of a deep network's layers are in the table."""
_LONGEST_NAME = 48
_INCHES_PER_BAR, _INCHES_AROUND = 0.24, 1.3


def write_sensitivity(
    folder: Path,
    artifact: str,
    layers: Sequence[LayerSensitivity],
    *,
    kept: Sequence[str],
    images: int,
    candidates: Sequence[dict[str, Any]],
) -> None:
    """`sensitivity-<artifact>.json` and `.png`; `layers` most sensitive first, `kept` their names."""
    stem = f"sensitivity-{artifact}"
    table = {
        "artifact": artifact,
        "figure": "share of pixels that change class when the layer alone is in low precision",
        "reference": "the float32 graph",
        "calibration_images": images,
        "kept_float32": list(kept),
        "layers": [entry.model_dump(mode="json") for entry in layers],
        "candidates": list(candidates),
    }
    write_json(folder / f"{stem}.json", table)
    figure = _draw(artifact, layers[:MOST_BARS], kept, images, len(layers))
    write_with(folder / f"{stem}.png", lambda temporary: figure.savefig(temporary, dpi=120, format="png"))


def _draw(
    artifact: str, shown: Sequence[LayerSensitivity], kept: Sequence[str], images: int, total: int
) -> Figure:
    figure = Figure(figsize=(9, _INCHES_AROUND + _INCHES_PER_BAR * len(shown)), layout="constrained")
    axes = figure.subplots()
    shares = [entry.flips for entry in shown]
    colours = [KEPT_COLOUR if entry.layer in kept else OTHER_COLOUR for entry in shown]
    bars = axes.barh([_short(entry.module) for entry in shown], shares, color=colours, height=0.72)
    axes.bar_label(bars, labels=[_percent(share) for share in shares], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.01)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: _percent(share)))
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("pixels that change class when this layer alone is in low precision")
    some = f"the {len(shown)} most sensitive of {total} layers" if total > len(shown) else f"{total} layers"
    axes.set_title(f"{artifact}: {some}, {images} images", loc="left", fontsize=11)
    legend = [
        Patch(color=KEPT_COLOUR, label="kept in float32"),
        Patch(color=OTHER_COLOUR, label="low precision"),
    ]
    axes.legend(handles=legend, frameon=False, loc="lower right")
    return figure


def _percent(share: float) -> str:
    """Two digits that count, however small."""
    return f"{100 * share:.2g} %"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"
