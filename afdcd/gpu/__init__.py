"""What only a GPU can prove, one file for each step: `python -m afdcd.gpu`. See docs/gpu.md."""

from afdcd.gpu.step import Step

STEPS: dict[str, Step] = {
    "device": Step("afdcd.gpu.device:run", least_s=20, limit_s=120),
    "replay": Step("afdcd.gpu.replay:run", least_s=20, limit_s=180),
    "losses": Step("afdcd.gpu.losses:run", least_s=40, limit_s=300),
    "distil": Step("afdcd.gpu.distil:run", least_s=120, limit_s=24 * 3600),
    "export": Step("afdcd.gpu.export:run", least_s=60, limit_s=400),
    "latency": Step("afdcd.gpu.latency:run", least_s=90, limit_s=400),
    "tensorrt": Step("afdcd.gpu.tensorrt:run", least_s=60, limit_s=300),
    "service": Step("afdcd.gpu.service:run", least_s=60, limit_s=240),
    "tests": Step("afdcd.gpu.gpu_tests:run", least_s=40, limit_s=400),
}
"""In order; a new step is a file beside this and a line here. Each writes OUT/<name>.json."""
