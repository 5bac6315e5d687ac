"""What the supervisor imports for its workers: the runtime, and never one that starts threads."""

import os
import subprocess
import sys

import pytest

from serve.processes.preload import likely_runtime
from serve.settings import ServeSettings

PRELOAD = """
import sys, threading
from pathlib import Path
from serve.processes.preload import preload
from serve.settings import ServeSettings
preload(ServeSettings(package=sys.argv[1], device="cpu"))
tasks = len(list(Path("/proc/self/task").iterdir()))
sys.exit(0 if "onnxruntime" in sys.modules and tasks == 1 else f"{tasks} threads")
"""


def test_the_runtime_is_imported_and_no_thread_runs_when_workers_are_forked(package):
    # Threads of numpy's and OpenCV's BLAS are not meant: a fork makes them anew.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PRELOAD, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=alone)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "onnxruntime"),
        ({"runtime": "openvino"}, "openvino"),
        ({"artifact": "onnx-fp32"}, "onnxruntime"),
        ({"artifact": "nothing"}, None),
    ],
)
def test_the_likely_runtime_is_that_of_the_rules(settings, expected, package):
    assert likely_runtime(ServeSettings(package=package, **settings)) == expected


def test_a_package_that_cannot_be_read_is_left_to_the_workers(tmp_path):
    assert likely_runtime(ServeSettings(package=tmp_path)) is None
