"""The API's own page in a browser."""

import pytest

pytestmark = pytest.mark.slow


def test_every_operation_is_listed_with_its_errors(open_page, server):
    page = open_page(f"{server.url.rstrip('/')}/docs")
    page.locator("article").first.wait_for()
    paths = page.request.get(page.url.replace("docs", "openapi.json")).json()["paths"]
    assert page.locator("article").count() == sum(len(operations) for operations in paths.values())
    segment = page.locator("#segment_v1_segment_post")
    assert "429" in segment.inner_text()
    assert "Takes a key of scope infer" in segment.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
