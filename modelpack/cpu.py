"""The CPU this runs on: its name, the cores this process may use, and which small types it computes in."""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ARITHMETIC: Mapping[str, frozenset[str]] = {
    "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}),
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
    "fp16": frozenset({"avx512_fp16", "amx_fp16", "asimdhp"}),
}
"""Type -> flags, any of which says that the CPU multiplies and adds in it. Names are those of Linux."""

_CPUINFO = Path("/proc/cpuinfo")
_APPLE_FLAGS = {
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512vnni": "avx512_vnni",
}
"""What `sysctl` calls them -> Linux's name."""
_SYSCTL_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Cpu:
    """One CPU model. A machine that does not say its flags has none here: callers stay on the safe side."""

    model: str
    flags: frozenset[str]

    def computes_in(self, precision: str) -> bool:
        """Whether arithmetic in this type is faster than in float32; float32 itself always is there."""
        return precision == "fp32" or bool(ARITHMETIC.get(precision, frozenset()) & self.flags)


@cache
def read_cpu() -> Cpu:
    """From /proc/cpuinfo (its first core) on Linux, `sysctl` on macOS."""
    if _CPUINFO.is_file():
        return parse_cpuinfo(_CPUINFO.read_text(encoding="utf-8"))
    if shutil.which("sysctl") is not None:
        return parse_sysctl(_sysctl())
    return Cpu(platform.processor() or platform.machine(), frozenset())


def parse_cpuinfo(text: str) -> Cpu:
    """x86-64 lists `flags`, ARM `Features`; ARM has no `model name`."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    return Cpu(fields.get("model name") or platform.processor() or platform.machine(), frozenset(flags))


def parse_sysctl(text: str) -> Cpu:
    """Lines of `name: value`; a flag is there where its value is 1."""
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    flags = frozenset(flag for name, flag in _APPLE_FLAGS.items() if values.get(name) == "1")
    return Cpu(values.get("machdep.cpu.brand_string") or platform.machine(), flags)


def usable_cores() -> int:
    """Cores that this process may run on; all of them where the system cannot limit it to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sysctl() -> str:
    names = ("machdep.cpu.brand_string", *_APPLE_FLAGS)
    done = subprocess.run(
        ["sysctl", *names], capture_output=True, text=True, timeout=_SYSCTL_TIMEOUT_S, check=False
    )
    return done.stdout  # names that this Mac does not have are complained about on stderr
