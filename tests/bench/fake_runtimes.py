"""Runtimes of known behaviour, loaded by the workers through the runtimes table."""

import os
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes.runtime import StageTimes

DELAYS_S = {"slow": 0.020, "fast": 0.004}
"""Duration of a call, by the folder name of the package."""
FAKES = {
    name: f"tests.bench.fake_runtimes:{cls}"
    for name, cls in {
        "paced": "Paced",
        "failing": "Failing",
        "dying": "Dying",
        "killed": "Killed",
        "chatty": "Chatty",
        "unloadable": "Unloadable",
        "unavailable": "Unavailable",
        "plans-only": "PlansOnly",
        "on-gpu": "OnGpu",
    }.items()
}


class Paced:
    """Sleeps as long as its package's name says, per call, whatever the batch."""

    name = "paced"
    artifact_kinds = frozenset({"onnx"})
    device = "cpu"
    provider = "sleep"

    def __init__(self, model_path, *, device, threads):
        self._delay_s = DELAYS_S.get(Path(model_path).parent.name, 0.0)
        self._threads = threads

    def run(self, images_nhwc_u8):
        time.sleep(self._delay_s)
        return {"mask": np.zeros(images_nhwc_u8.shape[:3], np.uint8)}

    def describe(self):
        return {"threads": self._threads, "opencv_threads": cv2.getNumThreads()}

    def close(self):
        pass


class Failing(Paced):
    def run(self, images_nhwc_u8):
        raise RuntimeError(f"no answer for a batch of {len(images_nhwc_u8)}")


class Dying(Paced):
    def run(self, images_nhwc_u8):
        os.write(2, b"the device fell off the bus")
        os._exit(3)


class Killed(Paced):
    def run(self, images_nhwc_u8):
        os.kill(os.getpid(), signal.SIGKILL)


class Chatty(Paced):
    """Prints where only replies belong."""

    def run(self, images_nhwc_u8):
        sys.stdout.write("a library that talks\n")
        os.write(1, b"and one that talks below Python\n")
        return super().run(images_nhwc_u8)


class Unloadable(Paced):
    def __init__(self, model_path, *, device, threads):
        raise ValueError(f"cannot load with {threads} threads")


class Unavailable(Paced):
    def __init__(self, model_path, *, device, threads):
        raise RuntimeUnavailableError("the accelerator is not in this machine")


class PlansOnly(Paced):
    artifact_kinds = frozenset({"tensorrt"})


class OnGpu(Paced):
    """Says that it runs on a GPU, and tells the stages of a call, the third longer than the others."""

    device = "cuda:0"

    def __init__(self, model_path, *, device, threads):
        super().__init__(model_path, device=device, threads=threads)
        self._timed_calls = 0

    def run_timed(self, images_nhwc_u8):
        self._timed_calls += 1
        compute_ms = 100.0 if self._timed_calls == 3 else 7.0
        return super().run(images_nhwc_u8), StageTimes(
            enqueue_ms=None, h2d_ms=0.5, compute_ms=compute_ms, d2h_ms=0.25, host_ms=compute_ms + 1
        )
