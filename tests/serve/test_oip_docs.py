"""The example of docs/open-inference-protocol.md runs as written."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np

from tests.serve.conftest import SIZE, RunningServer
from tests.serve.pictures import gradient, pillow

PAGE = Path(__file__).parents[2] / "docs" / "open-inference-protocol.md"
LARGE = gradient(SIZE[0] * 2, SIZE[1] * 2)


def block(language: str, server: RunningServer) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return code.replace("http://127.0.0.1:8000", server.url.rstrip("/")).replace(
        "127.0.0.1:8000", server.url.removeprefix("http://").rstrip("/")
    )


def test_the_python_example_gives_masks_of_both_sizes(server, tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(pillow(LARGE, "JPEG"))
    monkeypatch.chdir(tmp_path)
    before, mark, after = block("python", server).partition("# Pixels")
    names: dict = {}
    exec(before, names)
    assert names["mask"].shape == (1, *LARGE.shape[:2])
    exec(mark + after, names)
    np.testing.assert_array_equal(names["mask"], np.zeros((1, *SIZE), np.uint8))


def test_the_curl_line_gives_an_answer(server, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(pillow(LARGE, "JPEG"))
    command = block("sh", server).replace("NAME", "tiny")
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60
    )
    assert b'"outputs":[{"name":"mask"' in done.stdout
