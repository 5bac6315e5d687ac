"""What the deployed graph costs above the bare network, call for call in turn. `-s` shows the figures.

    pytest tests/export/test_overhead.py -m slow -s

Bare: normalised float32 planes in, logits out, as a plain export gives them: at the image's size, as networks
are mostly exported, and at the network's own stride. The deployed graph also casts, normalises, upsamples and
takes the largest. One thread of ONNX Runtime each.
"""

import sys
from timeit import default_timer

import numpy as np
import onnxruntime
import onnxslim
import pytest
import torch
from torch import nn

from bench.statistics import median_ratio
from distill.datasets.camvid import CAMVID_LABELS
from distill.networks import build_network
from distill.networks.output import normalise
from export.graph import DeployedGraph
from export.onnx_export import export_onnx

SIZE = (240, 320)
NETWORK = "smp:FPN/tu-regnetx_002"
OPTIONS = {"decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}
"""The student of recipes/camvid-cpu.yaml."""
ROUNDS, CALLS, SETTLE = 60, 5, 1
PLANES = "planes"


class Bare(nn.Module):
    def __init__(self, network, upsamples):
        super().__init__()
        self.network, self.upsamples = network, upsamples

    def forward(self, images):
        output = self.network(images)
        return output.full_logits(SIZE) if self.upsamples else output.logits


@pytest.mark.slow
def test_the_deployed_graph_is_the_bare_network_with_its_edges(capsys):
    torch.manual_seed(0)
    network = build_network(NETWORK, CAMVID_LABELS.num_classes, options=OPTIONS).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    planes = normalise(torch.from_numpy(pixels), network.normalisation).contiguous()
    deployed = session(export_onnx(DeployedGraph(network), SIZE, CAMVID_LABELS, opset=18))
    graphs = {
        "logits at image size": session(plain_export(Bare(network, upsamples=True), planes)),
        "logits at the network's stride": session(plain_export(Bare(network, upsamples=False), planes)),
    }
    (logits,) = graphs["logits at image size"].run(None, {PLANES: planes.numpy()})
    (mask,) = deployed.run(None, {"image": pixels})
    assert (mask == logits.argmax(1)).mean() > 0.999
    times = {name: [] for name in ("deployed", *graphs)}
    for _ in range(ROUNDS):
        times["deployed"].append(calls_ms(deployed, {"image": pixels}))
        for name, graph in graphs.items():
            times[name].append(calls_ms(graph, {PLANES: planes.numpy()}))
    with capsys.disabled():
        for name in graphs:
            ratio = median_ratio(times["deployed"], times[name], seed=0)
            ours, theirs = (np.median(times[each]) for each in ("deployed", name))
            sys.stdout.write(
                f"\ndeployed {ours:.2f} ms, {name} {theirs:.2f} ms over {ROUNDS} rounds of {CALLS}: ratio "
                f"{ratio.value:.3f}, 95% interval [{ratio.lower:.3f}, {ratio.upper:.3f}]\n"
            )


def plain_export(module, planes):
    program = torch.onnx.export(
        module.eval(), (planes,), dynamo=True, opset_version=18, verbose=False, external_data=False,
        input_names=[PLANES],
    )  # fmt: skip
    return onnxslim.slim(program.model_proto)


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def calls_ms(graph, feed):
    for _ in range(SETTLE):
        graph.run(None, feed)
    times = []
    for _ in range(CALLS):
        start = default_timer()
        graph.run(None, feed)
        times.append((default_timer() - start) * 1000)
    return times
