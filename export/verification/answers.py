"""Does every artifact, in every runtime of this machine, still answer as the network did?"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from export.verification.check import Check, judged, not_run
from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.replay import least_agreement, replay
from modelpack.runtimes import RUNTIMES
from modelpack.runtimes.runtime import Runtime, RuntimeClass
from modelpack.tables import resolve

CHECK = "replay"
MAX_SAMPLE_PIXELS = 1 << 28
"""Samples are our own, but a package may come from anywhere."""


@dataclass(frozen=True)
class Place:
    """One artifact in one runtime: where it can run here, or why it cannot."""

    artifact: Artifact
    runtime: str
    device: Literal["cpu", "cuda"]
    obstacle: str | None

    def open(self, package: ModelPackage, threads: int) -> Runtime:
        opened: Runtime = resolve(RUNTIMES[self.runtime])(
            package.artifact_path(self.artifact.name), device=self.device, threads=threads
        )
        return opened


def places(
    package: ModelPackage, artifact: Artifact, device: Literal["auto", "cpu", "cuda"]
) -> Iterator[Place]:
    """Every runtime of the table that opens this kind of artifact. `auto`: on CUDA where it can be."""
    devices: tuple[Literal["cpu", "cuda"], ...] = ("cuda", "cpu") if device == "auto" else (device,)
    for name, target in RUNTIMES.items():
        try:
            runtime_class: RuntimeClass = resolve(target)
        except RuntimeUnavailableError as error:
            yield Place(artifact, name, devices[-1], str(error))
            continue
        if artifact.kind not in runtime_class.artifact_kinds:
            continue
        path = package.artifact_path(artifact.name)
        found = [Place(artifact, name, each, runtime_class.obstacle(path, each)) for each in devices]
        yield next((place for place in found if place.obstacle is None), found[0])


def check_answers(package: ModelPackage, place: Place, threads: int) -> Check:
    """Replay every sample. A runtime that the machine lacks is `not run`; a file that does not load fails."""
    name, runtime_name = place.artifact.name, place.runtime
    if place.obstacle is not None:
        return not_run(CHECK, name, place.obstacle, runtime_name)
    try:
        with closing(place.open(package, threads)) as runtime:
            answers = list(replay(package, runtime, max_pixels=MAX_SAMPLE_PIXELS))
            provider = runtime.provider
    except RuntimeUnavailableError as error:
        return not_run(CHECK, name, str(error), runtime_name)
    except SegError as error:
        return judged(CHECK, name, False, str(error), runtime_name)
    if not answers:
        return not_run(CHECK, name, "the package holds no samples", runtime_name)
    worst = min(answers, key=lambda answer: answer.agreement)
    due = least_agreement(place.artifact, runtime_name)
    found = (
        f"{worst.agreement:.4f} of the pixels of {worst.image} as stored, due is {due} "
        f"({len(answers)} samples, {provider})"
    )
    return judged(CHECK, name, worst.agreement >= due, found, runtime_name)
