"""The table of distillation methods. A new one is a file beside this and a line below."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill.methods.afdcd import AfDcdSettings, build_afdcd
from distill.methods.kd import KdSettings, build_kd
from distill.methods.method import Method, MethodSettings, Pair


@dataclass(frozen=True)
class MethodEntry:
    """A method's settings class and how to build its module for a pair of networks."""

    settings: type[MethodSettings]
    build: Callable[[Any, Pair], Method]


METHODS: dict[str, MethodEntry] = {
    "afdcd": MethodEntry(AfDcdSettings, build_afdcd),
    "kd": MethodEntry(KdSettings, build_kd),
}
