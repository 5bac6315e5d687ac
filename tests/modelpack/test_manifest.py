import pytest

from modelpack.errors import SettingsError
from modelpack.labels import LabelSet
from modelpack.manifest import Artifact, Manifest, TensorSpec
from modelpack.preprocess import IMAGENET, Resizing
from modelpack.settings import parse_settings

ARTIFACT = Artifact(
    name="onnx-fp32", path="m.onnx", kind="onnx", precision="fp32", sha256="0" * 64, size_bytes=1
)
FIELDS = {
    "name": "tiny",
    "created": "2025-01-01T00:00:00+00:00",
    "labels": LabelSet(names=("a",), palette=((0, 0, 0),)),
    "normalisation": IMAGENET,
    "resizing": Resizing(height=8, width=8),
    "inputs": (TensorSpec(name="image", dtype="uint8", shape=("batch", 8, 8, 3)),),
    "outputs": (TensorSpec(name="mask", dtype="uint8", shape=("batch", 8, 8)),),
    "artifacts": (ARTIFACT,),
    "lineage": {"teacher": {"network": "big"}},
}


def test_a_manifest_survives_its_json():
    manifest = Manifest(**FIELDS)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artifacts": ()}, "a package holds at least one artifact"),
        ({"artifacts": (ARTIFACT, ARTIFACT)}, "artifact names must differ: onnx-fp32, onnx-fp32"),
        ({"format_version": 2}, "format_version = 2: input should be 1"),
        ({"name": "../up"}, "name = '../up': string should match pattern"),
        ({"colour": 1}, "unknown setting 'colour'"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(SettingsError) as caught:
        parse_settings(Manifest, {**FIELDS, **change}, "manifest")
    assert message in str(caught.value)
