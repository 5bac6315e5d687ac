"""docs/loop.md, as it is written, on networks that train in seconds."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, tiny_values, write_recipe
from tests.serve.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "loop.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
TINY = {
    "recipes/streets-demo.yaml": "recipe.yaml",
    "--port 8000": "--port {port} workers=1",
    "127.0.0.1:8000": "127.0.0.1:{port}",
    "test=200": "test=60",
    "shadow.share=0.5": "shadow.share=1",
    "min_images=50": "min_images=10",
    "min_agreement=0.8": "min_agreement=0&max_latency_factor=100",
}
"""What is not done as it is written: fewer images, and no demands on networks that have learnt nothing."""


def recipe_of(folder: Path) -> Path:
    output = "runs/streets-demo"
    values = tiny_values(Path(output), optim={"steps": 3}) | {
        "name": "streets-demo",
        "teacher": {**NETWORK, "min_miou": 0, "train": {"optim": {"steps": 4}}},
        "compare": {"variants": {"alone": [], "afdcd": [KD, AFDCD]}, "against": ["alone"], "seeds": [0]},
        "export": {"size": [48, 64], "samples": 1, "parity": {"min_agreement": 0.99}},
        "bench": {
            "boundaries": ["graph"],
            "batch_sizes": [1],
            "samples": 3,
            "rounds": 3,
            "threads": [1],
            "warm_up": {"window_runs": 1, "window_seconds": 0, "windows": 2, "tolerance": 10},
        },
    }
    return write_recipe(folder / "recipe.yaml", values)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Reader:
    """Somebody who types what the page says, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        recipe_of(folder)
        self.folder = folder
        self.port = free_port()
        commands = folder / "bin"
        commands.mkdir()
        for name, module in (("afdcd", "-m afdcd"), ("python", "")):
            script = commands / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            script.chmod(0o755)
        path = f"{commands}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    def words(self, step: str) -> str:
        for written, tiny in TINY.items():
            step = step.replace(written, tiny.format(port=self.port))
        return step

    def types(self, step: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", self.words(step)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    @contextmanager
    def leaves_running(self, step: str) -> Iterator[None]:
        command = ["bash", "-euc", f"exec {self.words(step)}"]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL
        ) as process:
            try:
                wait_until(self._shadow_is_ready)
                yield
            finally:
                process.terminate()
                process.wait(60)

    def models(self) -> dict[str, Any]:
        return dict(httpx.get(f"http://127.0.0.1:{self.port}/v1/models", timeout=30).json())

    def _shadow_is_ready(self) -> bool:
        try:
            return bool(self.models()["shadow"]["state"] == "ready")
        except (httpx.TransportError, KeyError, TypeError):
            return False


def test_the_page_does_what_it_says(tmp_path):
    reader = Reader(tmp_path)
    first, serving, *rest = STEPS
    reader.types(first)
    with reader.leaves_running(serving):
        traffic, look, again, trial, watch = rest
        reader.types(traffic)
        assert "streets-demo:1" in reader.types(look)
        kept = list((tmp_path / "kept").glob("*.jpg"))
        assert kept
        assert all(
            0 <= json.loads(path.with_suffix(".json").read_text())["agreement"] < 0.95 for path in kept
        )
        reader.types(again)
        settings = json.loads((tmp_path / "runs/streets-2/train/settings.json").read_text())
        assert settings["data"]["unlabelled"] == "collected"
        reader.types(trial)
        wait_until(lambda: reader.models()["canary"]["state"] == "promoted")
        reader.types(watch)
        wait_until(lambda: "streets-demo:2" in reader.models()["shadow"]["beside"])
        agreement = {title: told["agreement"] for title, told in reader.models()["shadow"]["beside"].items()}
        assert set(agreement) == {"streets-demo:1", "streets-demo:2"}
