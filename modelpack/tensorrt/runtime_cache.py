"""TensorRT-RTX compiles kernels when a plan first runs; what it compiled is kept for the next start."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modelpack.atomic import write_bytes
from modelpack.tensorrt.flavour import Flavour

log = logging.getLogger(__name__)

_DIGITS = 32


@dataclass
class RuntimeCache:
    """The cache of one engine."""

    file: Path
    settings: Any
    """The `IRuntimeConfig` that contexts are made with."""
    _cache: Any

    @classmethod
    def of(cls, flavour: Flavour, cuda_engine: Any, plan_sha256: str) -> Self:
        """With what an earlier process left for this plan and version, if it is still taken."""
        runtime_config = cuda_engine.create_runtime_config()
        runtime_cache = runtime_config.create_runtime_cache()
        file = cache_folder() / f"{flavour.name}-{flavour.version}-{plan_sha256[:_DIGITS]}.cache"
        if file.is_file() and not runtime_cache.deserialize(file.read_bytes()):
            log.info("%s is of another GPU or driver; kernels are compiled again", file)
        runtime_config.set_runtime_cache(runtime_cache)
        return cls(file, runtime_config, runtime_cache)

    def save(self) -> None:
        """A folder that cannot be written to costs time at the next start and nothing else."""
        runtime_cache = self._cache
        kernels = runtime_cache.serialize()
        if kernels is None:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self.file, bytes(kernels))
        except OSError as error:
            log.info("compiled kernels are not kept: %s", error)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/afdcd`, or `~/.cache/afdcd`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "afdcd"
