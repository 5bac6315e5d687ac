"""What a request may say about its answer: which classes, what size, how the overlay looks."""

import io

import numpy as np
import pytest
from PIL import Image

from modelpack.labels import IGNORE, distinct_palette
from serve import ServeSettings
from serve.formats.legend import ROW_PX
from tests.serve.conftest import SIZE, app_client
from tests.serve.pictures import gradient, png, rotated_jpeg
from tests.tiny_package import tiny_answer, tiny_confidence, write_tiny_package

IMAGE = gradient()
MASK = tiny_answer(IMAGE)
PALETTE = np.array(distinct_palette(4), np.uint8)
JPEG_TOLERANCE = 24
"""Grey levels that JPEG at quality 90 may be away from the exact overlay, at edges between classes."""


@pytest.fixture(scope="module")
def sure_client(tmp_path_factory):
    """A package with the confidence output."""
    package = write_tiny_package(tmp_path_factory.mktemp("sure") / "sure", size=SIZE, confidence=True)
    with app_client(ServeSettings(package=package.path, threads=1)) as client:
        yield client


def ask(client, image=IMAGE, **params):
    return client.post("/v1/segment", params=params, content=png(image))


def picture(response):
    assert response.status_code == 200, response.text
    return np.array(Image.open(io.BytesIO(response.content)))


@pytest.mark.parametrize("classes", ["class1,class3", "1,3", ["class1", "3"], "3, class1"])
def test_classes_by_name_or_index_are_kept_and_the_others_become_unlabelled(client, classes):
    expected = np.where(np.isin(MASK, [1, 3]), MASK, IGNORE)
    np.testing.assert_array_equal(picture(ask(client, classes=classes)), expected)


def test_a_field_that_was_left_empty_asks_for_nothing(client):
    np.testing.assert_array_equal(picture(ask(client, classes="")), picture(ask(client)))


def test_json_lists_only_the_classes_asked_for(client):
    listed = ask(client, format="stats", classes="2,0").json()["classes"]
    assert [entry["name"] for entry in listed] == ["class0", "class2"]
    assert [entry["pixels"] for entry in listed] == [(MASK == 0).sum(), (MASK == 2).sum()]


@pytest.mark.parametrize("asked", ["clas1", "4", "-1", "1,", "99999999999", "²"])
def test_an_unknown_class_is_refused_with_the_classes_that_there_are(client, asked):
    response = ask(client, classes=asked)
    assert response.status_code == 400
    assert "class0, class1, class2, class3" in response.json()["detail"]


def test_size_of_the_model_gives_the_mask_as_it_was_computed(client):
    enlarged = np.repeat(np.repeat(IMAGE, 3, axis=0), 3, axis=1)
    assert picture(ask(client, enlarged, size="model")).shape == SIZE
    assert picture(ask(client, enlarged, size="model", format="overlay")).shape == (*SIZE, 3)
    assert picture(ask(client, enlarged)).shape == enlarged.shape[:2]


def test_alpha_is_the_opacity_of_the_colours(client):
    drawn = picture(ask(client, format="overlay", alpha=0.25))
    assert np.abs(drawn - (0.75 * IMAGE + 0.25 * PALETTE[MASK])).max() < JPEG_TOLERANCE


def test_legend_shows_the_classes_present_beside_the_picture(client):
    plain = picture(ask(client, format="overlay", classes="1,2"))
    with_legend = picture(ask(client, format="overlay", classes="1,2", legend=True))
    height, width = plain.shape[:2]
    assert with_legend.shape[0] == max(height, 2 * ROW_PX)
    assert np.abs(with_legend[:height, : width - 8].astype(int) - plain[:, :-8]).max() < JPEG_TOLERANCE
    for row, index in enumerate((1, 2)):
        swatch = with_legend[row * ROW_PX + ROW_PX // 2, width + ROW_PX // 2]
        assert np.abs(swatch.astype(int) - PALETTE[index]).max() < JPEG_TOLERANCE


def test_legend_makes_a_low_picture_higher(client):
    assert picture(ask(client, IMAGE[:10], format="overlay", legend=True)).shape[0] == 4 * ROW_PX


@pytest.mark.parametrize(
    "params", [{"alpha": 1.5}, {"alpha": "nan"}, {"size": "tiny"}, {"tolerance": -1}, {"legend": "perhaps"}]
)
def test_options_out_of_range_are_refused(client, params):
    response = ask(client, **params)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")


def test_confidence_is_a_grey_png(sure_client):
    np.testing.assert_array_equal(picture(ask(sure_client, format="confidence")), tiny_confidence(IMAGE))


def test_confidence_is_zero_where_the_class_is_not_asked_for(sure_client):
    expected = np.where(MASK == 2, tiny_confidence(IMAGE), 0)
    np.testing.assert_array_equal(picture(ask(sure_client, format="confidence", classes="2")), expected)


def test_confidence_without_the_output_is_refused_with_the_way_out(client):
    response = ask(client, format="confidence")
    assert response.status_code == 400
    assert "'tiny:1' has no output 'confidence'" in response.json()["detail"]


def test_statistics_hold_the_mean_confidence_of_each_class(sure_client):
    entries = ask(sure_client, format="stats").json()["classes"]
    expected = [tiny_confidence(IMAGE)[index == MASK].mean() / 255 for index in range(4)]
    assert [entry["confidence"] for entry in entries] == pytest.approx(expected)


def test_statistics_have_no_confidence_where_the_model_has_none(client):
    assert [entry["confidence"] for entry in ask(client, format="stats").json()["classes"]] == [None] * 4


def test_confidence_works_where_one_thread_does_everything(tmp_path):
    package = write_tiny_package(tmp_path / "dynamic", size=None, confidence=True)
    with app_client(ServeSettings(package=package.path, threads=1, codec_threads=0)) as client:
        image = gradient(37, 53)
        np.testing.assert_array_equal(
            picture(ask(client, image, format="confidence")), tiny_confidence(image)
        )


def test_a_turned_jpeg_is_answered_upright(client):
    upright = gradient(64, 48)
    response = client.post("/v1/segment?format=stats", content=rotated_jpeg(upright)).json()
    assert (response["width"], response["height"]) == (48, 64)
