import pytest

from distill.datasets.camvid import CAMVID_LABELS
from export.graph import DeployedGraph
from export.int8_settings import Int8Settings
from export.onnx_export import export_onnx
from export.quantise import quantise
from tests.export.int8.graphs import IMAGES, MixedNetwork
from tests.export.tiny_run import HEIGHT, WIDTH


@pytest.fixture(scope="session")
def mixed_graph():
    """In float. Do not change it."""
    return export_onnx(DeployedGraph(MixedNetwork(11)), (HEIGHT, WIDTH), CAMVID_LABELS, opset=18)


@pytest.fixture(scope="session")
def int8_graph(mixed_graph):
    """The same, quantised with the default settings. Do not change it."""
    return quantise(mixed_graph, IMAGES, Int8Settings())
