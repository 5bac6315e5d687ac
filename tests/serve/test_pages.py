"""What the pages are made of, as the service sends it. A browser tries them in tests/serve/web."""

import re
from posixpath import join, normpath

import pytest

PAGES = ("/", "/docs")


def scripts_of(client, page):
    """Every module that the page loads, by way of its imports too: path -> source."""
    (first,) = re.findall(r'<script type="module" src="([^"]+)"></script>', client.get(page).text)
    sources: dict[str, str] = {}
    waiting = [f"/{first}"]
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "javascript" in answer.headers["content-type"]
        sources[path] = answer.text
        imports = re.findall(r'^import .* from "(.+)";$', answer.text, re.MULTILINE)
        found = {normpath(join(path, "..", name)) for name in imports}
        waiting += found - sources.keys()
    return sources


@pytest.mark.parametrize("page", PAGES)
def test_all_that_a_page_loads_is_here(client, page):
    styles = re.findall(r'rel="stylesheet" href="([^"]+)"', client.get(page).text)
    assert [client.get(f"/{path}").status_code for path in styles] == [200, 200]
    assert scripts_of(client, page)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_written_within_the_page_that_its_policy_would_have_to_allow(client, page):
    answer = client.get(page)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", answer.text)
    for source in scripts_of(client, page).values():
        assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|\beval\(|new Function|https?://", source)


def test_scripts_are_asked_for_anew_and_sent_once(client):
    first = client.get("/web/page/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/web/page/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_path_out_of_the_folder_is_not_found(client):
    assert client.get("/web/%2e%2e/app.py").status_code == 404
