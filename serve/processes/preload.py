"""What workers will need is imported before they are forked: they share it, and start without the wait."""

import gc
from importlib import import_module

from modelpack.errors import SegError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.runtimes import RUNTIMES
from modelpack.runtimes.choice import RULES
from serve.settings import ServeSettings
from serve.sizing import runs_on_gpu

FORKABLE = frozenset({"onnxruntime"})
"""Runtimes whose import starts no thread, which a fork would leave behind in the middle of its work."""


def preload(settings: ServeSettings) -> None:
    """Import the runtime that the default package will probably use; no graph is loaded.

    On a GPU nothing is imported: CUDA cannot be used in the children of a process that has touched it. What
    is wrong with the package, a worker will say. Pages that the garbage collector of a worker writes to are
    no longer shared, so it leaves alone what is there now.
    """
    runtime = None if runs_on_gpu(settings) else likely_runtime(settings)
    if runtime in FORKABLE:
        try:
            import_module(RUNTIMES[runtime].partition(":")[0])
        except SegError:
            return
    gc.collect()
    gc.freeze()


def likely_runtime(settings: ServeSettings) -> str | None:
    """The named one, or the first in the rules for CPUs that fits an artifact; without a look at the CPU."""
    if settings.runtime is not None:
        return settings.runtime
    try:
        artifacts = ModelPackage.open(settings.package, verify=False).manifest.artifacts
    except SegError:
        return None
    found = {(entry.kind, entry.precision) for entry in artifacts if _may_run(entry, settings.artifact)}
    fitting = (rule for rule in RULES if rule.device == "cpu" and (rule.kind, rule.precision) in found)
    return next((rule.runtimes[0] for rule in fitting), None)


def _may_run(artifact: Artifact, named: str | None) -> bool:
    return artifact.name == named if named is not None else artifact.is_verified
