"""The page in a real browser: Chromium as the system has it, driven by Playwright, on a server of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serve.keys import Scope, add_key
from tests.serve.conftest import SIZE, RunningServer, running_server
from tests.serve.pictures import gradient, png
from tests.tiny_package import write_tiny_package

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PATIENCE_MS = 20_000
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="package")
def chromium() -> Iterator["Browser"]:
    playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"there is no browser here: none of {', '.join(BROWSERS)} (Debian: apt install chromium)")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FAKE_CAMERA))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def two_packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Four classes with confidence, and three of them without."""
    folder = tmp_path_factory.mktemp("web")
    first = write_tiny_package(folder / "tiny", size=SIZE, confidence=True)
    second = write_tiny_package(folder / "other", size=SIZE, num_classes=3, name="other")
    return first.path, second.path


@pytest.fixture(scope="package")
def server(two_packages: tuple[Path, Path]) -> Iterator[RunningServer]:
    first, second = two_packages
    with running_server(first, f"more_packages=['{second}']") as server:
        yield server


@pytest.fixture(scope="package")
def locked(two_packages: tuple[Path, Path]) -> Iterator[tuple[RunningServer, str]]:
    """A server that asks for a key, and the key."""
    keys = two_packages[0].parent / "keys.txt"
    secret = add_key(keys, "page", [Scope.INFER])
    with running_server(two_packages[0], f"keys={keys}") as server:
        yield server, secret


@pytest.fixture
def open_page(chromium: "Browser") -> Iterator["Callable[..., Page]"]:
    """Opens an address in a tab without a past. No page may throw or break its own content policy."""
    contexts, wrongs = [], []

    def open_one(url: str, **options: object) -> "Page":
        contexts.append(chromium.new_context(**({"viewport": DESKTOP} | options)))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrongs.append(str(error)))
        page.on(
            "console",
            lambda line: wrongs.append(line.text) if "Content Security Policy" in line.text else None,
        )
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not wrongs


@pytest.fixture
def page(open_page: "Callable[..., Page]", server: RunningServer) -> "Page":
    page = open_page(server.url)
    page.locator("#samples img").first.wait_for()
    return page


@pytest.fixture
def segmented(page: "Page") -> "Page":
    """The page with a gradient from dark to bright that the first model has segmented."""
    choose(page, png(gradient()))
    page.locator("#result").wait_for()
    return page


def choose(page: "Page", content: bytes, name: str = "gradient.png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})
