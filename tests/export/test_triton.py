"""A Triton repository says of every model what its file says, and holds the package's own bytes."""

import importlib.util
import json
import sys
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from export.__main__ import app
from export.triton.repository import write_triton_repository
from modelpack.atomic import sha256_file
from modelpack.command import run
from modelpack.errors import UsageError
from modelpack.manifest import Artifact
from modelpack.pixels import decode_image
from tests.export.triton_schema import parse_config

ELEMENT_TYPES = {"TYPE_UINT8": onnx.TensorProto.UINT8, "TYPE_FP32": onnx.TensorProto.FLOAT}
"""Triton's name -> ONNX's number."""
MAX_BATCH = 4


@pytest.fixture(scope="module")
def repository(package, tmp_path_factory):
    return write_triton_repository(package, tmp_path_factory.mktemp("triton") / "models", max_batch=MAX_BATCH)


def config_of(repository, model):
    text = (repository.path / model.name / "config.pbtxt").read_text()
    return parse_config(text)


def onnx_tensors(values):
    """Name -> (ONNX element type, sizes without the batch)."""
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim][1:],
        )
        for value in values
    }


def triton_tensors(values):
    return {value.name: (ELEMENT_TYPES[type_name(value)], list(value.dims)) for value in values}


def type_name(value):
    enum = value.DESCRIPTOR.fields_by_name["data_type"].enum_type
    return enum.values_by_number[value.data_type].name


def parameters(config):
    return {entry.key: entry.value.string_value for entry in config.parameters}


def test_names_types_and_sizes_are_those_of_the_onnx_file(repository):
    for model in repository.models:
        config = config_of(repository, model)
        graph = onnx.load(repository.path / model.name / "1/model.onnx").graph
        assert triton_tensors(config.input) == onnx_tensors(graph.input)
        assert triton_tensors(config.output) == onnx_tensors(graph.output)
        assert config.name == model.name
        assert config.max_batch_size == MAX_BATCH


def test_every_onnx_file_is_a_model_and_the_first_is_served_from_python_too(repository, package):
    backends = {model.name: config_of(repository, model).backend for model in repository.models}
    names = [f"{package.manifest.name}-{artifact.name}" for artifact in package.manifest.artifacts]
    assert backends == {**dict.fromkeys(names, "onnxruntime"), f"{names[0]}-python": "python"}


def test_the_models_are_the_packages_own_bytes(repository, package):
    for model in repository.models:
        facts = parameters(config_of(repository, model))
        artifact = package.artifact(facts["artifact"])
        assert facts["artifact_sha256"] == artifact.sha256
        assert sha256_file(repository.path / model.name / "1/model.onnx") == artifact.sha256


def with_plan(package, **details):
    plan = Artifact(
        name="tensorrt-fp16",
        path="README.md",
        kind="tensorrt",
        precision="fp16",
        sha256="0" * 64,
        size_bytes=1,
        details=details,
    )
    artifacts = (*package.manifest.artifacts, plan)
    return replace(package, manifest=package.manifest.model_copy(update={"artifacts": artifacts}))


def test_a_tensorrt_plan_is_a_model_of_the_batch_that_it_was_built_for(package, tmp_path):
    profiles = [[[1, 40, 56, 3], [1, 40, 56, 3], [2, 40, 56, 3]]]
    packed = with_plan(package, flavour="tensorrt", profiles=profiles)
    repository = write_triton_repository(packed, tmp_path / "models", max_batch=MAX_BATCH)
    [model] = [model for model in repository.models if model.backend == "tensorrt"]
    config = config_of(repository, model)
    assert config.max_batch_size == 2
    assert (repository.path / model.name / "1" / config.default_model_filename).is_file()


def test_a_plan_that_triton_cannot_load_is_left_out_and_the_readme_says_why(package, tmp_path):
    repository = write_triton_repository(with_plan(package, flavour="rtx"), tmp_path / "models")
    assert "tensorrt-fp16" in repository.left_out
    assert (
        "`tensorrt-fp16` is left out: it is a plan of TensorRT-RTX"
        in (repository.path / "README.md").read_text()
    )


def test_class_names_reach_triton_whatever_is_in_them(package, tmp_path):
    labels = package.manifest.labels
    odd = labels.model_copy(update={"names": ('say "no"', "Straße\\Weg", *labels.names[2:])})
    packed = replace(package, manifest=package.manifest.model_copy(update={"labels": odd}))
    repository = write_triton_repository(packed, tmp_path / "models")
    classes = parameters(config_of(repository, repository.models[0]))["classes"]
    assert json.loads(classes)[:2] == ['say "no"', "Straße\\Weg"]


@dataclass
class FakeTriton:
    """What `triton_python_backend_utils` gives to a model."""

    TritonError: type = str

    @staticmethod
    def get_input_tensor_by_name(request, name):
        return SimpleNamespace(as_numpy=lambda: request[name])

    @staticmethod
    def Tensor(name, value):
        return name, value

    @dataclass
    class InferenceResponse:
        output_tensors: list = field(default_factory=list)
        error: str | None = None


@pytest.fixture
def python_model(repository, monkeypatch):
    """The python backend's model, loaded as Triton loads it."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", FakeTriton())
    folder = repository.path / repository.models[-1].name
    spec = importlib.util.spec_from_file_location("model", folder / "1/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    outputs = [{"name": output.name} for output in repository.models[-1].outputs]
    config = json.dumps({"input": [{"name": "image"}], "output": outputs})
    model.initialize({"model_config": config, "model_repository": str(folder), "model_version": "1"})
    return model


def test_the_python_backend_answers_the_samples_with_their_masks(python_model, package):
    for _, image_bytes, mask_hw in package.samples():
        image = package.manifest.resizing.resize_image(decode_image(image_bytes, max_pixels=1 << 20))
        [response] = python_model.execute([{"image": image[None]}])
        np.testing.assert_array_equal(dict(response.output_tensors)["mask"][0], mask_hw)


def test_a_request_that_does_not_fit_is_answered_with_an_error_and_the_next_is_served(python_model):
    good = np.zeros((1, 40, 56, 3), np.uint8)
    failed, served = python_model.execute([{"image": good[:, :7]}, {"image": good}])
    assert "dimension" in failed.error.lower()
    assert served.error is None


def test_a_repository_is_replaced_and_a_foreign_folder_is_not(package, tmp_path):
    out = tmp_path / "models"
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/notes.txt").write_text("mine")
    for _ in range(2):
        assert run(app, ["triton", str(package.path), "--out", str(out)], "afdcd export") == 0
    with pytest.raises(UsageError, match="no Triton repository"):
        write_triton_repository(package, tmp_path / "foreign")
    assert (tmp_path / "foreign/notes.txt").read_text() == "mine"


def test_build_writes_a_repository_on_request_and_asks_first_whether_it_may(tiny_run, tmp_path):
    words = ["build", "--run", str(tiny_run), "--out", str(tmp_path / "package")]
    words += ["export.parity.max_images=1", "--triton"]
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/notes.txt").write_text("mine")
    assert run(app, [*words, str(tmp_path / "foreign")], "afdcd export") == 2
    assert not (tmp_path / "package").exists()
    assert run(app, [*words, str(tmp_path / "models")], "afdcd export") == 0
    assert len(list((tmp_path / "models").glob("*/config.pbtxt"))) == 2
