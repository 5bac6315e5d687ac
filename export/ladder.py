"""The order in which artifacts are judged: simplest first, so that the first broken stage is the cause."""

from collections.abc import Mapping

from export.targets import TARGETS
from export.targets.target import Target

FIRST = "onnx-fp32"
"""Judged even where the recipe does not pack it: a fault of the export must not be named after int8."""
KINDS = ("onnx", "tensorrt")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


def climb(targets: Mapping[str, Target], *, is_quantised: bool = False) -> dict[str, Target]:
    """The targets asked for, `FIRST` and what engines are built from: graphs before engines, each from wide
    types to narrow ones.

    is_quantised: of a run that was trained with int8 values. It has no float graph, and no `FIRST`.
    """
    first = () if is_quantised else (FIRST,)
    needed = {*first, *(target.graph for target in targets.values() if target.graph is not None)}
    rungs = {name: TARGETS[name] for name in needed} | dict(targets)
    return dict(sorted(rungs.items(), key=lambda entry: _rung(entry[1])))


def _rung(target: Target) -> tuple[int, int]:
    return KINDS.index(target.kind), PRECISIONS.index(target.precision)
