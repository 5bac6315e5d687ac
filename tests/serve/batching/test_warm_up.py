"""What happens on a GPU before the first client comes, over a runtime that says it is on one."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.package import ModelPackage
from modelpack.runtimes import cuda_libraries
from serve import ServeSettings
from serve.batching.line import open_line
from serve.batching.metrics import BatchMetrics
from serve.batching.scheduler import Scheduler
from serve.model import ServedModel
from tests.serve.batching.conftest import picture
from tests.serve.conftest import app_client
from tests.serve.pictures import png
from tests.serve.test_images import mask_of
from tests.tiny_package import tiny_answer

HAS_CUDA = cuda_libraries.missing_device() is None


class OnDevice:
    """A runtime that says it is on a GPU with memory for so many images."""

    device = "cuda:0"

    def __init__(self, most_images: int) -> None:
        self.most_images = most_images
        self.runs: list[int] = []

    def run_gathered(self, images):
        self.runs.append(sum(map(len, images)))
        if self.runs[-1] > self.most_images:
            raise SegError("out of memory.")
        return {"mask": np.zeros((self.runs[-1], 48, 64), np.uint8)}

    run = run_gathered


def on_device(package, runtime, **batching):
    opened = ModelPackage.open(package)
    model = ServedModel(opened.manifest, opened.artifact(), runtime, opened.manifest_sha256, "")
    settings = ServeSettings(package=package, batching=batching)
    return open_line(model, settings, Scheduler(BatchMetrics(CollectorRegistry())))


def test_on_a_gpu_every_number_of_images_is_tried_before_clients_come(package):
    runtime = OnDevice(most_images=8)
    line = on_device(package, runtime, max_images=3)
    assert runtime.runs == [1, 1, 2, 2, 3, 3]
    assert line.times.usual_s((48, 64), 3) > 0


def test_a_gpu_without_memory_for_so_many_images_says_what_to_set(package):
    with pytest.raises(RuntimeUnavailableError, match=r"3 images in a run: .* Set batching\.max_images to"):
        on_device(package, OnDevice(most_images=2), max_images=3)


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device")
def test_on_cuda_the_service_joins_and_answers(package):
    with app_client(ServeSettings(package=package, device="cuda", runtime="onnxruntime")) as client:
        assert client.get("/v1/model").json()["batching"]["max_images"] == 8
        image = picture(0)
        answer = client.post("/v1/segment", content=png(image))
        assert np.array_equal(mask_of(answer), tiny_answer(image))
        assert "batch;dur=" in answer.headers["server-timing"]
