"""How images come to the page, what it says where that fails, and how it asks for a key."""

import base64

import pytest

from tests.serve.pictures import gradient, png
from tests.serve.web.conftest import choose

pytestmark = pytest.mark.slow

GOOD = png(gradient())
MAKE_TRANSFER = """
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "shot.png", {type: "image/png"}));
"""
WITHHOLD = """
    for (const name of ["mediaDevices", "clipboard"])
        Object.defineProperty(navigator, name, {value: undefined});
"""
HAND_OVER = {
    "paste": "new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true})",
    "drop": "new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})",
}


@pytest.mark.parametrize("way", HAND_OVER)
def test_an_image_may_be_pasted_or_dropped(page, way):
    page.evaluate(
        f"(encoded) => {{ {MAKE_TRANSFER} document.body.dispatchEvent({HAND_OVER[way]}); }}",
        base64.b64encode(GOOD).decode(),
    )
    page.locator("#result").wait_for()
    assert page.locator("#downloads a").get_attribute("download") == "shot-mask.png"


def test_a_sample_of_the_package_may_be_chosen(page):
    page.get_by_role("button", name="Sample 2").click()
    page.locator("#result").wait_for()
    assert page.locator("#downloads a").get_attribute("download") == "sample-1-mask.png"


def test_the_camera_gives_a_picture(page):
    page.locator("#camera").click()
    page.get_by_role("button", name="Take the picture").click()
    page.locator("#result").wait_for()
    assert page.locator("#viewfinder").evaluate("video => video.srcObject") is None


@pytest.mark.parametrize(
    ("button", "says"),
    [("#camera", "Browsers open the camera only to pages from https"), ("#paste", "Press Ctrl+V")],
)
def test_what_plain_http_withholds_is_explained(open_page, server, button, says):
    page = open_page(server.url)
    page.add_init_script(WITHHOLD)
    page.reload()
    page.locator("#samples img").first.wait_for()
    page.locator(button).click()
    assert says in page.locator("#hint").inner_text()
    assert page.locator("#capture").is_visible() == (button == "#camera")


def test_a_refused_image_shows_the_sentence_of_the_service(page):
    choose(page, b"no image", "letter.png")
    problem = page.get_by_role("alert")
    problem.wait_for()
    answer = page.request.post(f"{page.url}v1/segment", data=b"no image").json()
    assert problem.inner_text().lower() == answer["detail"].lower()
    choose(page, GOOD)
    page.locator("#result").wait_for()
    assert not problem.is_visible()


def test_a_key_is_asked_for_and_kept_in_the_tab(open_page, locked):
    server, secret = locked
    page = open_page(server.url)
    dialog = page.get_by_role("dialog", name="API key")
    dialog.wait_for()
    page.get_by_label("Key", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("the API key is not known").wait_for()
    page.get_by_label("Key", exact=True).fill(secret)
    page.keyboard.press("Enter")
    page.locator("#samples img").first.wait_for()
    choose(page, GOOD)
    page.locator("#result").wait_for()
    assert page.evaluate("[Object.values(sessionStorage), localStorage.length]") == [[secret], 0]
    page.get_by_role("button", name="Forget the key").click()
    dialog.wait_for()
    assert page.evaluate("sessionStorage.length") == 0


def test_who_has_no_key_is_told_what_is_needed(open_page, locked):
    page = open_page(locked[0].url)
    page.get_by_role("button", name="Cancel").click()
    problem = page.get_by_role("alert")
    problem.wait_for()
    assert "This needs an API key" in problem.inner_text()
