"""A golden file, opened for one dtype and device."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modelpack.errors import SegError

_SUFFIXES = {torch.float64: ("_f64", "_f32", ""), torch.float32: ("_f32", "_f64", "")}


class GoldenError(SegError):
    """A golden file that is missing, damaged or of an unknown kind."""


@dataclass(frozen=True)
class Golden:
    """Arrays, and the JSON that describes them."""

    path: Path
    dtype: torch.dtype
    device: torch.device
    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path, dtype: torch.dtype, device: torch.device) -> "Golden":
        """Raises GoldenError where the file is not there or does not describe itself."""
        if not path.is_file():
            raise GoldenError("there is no such file.")
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            meta = json.loads(str(arrays.pop("meta")))
        except Exception as error:  # a damaged archive can break anywhere in numpy, zipfile or json
            raise GoldenError(
                f"not a golden file ({type(error).__name__}): an .npz with an array `meta`."
            ) from error
        if not isinstance(meta, dict) or not {"kind", "method", "parameters"} & set(meta):
            raise GoldenError("`meta` names neither a kind, nor a method, nor a network's parameters.")
        return cls(path, dtype, device, meta, arrays)

    @property
    def kind(self) -> str | None:
        """None for the file of a method."""
        return self.meta.get("kind", "network" if "parameters" in self.meta else None)

    @property
    def method(self) -> str:
        """The method's first word: `skd` of "skd pair-wise"."""
        return str(self.meta["method"]).split(maxsplit=1)[0]

    def input(self, name: str, *, requires_grad: bool = False) -> Tensor:
        """A floating input in this dtype, on this device."""
        return self.raw(name).to(self.dtype, copy=True).requires_grad_(requires_grad)

    def raw(self, name: str) -> Tensor:
        """Labels and stored draws, in the type of the file."""
        return torch.from_numpy(self._array(name)).to(self.device)

    def reference(self, name: str) -> NDArray[Any]:
        """The expected value, from the run in this dtype where the file has one."""
        return self._array(self._stored(name) or name)

    def has(self, name: str) -> bool:
        """Whether there is an expected value of this name, in either precision."""
        return self._stored(name) is not None

    def names(self, prefix: str) -> list[str]:
        """What follows `prefix` in the names of the arrays, precision suffix cut off, each once."""
        found = (name.removeprefix(prefix) for name in self.arrays if name.startswith(prefix))
        return sorted({name.removesuffix("_f64").removesuffix("_f32") for name in found})

    def _stored(self, name: str) -> str | None:
        return next((name + suffix for suffix in _SUFFIXES[self.dtype] if name + suffix in self.arrays), None)

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise GoldenError(f"array {name!r} is missing. The file holds: {', '.join(self.arrays)}.")
        return self.arrays[name]
