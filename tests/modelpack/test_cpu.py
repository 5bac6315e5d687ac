"""Flags of a CPU, as each system tells them, and what they mean for arithmetic."""

import pytest

from modelpack import cpu
from modelpack.cpu import Cpu, parse_cpuinfo, parse_sysctl, read_cpu, usable_cores

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) 8481C
flags\t\t: fpu avx2 avx512f avx512_vnni amx_bf16 amx_int8 avx512_fp16

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd asimdhp asimddp\n"
APPLE = "machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_BF16: 0\n"


def test_linux_on_x86_is_read_from_its_first_core():
    found = parse_cpuinfo(X86)
    assert found.model == "Intel(R) Xeon(R) 8481C"
    assert all(found.computes_in(precision) for precision in ("fp32", "int8", "bf16", "fp16"))


def test_linux_on_arm_is_read_from_its_features():
    found = parse_cpuinfo(ARM)
    assert found.computes_in("int8")
    assert found.computes_in("fp16")
    assert not found.computes_in("bf16")


def test_a_mac_is_read_from_sysctl_and_a_zero_is_a_no():
    assert parse_sysctl(APPLE) == Cpu("Apple M2", frozenset({"asimddp"}))


@pytest.mark.parametrize("precision", ["int8", "bf16", "fp16"])
def test_a_cpu_that_says_nothing_computes_in_float32_alone(precision):
    unknown = Cpu("unknown", frozenset())
    assert unknown.computes_in("fp32")
    assert not unknown.computes_in(precision)


def test_avx2_alone_is_no_int8_arithmetic():
    assert not Cpu("old", frozenset({"avx", "avx2", "fma"})).computes_in("int8")


def test_a_system_without_either_source_has_a_name_and_no_flags(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(cpu.shutil, "which", lambda _: None)
    found = read_cpu.__wrapped__()
    assert found.model
    assert found.flags == frozenset()


def test_there_is_a_core_to_run_on():
    assert usable_cores() >= 1
