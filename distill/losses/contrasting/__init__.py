"""Backends of omni-contrasting: who computes row losses and their gradient, by device and type of the maps.

They agree to rounding, so a recipe does not name one. `AFDCD_CONTRAST=NAME` in the environment demands one.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from distill.losses.contrasting.backend import Backend
from distill.losses.contrasting.problem import Problem
from modelpack.errors import RuntimeUnavailableError
from modelpack.tables import lookup, resolve

log = logging.getLogger(__name__)

VARIABLE = "AFDCD_CONTRAST"

BACKENDS = {
    "triton": "distill.losses.contrasting.triton_tiles:TritonTiles",
    "numba": "distill.losses.contrasting.numba_patches:NumbaPatches",
    "torch": "distill.losses.contrasting.torch_blocks:TorchBlocks",
}
"""Fastest first: a problem goes to the first that can. Import strings, so that packages stay lazy."""


def choose_backend(problem: Problem) -> Backend:
    """The log says once for each kind of problem which one it is, and why those before it are not.

    Raises RuntimeUnavailableError where the one that is demanded cannot, UnknownNameError where there is none
    of that name.
    """
    demanded = os.environ.get(VARIABLE)
    if demanded:
        lookup(BACKENDS, "contrast backend", demanded)
    passed_over: list[str] = []
    for name in [demanded] if demanded else BACKENDS:
        backend = _opened(name)
        obstacle = backend.obstacle(problem)
        if obstacle is None:
            _say(name, problem.student.device.type, "; ".join(passed_over))
            return backend
        passed_over.append(f"not {name}: {obstacle}")
    raise RuntimeUnavailableError(
        f"{VARIABLE}={demanded} cannot compute this loss ({passed_over[0]}). Choose another backend, or none."
    )


@contextmanager
def demanding(name: str) -> Iterator[None]:
    """Within it, this backend computes every loss of the process."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


@cache
def _opened(name: str) -> Backend:
    """Without what it is built on: that is imported when a problem comes that it might compute."""
    backend: Backend = resolve(BACKENDS[name])()
    return backend


@cache
def _say(name: str, device: str, passed_over: str) -> None:
    log.info("omni-contrasting on %s by %s%s", device, name, f" ({passed_over})" if passed_over else "")
