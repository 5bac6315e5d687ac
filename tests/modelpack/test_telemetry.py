"""What runs a model tells nobody about it."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
import modelpack.runtimes.onnxruntime
print([file for file in map(os.path.realpath, os.scandir("/proc/self/fd")) if "onnxruntime.db" in file])
"""
"""Prints where ONNX Runtime keeps what it is going to send."""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are seen in /proc")
def test_onnx_runtime_keeps_nothing_to_send(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
