"""The published networks become plans, in every precision, with bytes in and out."""

import onnx
import pytest
import torch

from distill.datasets.camvid import CAMVID_LABELS
from distill.networks import build_network
from export.config import ExportConfig
from export.errors import ExportError
from export.graph import DeployedGraph
from export.onnx_export import export_onnx
from export.targets import TARGETS
from export.targets.target import BuildContext
from export.tensorrt.plan import build_plan
from export.tensorrt.settings import TensorRTSettings

HEIGHT, WIDTH = 64, 96
QUICK = "deeplabv3_mobilenetv2"
SLOW = ("deeplabv3_resnet18", "pspnet_resnet18", "smp:Segformer/mit_b0")
NETWORKS = [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
OF_ANY_SIZE = [name for name in (QUICK, *SLOW) if name != "pspnet_resnet18"]
PRECISIONS = [target.precision for target in TARGETS.values() if target.kind == "tensorrt"]
RTX = TensorRTSettings(flavour="rtx")
SIZES = {"height": (64, 96, 128), "width": (64, 96, 192)}


def exported(network: str, size: tuple[int, int] | None, **outputs: bool) -> onnx.ModelProto:
    torch.manual_seed(0)
    graph = DeployedGraph(build_network(network, CAMVID_LABELS.num_classes).eval(), **outputs)
    return export_onnx(graph, size, CAMVID_LABELS, opset=18)


@pytest.fixture(scope="module", params=NETWORKS)
def context(request, tmp_path_factory):
    """With every graph that an engine of this network is made from."""
    model = exported(request.param, (HEIGHT, WIDTH), confidence=True, logits=True)
    folder = tmp_path_factory.mktemp("graphs")
    noise = torch.randint(0, 256, (4, 1, HEIGHT, WIDTH, 3), dtype=torch.uint8).numpy()
    config = ExportConfig(run_dir=folder, package_dir=folder / "package", tensorrt=RTX)
    graphs, details = {}, {}
    for name in dict.fromkeys(target.graph for target in TARGETS.values() if target.graph is not None):
        graphs[name] = folder / f"{name}.onnx"
        details[name] = TARGETS[name].build(BuildContext(model, config, noise), graphs[name])
    return BuildContext(model, config, noise, graphs, details)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_network_builds_in_every_precision(context, precision, tmp_path):
    plan = tmp_path / "engine.plan"
    details = TARGETS[f"tensorrt-{precision}"].build(context, plan)
    assert plan.stat().st_size > 0
    proof = details["precision_proof"]
    assert proof["share"] == 1.0
    assert proof["in_claimed"] > 20
    assert details["tensors"] == {
        "image": f"UINT8 (-1, {HEIGHT}, {WIDTH}, 3)",
        "mask": f"UINT8 (-1, {HEIGHT}, {WIDTH})",
        "confidence": f"UINT8 (-1, {HEIGHT}, {WIDTH})",
        "logits": f"FLOAT (-1, 11, {HEIGHT}, {WIDTH})",
    }


@pytest.mark.slow
@pytest.mark.parametrize("network", OF_ANY_SIZE)
def test_graphs_of_any_size_build_for_a_range(network, tmp_path):
    onnx.save(exported(network, None), tmp_path / "model.onnx")
    settings = TensorRTSettings(flavour="rtx", profiles=({"batch": (1, 1, 4), **SIZES},))
    built = build_plan(tmp_path / "model.onnx", tmp_path / "engine.plan", "fp32", settings)
    assert built.details["tensors"]["image"] == "UINT8 (-1, -1, -1, 3)"
    assert built.details["profiles"] == [[[1, 64, 64, 3], [1, 96, 96, 3], [4, 128, 192, 3]]]


@pytest.mark.parametrize("context", [QUICK], indirect=True)
def test_a_workspace_that_is_too_small_names_the_setting(context, tmp_path):
    settings = TensorRTSettings(flavour="rtx", workspace_mib=1)
    with pytest.raises(ExportError, match=r"The limit is 1 MiB: raise export\.tensorrt\.workspace_mib"):
        build_plan(context.graphs["onnx-fp32"], tmp_path / "engine.plan", "fp32", settings)
