import json

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from modelpack.errors import ShapeError
from modelpack.labels import IGNORE, LabelSet, distinct_palette
from modelpack.metrics import ConfusionMatrix

NUM_CLASSES = 5
FLOAT32_ROUNDING = 1e-6  # torchmetrics computes its ratios in float32


@pytest.fixture
def pair():
    """Predictions and targets of three images; class 4 is nowhere, some target pixels are ignored."""
    random = np.random.default_rng(0)
    target = random.integers(0, NUM_CLASSES - 1, (3, 20, 30), dtype=np.uint8)
    prediction = np.where(
        random.random(target.shape) < 0.6, target, random.integers(0, 4, target.shape)
    ).astype(np.uint8)
    target[random.random(target.shape) < 0.1] = IGNORE
    return prediction, target


@pytest.fixture
def matrix(pair):
    matrix = ConfusionMatrix(NUM_CLASSES)
    for prediction_hw, target_hw in zip(*pair, strict=True):
        matrix.update(prediction_hw, target_hw)
    return matrix


def test_counts_are_those_of_a_loop_over_pixels(pair, matrix):
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
    for predicted, wanted in zip(pair[0].flat, pair[1].flat, strict=True):
        if wanted != IGNORE:
            counts[wanted, predicted] += 1
    assert np.array_equal(matrix.counts, counts)


def test_iou_and_accuracy_agree_with_torchmetrics(pair, matrix):
    prediction, target = (torch.from_numpy(array).long() for array in pair)
    options = {"num_classes": NUM_CLASSES, "ignore_index": IGNORE}
    iou = MulticlassJaccardIndex(**options, average="none")(prediction, target).numpy()
    accuracy = float(MulticlassAccuracy(**options, average="micro")(prediction, target))
    np.testing.assert_allclose(matrix.iou_per_class()[:4], iou[:4], rtol=FLOAT32_ROUNDING)
    assert matrix.pixel_accuracy() == pytest.approx(accuracy, rel=FLOAT32_ROUNDING)


def test_an_absent_class_is_nan_and_either_skipped_or_counted_as_zero(matrix):
    iou = matrix.iou_per_class()
    assert np.isnan(iou[4])
    assert matrix.miou() == pytest.approx(iou[:4].mean())
    assert matrix.miou("zero") == pytest.approx(iou[:4].sum() / NUM_CLASSES)


def test_merged_parts_are_the_whole(pair, matrix):
    merged = ConfusionMatrix(NUM_CLASSES)
    for part in (slice(0, 1), slice(1, 3)):
        shard = ConfusionMatrix(NUM_CLASSES)
        shard.update(pair[0][part], pair[1][part])
        merged.merge(shard)
    assert np.array_equal(merged.counts, matrix.counts)


def test_a_prediction_is_not_looked_at_where_the_target_is_ignored():
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([[9, 1]], np.uint8), np.array([[IGNORE, 1]], np.uint8))
    assert matrix.counts.tolist() == [[0, 0], [0, 1]]


def test_another_value_may_be_the_ignored_one(pair, matrix):
    prediction, target = pair
    signed = np.where(target == IGNORE, -1, target.astype(np.int16))
    other = ConfusionMatrix(NUM_CLASSES)
    other.update(prediction, signed, ignore=-1)
    assert np.array_equal(other.counts, matrix.counts)
    with pytest.raises(ShapeError, match="target holds 255, which is no class and not the ignored value -1"):
        other.update(prediction, target, ignore=-1)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([[0, 5]], [[0, 1]], r"prediction holds class 5, and there are 2 \(0 to 1\)\."),
        ([[0, -1]], [[0, 1]], r"prediction holds -1 to 0; class indices are 0 to 255\."),
        ([[0, 1]], [[0, 256]], r"target holds 0 to 256; class indices are 0 to 255\."),
        ([[0, 1]], [[0, 2]], r"target holds class 2, and there are 2 .* without a label are 255"),
        ([[0, 1]], [[0]], r"prediction is \(1, 2\), target \(1, 1\); they must be equal\."),
        ([[0.0, 1.0]], [[0, 1]], r"prediction must hold class indices \(integers\), got float64\."),
    ],
)
def test_what_cannot_be_counted_is_refused(prediction, target, message):
    with pytest.raises(ShapeError, match=message):
        ConfusionMatrix(2).update(np.array(prediction), np.array(target))


def test_matrices_of_different_tasks_do_not_merge():
    with pytest.raises(ShapeError, match="cannot merge 3 classes into 2"):
        ConfusionMatrix(2).merge(ConfusionMatrix(3))


def test_the_result_file_is_json_with_fractions_and_null_for_absent_classes(matrix):
    labels = LabelSet(names=tuple("abcde"), palette=distinct_palette(NUM_CLASSES))
    result = json.loads(json.dumps(matrix.to_dict(labels), allow_nan=False))
    assert result["miou"] == matrix.miou()
    assert result["iou_per_class"]["e"] is None
    assert result["pixels"] == matrix.counts.sum()


def test_nothing_counted_is_nan_without_a_warning(recwarn):
    empty = ConfusionMatrix(3)
    assert np.isnan([empty.miou(), empty.miou("zero"), empty.pixel_accuracy()]).all()
    assert not recwarn.list
