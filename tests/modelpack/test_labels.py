import numpy as np
import pytest

from modelpack.errors import SettingsError, ShapeError
from modelpack.labels import IGNORE, LabelSet, distinct_palette
from modelpack.settings import parse_settings

LABELS = LabelSet(names=("road", "car"), palette=((10, 20, 30), (200, 100, 0)))
MASK = np.array([[0, 1], [IGNORE, 7]], np.uint8)
BLACK = (0, 0, 0)


def test_colourise_paints_classes_and_leaves_the_rest_black():
    assert LABELS.colourise(MASK).tolist() == [[[10, 20, 30], [200, 100, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_overlay_mixes_by_opacity_and_shows_the_image_where_nothing_is_labelled():
    image = np.full((2, 2, 3), 100, np.uint8)
    mixed = LABELS.overlay(image, MASK, alpha=0.25)
    assert mixed[0, 1].tolist() == [125, 100, 75]
    assert (mixed[1] == 100).all()


def test_an_overlay_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"overlay: image is \(3, 2\), mask \(2, 2\); they must be equal\."):
        LABELS.overlay(np.zeros((3, 2, 3), np.uint8), MASK)


def test_colourise_refuses_a_batch():
    with pytest.raises(ShapeError, match=r"colourise needs a mask \(H, W\), got shape \(1, 2, 2\)\."):
        LABELS.colourise(MASK[None])


def test_a_generated_palette_starts_as_pascal_voc_and_never_repeats():
    palette = distinct_palette(255)
    assert palette[:4] == (BLACK, (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert len(set(palette)) == 255


@pytest.mark.parametrize(
    ("names", "palette", "message"),
    [
        ((), (), "a label set has 1 to 255 classes (masks are uint8), got 0."),
        (("a", "b"), (BLACK,), "2 class names but 1 colours; give one each."),
        (("a", "a"), (BLACK, BLACK), "class names must differ from each other."),
        (("a",), ((0, 0, 256),), "palette.0.2 = 256: input should be less than or equal to 255."),
    ],
)
def test_labels_that_do_not_fit_are_refused(names, palette, message):
    with pytest.raises(SettingsError) as caught:
        parse_settings(LabelSet, {"names": names, "palette": palette}, "labels")
    assert str(caught.value) == f"labels: {message}"
