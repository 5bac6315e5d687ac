"""Our worker against a plain loop on the same graph, call for call in turn. `-s` shows the figure."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.messages import OpenOrder, TimeOrder
from bench.statistics import median_ratio
from bench.worker_process import WorkerProcess
from modelpack.runtimes import RUNTIMES
from tests.tiny_package import write_tiny_package

SIZE = (240, 320)
LAYERS = 1
"""A product of two 1024 x 1024 matrices: some tens of milliseconds a call, as a small network takes."""
ROUNDS, CALLS, SETTLE = 100, 5, 1
MOST = 0.05
"""Largest difference that is called agreement."""


@pytest.mark.slow
def test_latency_agrees_with_a_plain_loop(tmp_path, capsys):
    package = write_tiny_package(tmp_path / "package", size=SIZE, slow_layers=LAYERS, num_samples=1)
    plain = [sys.executable, str(Path(__file__).parent / "plain_loop.py"), str(package.artifact_path())]
    order = OpenOrder(
        package=package.path,
        artifact="onnx-fp32",
        runtime="onnxruntime",
        runtime_table=dict(RUNTIMES),
        device="cpu",
        threads=1,
        input_size=SIZE,
        images=(next(package.samples())[1],),
    )
    visit = TimeOrder(boundary="graph", batch=1, settle_runs=SETTLE, seconds=1, samples=CALLS, stage_runs=0)
    ours_ms, theirs_ms = [], []
    with (
        WorkerProcess("ours") as worker,
        subprocess.Popen(
            [*plain, *map(str, SIZE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as loop,
    ):
        worker.open(order)
        for _ in range(ROUNDS):
            ours_ms.append(worker.time(visit).samples_ms)
            loop.stdin.write(f"{SETTLE + CALLS}\n")
            loop.stdin.flush()
            theirs_ms.append(json.loads(loop.stdout.readline())[SETTLE:])
        loop.stdin.close()
    ratio = median_ratio(ours_ms, theirs_ms, seed=0)
    with capsys.disabled():
        ours, theirs = np.median(np.concatenate(ours_ms)), np.median(np.concatenate(theirs_ms))
        sys.stdout.write(
            f"\nbench {ours:.2f} ms, plain loop {theirs:.2f} ms over {ROUNDS} rounds of {CALLS}: ratio "
            f"{ratio.value:.4f}, 95% interval [{ratio.lower:.4f}, {ratio.upper:.4f}]\n"
        )
    assert ratio.lower < 1 + MOST
    assert ratio.upper > 1 - MOST
