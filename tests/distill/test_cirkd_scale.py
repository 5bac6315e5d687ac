"""CIRKD at its published size: a whole step of 16 crops of 512x1024, no pixel and no contrast left out."""

import logging
import time

import pytest
import torch

from distill.methods.cirkd import CirkdSettings, build_cirkd
from distill.methods.method import Pair, StepContext
from distill.networks.output import FeatureInfo
from distill.step_bench.memory import PeakMemory
from tests.distill.feature_pairs import output_of

log = logging.getLogger(__name__)

STRIDE, CHANNELS, CLASSES = 8, 256, 19
MOST_BYTES = 4e9


def take_step(images: int, height: int, width: int) -> tuple[int, float]:
    """Forward and backward pass by default settings. Peak bytes, maps and memories included; CPU seconds."""
    peak = PeakMemory(torch.device("cpu"))
    grid = (images, CHANNELS, height // STRIDE, width // STRIDE)
    torch.manual_seed(0)
    student, teacher = torch.randn(grid, requires_grad=True), torch.randn(grid)
    info = {"head": FeatureInfo(CHANNELS, STRIDE)}
    method = build_cirkd(CirkdSettings(), Pair(info, info, CLASSES))
    labels = torch.randint(0, CLASSES, (images, height, width), dtype=torch.uint8)
    began = time.process_time()
    terms = method(
        output_of(student, padded=(height, width)),
        output_of(teacher, padded=(height, width)),
        labels,
        StepContext(0, tuple(range(images))),
    )
    torch.stack(list(terms.values())).sum().backward()
    seconds = time.process_time() - began
    assert set(terms) == {"minibatch", "pixel", "region"}
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    bytes_taken = peak.extra_bytes()
    if bytes_taken is None:
        pytest.skip("this system does not tell a process's peak memory")
    return bytes_taken, seconds


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_step_of_the_published_batch_takes_less_than_4_gb() -> None:
    peak_bytes, seconds = take_step(16, 512, 1024)
    log.info("cirkd, 16x512x1024: peak %.2f GB, %.0f s of CPU time", peak_bytes / 1e9, seconds)
    assert peak_bytes < MOST_BYTES
