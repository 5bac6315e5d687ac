"""What the page shows of an answer, and how it is handled with a mouse, with keys and on a phone."""

import json

import numpy as np
import pytest

from modelpack.labels import distinct_palette
from modelpack.png import decode_png_labels
from tests.serve.pictures import gradient, png, rotated_jpeg
from tests.serve.web.conftest import choose
from tests.tiny_package import tiny_answer, tiny_confidence

pytestmark = pytest.mark.slow

IMAGE = gradient()
MASK = tiny_answer(IMAGE)
HEIGHT, WIDTH = MASK.shape
PIXELS = np.bincount(MASK.ravel(), minlength=4).tolist()
PALETTE = distinct_palette(4)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def hover(page, column, row):
    """Put the pointer on the middle of a pixel of the image."""
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(
        box["x"] + (column + 0.5) * box["width"] / WIDTH, box["y"] + (row + 0.5) * box["height"] / HEIGHT
    )


def painted(page, column, row, layer="colours"):
    """RGBA of a layer of colours at a pixel."""
    return page.evaluate(
        "([id, x, y]) => [...document.getElementById(id).getContext('2d').getImageData(x, y, 1, 1).data]",
        [layer, column, row],
    )


def slide(page, name, value):
    page.locator(name).fill(str(value))


def test_the_legend_lists_the_classes_by_their_shares(segmented):
    shares = {f"class{index}": count / MASK.size for index, count in enumerate(PIXELS) if count}
    rows = [row.split("\n") for row in segmented.locator("#legend button").all_inner_texts()]
    assert {name for name, _ in rows} == shares.keys()
    for name, share in rows:
        assert float(share.removesuffix(" %")) == pytest.approx(100 * shares[name], abs=0.5)


def test_the_result_is_told_to_screen_readers(segmented):
    status = segmented.get_by_role("status")
    assert "64 × 48 pixels. tiny:1: class" in status.inner_text()


def test_every_pixel_has_the_colour_of_its_class(segmented):
    for column in range(0, WIDTH, 9):
        assert painted(segmented, column, 5) == [*PALETTE[MASK[5, column]], 255]


def test_the_opacity_slider_fades_the_colours(segmented):
    slide(segmented, "#opacity", 20)
    assert segmented.locator("#colours").evaluate("canvas => getComputedStyle(canvas).opacity") == "0.2"
    assert segmented.locator("#opacity-value").inner_text() == "20 %"


def test_a_click_on_a_class_hides_it_and_another_shows_it(segmented):
    button = segmented.get_by_role("button", name="class1")
    column = int(np.argmax(MASK[0] == 1))
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert painted(segmented, column, 0)[3] == 0
    button.click()
    assert painted(segmented, column, 0)[3] == 255


def test_the_pointer_reads_class_and_confidence(segmented):
    sure = round(100 * int(tiny_confidence(IMAGE)[20, 50]) / 255)
    readout = segmented.locator("#readout")
    hover(segmented, 50, 20)
    readout.get_by_text(f"class{MASK[20, 50]}, {sure} % sure").wait_for()
    assert "at 50, 20" in readout.inner_text()


def test_all_can_be_done_with_keys(page):
    page.locator("#samples button").first.focus()
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert "at 34, 25" in page.locator("#spoken").inner_text()
    page.locator("#opacity").focus()
    page.keyboard.press("End")
    assert page.locator("#opacity-value").inner_text() == "100 %"
    page.locator("#legend button").first.focus()
    page.keyboard.press("Space")
    assert page.locator("#legend button").first.get_attribute("aria-pressed") == "false"


def test_two_models_meet_at_the_slider(segmented):
    segmented.select_option("#against", "other:1")
    segmented.locator("#divider").wait_for()
    assert "Both name the same class in" in segmented.locator("#status").inner_text()
    slide(segmented, "#split", 25)
    clips = [
        segmented.locator(layer).evaluate("canvas => canvas.style.clipPath")
        for layer in ("#colours", "#colours-against")
    ]
    assert clips == ["inset(0px 75% 0px 0px)", "inset(0px 0px 0px 25%)"]
    hover(segmented, 60, 10)
    assert "tiny:1: class3" in segmented.locator("#readout").inner_text()
    assert "other:1: class2" in segmented.locator("#readout").inner_text()


def test_the_line_between_two_models_can_be_dragged(segmented):
    segmented.select_option("#against", "other:1")
    segmented.locator("#handle").wait_for()
    hover(segmented, 31.5, 24)
    segmented.mouse.down()
    hover(segmented, 47.5, 24)
    segmented.mouse.up()
    hover(segmented, 10, 24)
    assert float(segmented.locator("#split").input_value()) == pytest.approx(75, abs=1)


def test_the_waterfall_has_the_stages_of_service_and_browser(segmented):
    rows = segmented.locator(".waterfall tbody th").all_inner_texts()
    assert rows[0].startswith("Upload")
    assert rows[-2:] == ["Download", "Read the mask"]
    assert {"Decode the image", "Run the graph", "Encode the mask"} < set(rows)


def test_the_label_map_is_downloaded_as_it_came(segmented, tmp_path):
    with segmented.expect_download() as download:
        segmented.get_by_role("link", name="Label map").click()
    assert download.value.suggested_filename == "gradient-mask.png"
    download.value.save_as(tmp_path / "mask.png")
    np.testing.assert_array_equal(decode_png_labels((tmp_path / "mask.png").read_bytes()), MASK)


def test_the_statistics_are_downloaded(segmented, tmp_path):
    with segmented.expect_download() as download:
        segmented.get_by_role("button", name="Statistics").click()
    download.value.save_as(tmp_path / "statistics.json")
    statistics = json.loads((tmp_path / "statistics.json").read_text())
    assert [entry["pixels"] for entry in statistics["classes"]] == PIXELS


def test_a_turned_photograph_is_shown_upright_under_its_colours(page):
    choose(page, rotated_jpeg(gradient(200, 100)), "turned.jpg")
    page.locator("#result").wait_for()
    size = page.locator("#picture").evaluate("canvas => [canvas.width, canvas.height]")
    assert size == [100, 200]
    assert "100 × 200 pixels" in page.locator("#status").inner_text()


def test_a_large_image_is_made_smaller_for_the_screen_only(page):
    choose(page, png(gradient(8, 3000)))
    page.locator("#result").wait_for()
    assert page.locator("#picture").evaluate("canvas => canvas.width") == 2048
    assert "3000 × 8 pixels" in page.locator("#status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(open_page, server, scheme):
    page = open_page(server.url, color_scheme=scheme, **PHONE)
    page.locator("#samples button").first.tap()
    page.locator("#result").wait_for()
    page.select_option("#against", "other:1")
    page.locator("#divider").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
