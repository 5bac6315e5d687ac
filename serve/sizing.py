"""How many processes, and how many threads in each, where nobody has said."""

import os
from functools import cache
from pathlib import Path

from modelpack.runtimes.cuda_libraries import missing_device
from serve.settings import ServeSettings

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def worker_count(settings: ServeSettings) -> tuple[ServeSettings, int]:
    """The settings as workers get them, and how many workers there are.

    On the CPU one worker for each core with one thread each: images do not wait for each other there, and a
    batch costs as much as its images one by one. On a GPU one worker, whose batches fill it. Where requests
    are to be joined, codecs have threads of their own.
    """
    on_gpu = runs_on_gpu(settings)
    cores = max(1, int(usable_cores()))
    usual = 1 if on_gpu else cores
    count = usual if settings.workers == "auto" else settings.workers
    if on_gpu:
        return settings, count
    threads = settings.threads or max(1, cores // count)
    codec_threads = settings.codec_threads
    if codec_threads == "auto" and threads == 1 and settings.batching.enabled is not True:
        codec_threads = 0
    return settings.model_copy(update={"threads": threads, "codec_threads": codec_threads}), count


def runs_on_gpu(settings: ServeSettings) -> bool:
    """Whether the graph is computed there, as far as can be told before it is loaded."""
    return settings.device != "cpu" and _has_gpu()


def usable_cores() -> float:
    """Cores that this process may use: those it is bound to, less where a container's quota is smaller."""
    cores = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_LIMIT.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else min(cores, int(quota) / int(period))


@cache
def _has_gpu() -> bool:
    """Asked in a process of its own: CUDA cannot be used in the children of a process that has touched it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if missing_device() is None else 1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0
