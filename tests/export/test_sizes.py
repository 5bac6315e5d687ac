"""Graphs of dynamic size: right at sizes they were not traced with, or refused."""

import numpy as np
import pytest
import torch

from distill.datasets.camvid import CAMVID_LABELS
from distill.networks import build_network
from distill.networks.output import normalise
from distill.run import TrainingRun, load_student
from export.build import export_model
from export.config import ExportConfig
from export.errors import ExportError
from export.onnx_export import DYNAMIC_TRACE_SIZE
from export.other_sizes import OTHER_SIZES
from export.reference import Reference
from modelpack.preprocess import CAFFE_BGR
from modelpack.runtimes import open_runtime
from tests.distill.folder_data import write_classes, write_image, write_mask
from tests.export.tiny_run import write_tiny_run

UNSEEN_SIZE = (75, 130)
assert UNSEEN_SIZE not in (*OTHER_SIZES, DYNAMIC_TRACE_SIZE)
MIN_AGREEMENT = 0.999

REAL_NETWORKS = [
    ("deeplabv3_resnet18", "dynamic"),
    ("deeplabv3_mobilenetv2", (64, 96)),
    ("pspnet_resnet18", (64, 96)),
    ("smp:FPN/resnet18", "dynamic"),
    ("smp:Unet/mobilenet_v2", (90, 130)),
    ("smp:Segformer/mit_b0", (64, 96)),
    ("smp:PSPNet/resnet18", (90, 130)),
]


def test_a_dynamic_package_of_a_bgr_network_is_right_at_a_size_that_nobody_tried(tmp_path):
    run_dir = write_tiny_run(tmp_path / "train", student={"normalisation": "caffe_bgr"})
    package = export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package", size="dynamic"))
    assert package.manifest.inputs[0].shape == ("batch", "height", "width", 3)
    assert package.manifest.normalisation == CAFFE_BGR
    images = np.random.default_rng(0).integers(0, 256, (2, *UNSEEN_SIZE, 3), np.uint8)
    network = load_student(TrainingRun.open(run_dir))
    with torch.no_grad():
        expected = network(normalise(torch.from_numpy(images), network.normalisation)).full_logits(
            UNSEEN_SIZE
        )
    found = open_runtime(package, device="cpu", threads=1).run(images)["mask"]
    assert (found == expected.argmax(1).numpy()).mean() >= MIN_AGREEMENT


@pytest.mark.parametrize(
    ("second", "shape"), [((75, 130), ("batch", "height", "width", 3)), ((64, 96), ("batch", 64, 96, 3))]
)
def test_images_of_different_sizes_make_a_dynamic_graph_and_of_one_size_a_fixed_one(tmp_path, second, shape):
    for split in ("train", "val"):
        for index, (height, width) in enumerate([(64, 96), second]):
            write_image(tmp_path / split / "images" / f"{index}.png", f"{split}{index}", height, width)
            write_mask(tmp_path / split / "masks" / f"{index}.png", np.zeros((height, width), np.uint8))
    write_classes(tmp_path, {"names": list(CAMVID_LABELS.names)})
    run_dir = write_tiny_run(tmp_path / "run", data={"name": "folder", "root": str(tmp_path)})
    package = export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package"))
    assert package.manifest.inputs[0].shape == shape


def test_adaptive_pooling_is_refused_with_dynamic_sizes_and_the_way_out_is_named(tmp_path):
    run_dir = write_tiny_run(tmp_path / "train", "pooled")
    with pytest.raises(ExportError, match=r"wrong at 192x160 .*export\.size=\[height, width\]"):
        export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package", size="dynamic"))
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(("network", "size"), REAL_NETWORKS, ids=[name for name, _ in REAL_NETWORKS])
@pytest.mark.slow
def test_real_networks_pass_the_gate(network, size, tmp_path, monkeypatch):
    torch.manual_seed(0)
    from tests.export import tiny_run

    monkeypatch.setitem(tiny_run.BUILDERS, network, lambda *_: build_network(network, 11))
    run_dir = write_tiny_run(tmp_path / "train", network, images=2)
    export_model(
        ExportConfig(
            run_dir=run_dir, package_dir=tmp_path / "package", size=size, targets=("onnx-fp32", "onnx-fp16")
        )
    )


@pytest.mark.parametrize("network", ["pspnet_resnet18", "smp:PSPNet/resnet18"])
@pytest.mark.slow
def test_pspnet_is_refused_with_dynamic_sizes(network, tmp_path, monkeypatch):
    from tests.export import tiny_run

    monkeypatch.setitem(tiny_run.BUILDERS, network, lambda *_: build_network(network, 11))
    run_dir = write_tiny_run(tmp_path / "train", network)
    with pytest.raises(ExportError, match=r"export\.size"):
        export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package", size="dynamic"))


def test_a_gpu_that_is_not_there_is_a_clear_error():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    from modelpack.errors import RuntimeUnavailableError

    with pytest.raises(RuntimeUnavailableError, match=r"export\.device=cpu"):
        Reference(build_network("tiny", 11), "cuda")
