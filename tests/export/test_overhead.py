"""What the deployed graph costs above the bare network, call for call in turn. `-s` shows the figure.

    pytest tests/export/test_overhead.py -m slow -s

Bare: normalised float32 planes in, logits at the network's own stride out, as a plain export gives them. The
deployed graph also casts, normalises, upsamples and takes the largest. One thread of ONNX Runtime each.
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
from distill.networks.output import normalise, upsample
from export.graph import DeployedGraph
from export.onnx_export import export_onnx

SIZE = (240, 320)
NETWORK = "smp:FPN/tu-regnetx_002"
OPTIONS = {"decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}
"""The student of recipes/camvid-cpu.yaml."""
ROUNDS, CALLS, SETTLE = 60, 5, 1


class Bare(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images).logits


@pytest.mark.slow
def test_the_deployed_graph_is_the_bare_network_with_its_edges(tmp_path, capsys):
    torch.manual_seed(0)
    network = build_network(NETWORK, CAMVID_LABELS.num_classes, options=OPTIONS).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    planes = normalise(torch.from_numpy(pixels), network.normalisation).contiguous()
    program = torch.onnx.export(
        Bare(network).eval(), (planes,), dynamo=True, opset_version=18, verbose=False, external_data=False
    )
    deployed = session(export_onnx(DeployedGraph(network), SIZE, CAMVID_LABELS, opset=18))
    bare = session(onnxslim.slim(program.model_proto))
    plain = {bare.get_inputs()[0].name: planes.numpy()}
    (logits,) = bare.run(None, plain)
    with torch.no_grad():
        padded_size = network(planes).padded_size
    expected = upsample(torch.from_numpy(logits), padded_size, SIZE).argmax(1).numpy()
    (mask,) = deployed.run(None, {"image": pixels})
    assert (mask == expected).mean() > 0.999
    ours_ms, bare_ms = [], []
    for _ in range(ROUNDS):
        ours_ms.append(calls_ms(deployed, {"image": pixels}))
        bare_ms.append(calls_ms(bare, plain))
    ratio = median_ratio(ours_ms, bare_ms, seed=0)
    ours, theirs = np.median(ours_ms), np.median(bare_ms)
    with capsys.disabled():
        sys.stdout.write(
            f"\ndeployed {ours:.2f} ms, bare {theirs:.2f} ms over {ROUNDS} rounds of {CALLS}: ratio "
            f" {ratio.value:.4f}, 95% interval [{ratio.lower:.4f}, {ratio.upper:.4f}]\n"
        )


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
