"""Ranges of tensors: from images of any size, by every calibrator, the same each time."""

import numpy as np
import pytest
import torch

from distill.datasets.camvid import CAMVID_LABELS
from distill.quantisation.calibrators import CALIBRATORS
from export.errors import ExportError
from export.graph import DeployedGraph
from export.int8_settings import Int8Settings
from export.onnx_export import export_onnx
from export.quantisable import OPERATOR_SETS
from export.quantise import quantise
from modelpack.errors import SegError
from modelpack.settings import parse_settings
from tests.export.int8.graphs import IMAGES, MIN_AGREEMENT, SEEDED, agreement, constants, nodes
from tests.export.tiny_run import HEIGHT, WIDTH, TinyNetwork


def scales(model):
    values = constants(model)
    return [float(values[node.input[1]]) for node in nodes(model, "QuantizeLinear")]


def pixels(images):
    """As the first product reads them."""
    network = TinyNetwork(11)
    mean, deviation = np.array(network.normalisation.mean), np.array(network.normalisation.std)
    return (np.concatenate(images) - mean) / deviation


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("operators", OPERATOR_SETS)
def test_every_calibrator_gives_a_graph_that_answers_alike(tiny_graph, tmp_path, calibrator, operators):
    model = quantise(tiny_graph, IMAGES, Int8Settings(calibrator=calibrator, operators=operators))
    assert agreement(tiny_graph, model, IMAGES[0], tmp_path) >= MIN_AGREEMENT


def test_minmax_clips_nothing_and_a_percentile_what_it_says(tiny_graph):
    found = [
        scales(quantise(tiny_graph, IMAGES, settings))[0]
        for settings in (
            Int8Settings(calibrator="minmax"),
            Int8Settings(calibrator="percentile", percentile=99.99),
            Int8Settings(calibrator="percentile", percentile=80),
        )
    ]
    assert found[0] * 127 == pytest.approx(float(np.abs(pixels(IMAGES)).max()), rel=1e-5)
    assert found[0] >= found[1] > found[2]
    assert found[2] * 127 == pytest.approx(np.quantile(np.abs(pixels(IMAGES)), 0.8), rel=0.01)


def test_the_same_images_give_the_same_bytes(mixed_graph, int8_graph):
    assert quantise(mixed_graph, IMAGES, Int8Settings()).SerializeToString() == int8_graph.SerializeToString()


def test_a_graph_of_dynamic_size_is_calibrated_on_images_of_any_size(tmp_path):
    model = export_onnx(DeployedGraph(TinyNetwork(11)), None, CAMVID_LABELS, opset=18)
    images = [SEEDED.integers(0, 256, (1, *size, 3), np.uint8) for size in ((64, 96), (75, 130), (40, 56))]
    quantised = quantise(model, images, Int8Settings())
    unseen = SEEDED.integers(0, 256, (2, 91, 117, 3), np.uint8)
    assert agreement(model, quantised, unseen, tmp_path) >= MIN_AGREEMENT


def test_no_images_to_calibrate_on_are_refused(tiny_graph):
    with pytest.raises(ExportError, match="training split is empty"):
        quantise(tiny_graph, [], Int8Settings())


def test_a_tensor_without_a_range_is_named():
    network = TinyNetwork(11)
    with torch.no_grad():
        network.stem.bias.fill_(float("inf"))
    model = export_onnx(DeployedGraph(network), (HEIGHT, WIDTH), CAMVID_LABELS, opset=18)
    with pytest.raises(ExportError, match=r"relu.* is NaN or infinite"):
        quantise(model, IMAGES, Int8Settings())


def test_quantising_says_nothing(tiny_graph, capfd, caplog):
    quantise(tiny_graph, IMAGES, Int8Settings())
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("settings", [{"calibrator": "minimax"}, {"operators": "broad"}, {"percentile": 10}])
def test_a_setting_that_does_not_exist_is_refused(settings):
    with pytest.raises(SegError, match=rf"{next(iter(settings))}|operator set"):
        parse_settings(Int8Settings, settings, "recipe")
