"""What the device can do at best: a large copy, a large matrix product."""

import torch

from afdcd.gpu.timing import median_seconds

COPY_BYTES = 1 << 32
"""Larger than any cache."""
MATRIX_SIDE = 8192


def copy_gb_per_s(device: torch.device, size_bytes: int = COPY_BYTES, runs: int = 20) -> float:
    """Bytes read plus bytes written, by a copy within the device's memory."""
    source = torch.zeros(size_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = median_seconds(lambda: target.copy_(source), device, runs=runs)
    return 2 * size_bytes / seconds / 1e9


def matmul_tflop_per_s(
    device: torch.device, side: int = MATRIX_SIDE, dtype: torch.dtype = torch.bfloat16, runs: int = 20
) -> float:
    """A square product, 2 * side^3 operations, of random numbers: zeros draw less power and run faster."""
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = torch.empty(side, side, device=device, dtype=dtype)
    seconds = median_seconds(lambda: torch.matmul(left, right, out=product), device, runs=runs)
    return 2 * side**3 / seconds / 1e12
