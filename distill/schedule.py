"""Learning rate by step: linear warm-up, then polynomial or cosine decay to zero."""

import math


def poly_lr(step: int, *, peak: float, steps: int, power: float, warmup_steps: int = 0) -> float:
    """Learning rate of optimiser step `step`, counted from 0 (the published recipe: power 0.9, no warm-up).

    During warm-up the rate rises linearly and reaches `peak * decay(warmup_steps)` exactly at its end.
    """
    if step < warmup_steps:
        return float((step + 1) / (warmup_steps + 1) * peak * (1 - warmup_steps / steps) ** power)
    return float(peak * (1 - step / steps) ** power)


def cosine_lr(step: int, *, peak: float, steps: int, warmup_steps: int = 0) -> float:
    """Learning rate of optimiser step `step`, counted from 0: linear to `peak`, then half a cosine to 0.

    Published pre-training changes it once an epoch; ours with every step.
    """
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    return peak * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps))) / 2
