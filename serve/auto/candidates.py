"""What could serve a package on this machine: runtimes, and cores divided into workers and threads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from serve.batching.settings import BatchingSettings
from serve.settings import ServeSettings

CODEC_THREADS_ON_GPU = (1, 2, 4, 8)
RUN_IMAGES_ON_GPU = (1, 4, 8, 16, 32)


@dataclass(frozen=True)
class Candidate:
    """One way to serve."""

    runtime: str
    workers: int
    threads: int
    """Of one inference; 0 is the runtime's own choice."""
    codec_threads: int
    """Beside the graph, in each worker; 0: the thread that computes also decodes and encodes."""
    run_images: int | None = None
    """Most images of several requests in one run; 1: each alone. None: as the settings have it."""

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}" if self.threads else "its own threads"
        codecs = f" + {self.codec_threads} for codecs" if self.codec_threads else ""
        runs = f", runs of up to {self.run_images}" if (self.run_images or 1) > 1 else ""
        return f"{self.workers} x {threads}{codecs}, {self.runtime}{runs}"

    def laid_upon(self, settings: ServeSettings, artifact: str) -> ServeSettings:
        """The settings with which this candidate is measured, and then served."""
        return settings.model_copy(
            update={
                "artifact": artifact,
                "runtime": self.runtime,
                "workers": self.workers,
                "threads": self.threads,
                "codec_threads": self.codec_threads,
                "batching": self._batching(settings.batching),
            }
        )

    def _batching(self, asked: BatchingSettings) -> BatchingSettings:
        if self.run_images is None:
            return asked
        preferred = tuple(size for size in asked.preferred_sizes if size <= self.run_images)
        chosen = {"enabled": self.run_images > 1, "max_images": self.run_images, "preferred_sizes": preferred}
        return asked.model_copy(update=chosen)


def runtime_candidates(
    settings: ServeSettings, runtimes: Sequence[str], cores: int, on_gpu: bool
) -> list[Candidate]:
    """Every runtime with the division that is the default."""
    first = divisions(settings, cores, on_gpu)[0]
    joins = on_gpu and settings.batching.enabled == "auto" and first[-1] > 0
    return [
        Candidate(runtime, *first, settings.batching.max_images if joins else None) for runtime in runtimes
    ]


def other_divisions(settings: ServeSettings, leader: Candidate, cores: int, on_gpu: bool) -> list[Candidate]:
    """The leader's runtime with all divisions but the default."""
    return [
        Candidate(leader.runtime, *rest, leader.run_images) for rest in divisions(settings, cores, on_gpu)[1:]
    ]


def other_runs(leader: Candidate) -> list[Candidate]:
    """The leader with more and fewer images in a run, where it joins requests."""
    if leader.run_images is None:
        return []
    return [replace(leader, run_images=most) for most in RUN_IMAGES_ON_GPU if most != leader.run_images]


def divisions(settings: ServeSettings, cores: int, on_gpu: bool) -> list[tuple[int, int, int]]:
    """(workers, threads, codec threads), the default first; what the settings fix is not varied.

    On the CPU every way to give all cores to workers with equally many threads. On a GPU one worker, with
    more or fewer threads that decode and encode.
    """
    fixed = None if settings.codec_threads == "auto" else settings.codec_threads
    if on_gpu:
        workers = 1 if settings.workers == "auto" else settings.workers
        usual = min(2, cores)
        counts = [usual, *(count for count in CODEC_THREADS_ON_GPU if count <= cores and count != usual)]
        return [(workers, settings.threads, count) for count in ([fixed] if fixed is not None else counts)]
    whole = [count for count in range(cores, 0, -1) if cores % count == 0]
    if settings.workers != "auto":
        whole = [settings.workers]
    found = []
    for workers in whole:
        threads = settings.threads or max(1, cores // max(1, workers))
        shares_a_core = threads == 1 and settings.batching.enabled is not True
        codecs = fixed if fixed is not None else (0 if shares_a_core else 2)
        found.append((workers, threads, codecs))
    return found
