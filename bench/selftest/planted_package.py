"""A model package whose artifacts are behaviours of the fake runtime, in place of graphs."""

from collections.abc import Mapping
from pathlib import Path

from bench.selftest.known_delay import Behaviour
from modelpack.labels import LabelSet, distinct_palette
from modelpack.manifest import TensorSpec
from modelpack.package import ModelPackage, new_package
from modelpack.preprocess import Normalisation, Resizing

SIDE = 32
"""Height and width of its images, in pixels: nothing is computed on them."""


def write_planted_package(folder: Path, behaviours: Mapping[str, Behaviour]) -> ModelPackage:
    """One artifact per behaviour, called like it; the package is called `planted`."""
    with new_package(folder) as package:
        for name, behaviour in behaviours.items():
            package.write_text(f"{name}.json", behaviour.model_dump_json() + "\n")
            package.add_artifact(name, f"{name}.json", kind="onnx", precision="fp32")
        package.write_manifest(
            name="planted",
            labels=LabelSet(names=("nothing", "something"), palette=distinct_palette(2)),
            normalisation=Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
            resizing=Resizing(height=SIDE, width=SIDE),
            inputs=(TensorSpec(name="image", dtype="uint8", shape=("batch", SIDE, SIDE, 3)),),
            outputs=(TensorSpec(name="mask", dtype="uint8", shape=("batch", SIDE, SIDE)),),
        )
    return ModelPackage.open(folder)
