"""What a plan's file is called: a plan runs only with the TensorRT, and on the GPUs, that its name tells."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast, get_args

from modelpack.tensorrt.features import FlavourName

Precision = Literal["fp32", "fp16", "bf16", "int8"]
PORTABLE = "portable"
"""Target of a plan for every GPU generation that its TensorRT supports."""
_ANY_LATER = "version_compatible"
_PATTERN = re.compile(
    rf"(?P<precision>{'|'.join(get_args(Precision))})-"
    r"(?P<flavour>tensorrt|rtx)-(?P<version>\d+(?:\.\d+)+)-"
    rf"(?P<target>[a-z0-9_]+?)(?P<later>-{_ANY_LATER})?\.plan"
)


@dataclass(frozen=True)
class PlanName:
    """`fp16-rtx-1.7.1.116-portable.plan`."""

    precision: Precision
    flavour: FlavourName
    version: str
    target: str
    """`portable`, compute capabilities (`sm86_sm120`), or hardware compatibility (`ampere_plus`)."""
    is_version_compatible: bool = False
    """Whether later versions load it too."""

    def __str__(self) -> str:
        later = f"-{_ANY_LATER}" if self.is_version_compatible else ""
        return f"{self.precision}-{self.flavour}-{self.version}-{self.target}{later}.plan"

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """What the file's name tells; None for a plan that was named by somebody else."""
        found = _PATTERN.fullmatch(path.name)
        if found is None:
            return None
        return cls(
            precision=cast(Precision, found["precision"]),
            flavour=cast(FlavourName, found["flavour"]),
            version=found["version"],
            target=found["target"],
            is_version_compatible=found["later"] is not None,
        )
