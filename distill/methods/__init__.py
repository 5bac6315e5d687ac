"""The table of distillation methods. A new one is a file beside this and a line below."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill.methods.adversarial import AdversarialSettings, build_adversarial
from distill.methods.afdcd import AfDcdSettings, build_afdcd
from distill.methods.at import AtSettings, build_at
from distill.methods.cirkd import CirkdSettings, build_cirkd
from distill.methods.cwd import CwdSettings, build_cwd
from distill.methods.fitnet import FitNetSettings, build_fitnet
from distill.methods.ifvd import IfvdSettings, build_ifvd
from distill.methods.ka import KaSettings, build_ka, prepare_ka
from distill.methods.kd import KdSettings, build_kd
from distill.methods.maskd import MaskdSettings, build_maskd, prepare_maskd
from distill.methods.method import Method, MethodSettings, Pair
from distill.methods.preparation import Preparation
from distill.methods.skd import SkdSettings, build_skd


@dataclass(frozen=True)
class MethodEntry:
    """A method's settings class and how to build its module for a pair of networks."""

    settings: type[MethodSettings]
    build: Callable[[Any, Pair], Method]
    prepare: Callable[[Any, Pair], Preparation] | None = None
    """Where something is learned from the teacher first: it, untrained. Reads nothing of the student."""


METHODS: dict[str, MethodEntry] = {
    "adversarial": MethodEntry(AdversarialSettings, build_adversarial),
    "afdcd": MethodEntry(AfDcdSettings, build_afdcd),
    "at": MethodEntry(AtSettings, build_at),
    "cirkd": MethodEntry(CirkdSettings, build_cirkd),
    "cwd": MethodEntry(CwdSettings, build_cwd),
    "fitnet": MethodEntry(FitNetSettings, build_fitnet),
    "ifvd": MethodEntry(IfvdSettings, build_ifvd),
    "ka": MethodEntry(KaSettings, build_ka, prepare_ka),
    "kd": MethodEntry(KdSettings, build_kd),
    "maskd": MethodEntry(MaskdSettings, build_maskd, prepare_maskd),
    "skd": MethodEntry(SkdSettings, build_skd),
}
