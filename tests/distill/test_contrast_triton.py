"""The Triton kernel: interpreted on a CPU, compiled for a GPU, and run on one where there is one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from distill.losses.contrasting import triton_tiles
from tests.distill.backend_cases import check, problems

ROOT = Path(__file__).parents[2]


def in_a_process_of_its_own(*arguments: str, **environment: str) -> str:
    """What Python said."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_kernel_is_right_under_tritons_interpreter():
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/distill/interpreted_triton.py"]
    assert " passed" in in_a_process_of_its_own("pytest", *plain, TRITON_INTERPRET="1")


def compiled_for_an_h200(element: str, **constants: Any) -> bytes:
    """Machine code of the kernel for float maps whose columns are contiguous."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from distill.losses.contrasting.triton_kernel import contrast_tile

    strides = ("i32", "i32", "i32", "constexpr")
    signature: dict[str, Any] = {"student": f"*{element}", "teacher": f"*{element}"}
    signature |= dict.fromkeys(("gradient", "losses", "inverse_temperature"), "*fp32")
    signature |= dict.fromkeys(("channels", "patches_down", "patches_across"), "i32")
    signature |= dict.fromkeys(("x_strides", "y_strides", "g_strides"), strides)
    signature |= dict.fromkeys(constants, "constexpr")
    names = contrast_tile.arg_names
    values = {(names.index(name),): value for name, value in constants.items()}
    values |= {(names.index(name), 3): 1 for name in ("x_strides", "y_strides", "g_strides")}
    source = ASTSource(contrast_tile, signature, values)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    return made.asm["cubin"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("element", "is_l1", "rows"),
    [("fp32", True, 256), ("bf16", False, 512)],
    ids=["l1", "l2, several blocks"],
)
def test_the_kernel_compiles_for_an_h200_and_keeps_all_in_registers(
    monkeypatch, tmp_path, element, is_l1, rows
):
    import triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    constants = {"ROWS": rows, "PIXELS": 16, "WIDTH": 4, "ALL": False, "IS_L1": is_l1, "WANTS_GRADIENT": True}
    code = tmp_path / "kernel.cubin"
    code.write_bytes(
        compiled_for_an_h200(
            element,
            **constants,
            BLOCK_STUDENT=triton_tiles.BLOCK_DISTANCES // triton_tiles.BLOCK_TEACHER,
            BLOCK_TEACHER=triton_tiles.BLOCK_TEACHER,
        )
    )
    reader = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    said = subprocess.run(
        [reader, "--dump-resource-usage", code], capture_output=True, text=True, check=True
    ).stdout
    assert " STACK:0 " in said
    assert " LOCAL:0 " in said


@pytest.mark.gpu
@settings(max_examples=40, deadline=None, derandomize=True)
@given(problem=problems)
def test_the_kernel_is_right_on_a_gpu(problem):
    check("triton", problem, "cuda", with_teacher=False)


@pytest.mark.gpu
@pytest.mark.parametrize("patch", [(4, 4), (16, 32)], ids=["published", "several blocks"])
def test_the_kernel_is_right_on_a_gpu_at_the_published_width(patch):
    problem = {
        "images": 2,
        "groups": 16 if patch == (4, 4) else 1,
        "row_channels": 128,
        "patch": patch,
        "patches": (2, 2),
        "temperature": 0.07,
        "negatives": "all",
        "distance": "l1",
        "normalisation": "published",
        "maps": "noise",
        "layouts": ("channels_last", "contiguous"),
        "dtypes": (torch.bfloat16, torch.float32),
        "seed": 0,
    }
    check("triton", problem, "cuda", with_teacher=False)
