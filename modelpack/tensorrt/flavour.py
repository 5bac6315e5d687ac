"""Which TensorRT is installed, `tensorrt` (8.5, 8.6, 10.13 and later) or `tensorrt_rtx`, as one object."""

import logging
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

from modelpack.errors import RuntimeUnavailableError, SettingsError
from modelpack.tables import lookup
from modelpack.tensorrt.features import FEATURES, FlavourName

log = logging.getLogger(__name__)

MODULES: dict[FlavourName, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
"""Flavour -> what is imported; the first that can be is what `auto` takes."""
TITLES: dict[FlavourName, str] = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}
OLDEST: dict[FlavourName, tuple[int, int]] = {"tensorrt": (8, 5), "rtx": (1, 0)}
UNTRIED = ((8, 7), (10, 13))
"""Versions of `tensorrt` from the first up to before the second whose names nobody looked at."""
HOW_TO_GET = (
    "`pip install 'afdcd[rtx]'` brings TensorRT-RTX (its plans are for RTX GPUs, and built without one). "
    "`pip install 'afdcd[tensorrt]'` brings TensorRT where NVIDIA's own package index can be reached, which "
    "its libraries come from. On a Jetson JetPack brings it: make the environment with "
    "`python -m venv --system-site-packages`."
)


@dataclass(frozen=True)
class Flavour:
    """One importable TensorRT."""

    name: FlavourName
    version: str
    """As the module says: 10.13.3.9."""
    trt: Any
    """The module."""

    @property
    def title(self) -> str:
        return f"{TITLES[self.name]} {self.version}"

    @property
    def release(self) -> tuple[int, int]:
        """(major, minor)."""
        return _release(self.version)

    def has(self, feature: str) -> bool:
        """Whether names of `FEATURES[feature]` may be used."""
        return lookup(FEATURES, "TensorRT feature", feature).is_in(self.trt, self.name)

    def require(self, feature: str, setting: str) -> None:
        """Raises SettingsError naming the setting that asks for what this flavour lacks."""
        if not self.has(feature):
            raise SettingsError(
                f"{setting} asks for {FEATURES[feature].what}, which {self.title} does not have. Unset it."
            )


def find_flavour(wanted: FlavourName | Literal["auto"] = "auto") -> Flavour:
    """The flavour asked for, or the first that can be imported.

    Raises RuntimeUnavailableError saying why none can be and how to get one.
    """
    names = tuple(MODULES) if wanted == "auto" else (wanted,)
    reasons = []
    for name in names:
        flavour, reason = _imported(name)
        if flavour is not None:
            return flavour
        reasons.append(f"{MODULES[name]}: {reason}")
    raise RuntimeUnavailableError(f"TensorRT cannot be imported here ({'; '.join(reasons)}). {HOW_TO_GET}")


@cache
def _imported(name: FlavourName) -> tuple[Flavour | None, str]:
    """(the flavour, "") or (None, why not)."""
    try:
        module = import_module(MODULES[name])
    except (ImportError, OSError) as error:  # the libraries may be missing while the module is there
        return None, str(error).strip().partition("\n")[0]
    flavour = Flavour(name, str(module.__version__), module)
    if flavour.release < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        return None, f"version {flavour.version} is installed, needed is {oldest} or later"
    if name == "tensorrt" and UNTRIED[0] <= flavour.release < UNTRIED[1]:
        log.warning(
            "%s lies between the versions that afdcd was held against (8.5, 8.6, 10.13+)", flavour.title
        )
    return flavour, ""


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
