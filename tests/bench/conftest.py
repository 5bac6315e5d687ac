"""Packages and one measurement of known delays, shared by the tests of this folder."""

import json

import pytest

from bench.config import BenchConfig, WarmUpConfig
from bench.measure import measure
from modelpack.runtimes import RUNTIMES
from tests.bench.fake_runtimes import FAKES
from tests.tiny_package import write_tiny_package

QUICK_WARM_UP = WarmUpConfig(window_runs=2, window_seconds=0, windows=2, tolerance=10, min_seconds=0)
"""Two windows always agree: what the warm-up rule does is tested on a clock of its own."""


@pytest.fixture(scope="package", autouse=True)
def _fake_runtimes_are_in_the_table():
    RUNTIMES.update(FAKES)
    yield
    for name in FAKES:
        del RUNTIMES[name]


@pytest.fixture(scope="package")
def packages(tmp_path_factory):
    """Folders `slow` (with claims) and `fast` (without)."""
    root = tmp_path_factory.mktemp("packages")
    num_classes = {"slow": 4, "fast": 5}  # different files: claims belong to a file
    folders = {
        name: write_tiny_package(root / name, name=name, num_classes=count).path
        for name, count in num_classes.items()
    }
    manifest = folders["slow"] / "manifest.json"
    values = json.loads(manifest.read_text())
    facts = {"dataset": "camvid", "split": "test", "images": 233, "image_size": [360, 480], "device": "cpu"}
    values["claims"] = [
        {"name": "miou", "value": 0.6543, "artifact": "onnx-fp32", **facts},
        {"name": "miou", "value": 0.6789, "artifact": "reference", **facts},
    ]
    manifest.write_text(json.dumps(values))
    return folders


@pytest.fixture(scope="package")
def quick(packages):
    """Settings for a quick measurement on a fake runtime."""

    def config(runtime="paced", **changes):
        settings = {
            "packages": {"slow": packages["slow"], "fast": packages["fast"]},
            "runtimes": [runtime],
            "batch_sizes": [1, 2],
            "samples": 16,
            "rounds": 4,
            "warm_up": QUICK_WARM_UP,
        }
        return BenchConfig.model_validate({**settings, **changes})

    return config


@pytest.fixture(scope="package")
def result(quick):
    """Slow and fast side by side, graph and image, batches of 1 and 2."""
    return measure(quick())
