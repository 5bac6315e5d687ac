"""Step `tests`: the project's own tests that are marked `gpu`."""

import subprocess
import sys
from pathlib import Path

from afdcd.gpu.step import Context, Note, StepSkippedError
from modelpack.errors import GateError

ROOT = Path(__file__).parents[2]
LAST_LINES = 15
NOTHING_COLLECTED = 5
"""pytest's exit code where no test has the mark."""


def run(context: Context, note: Note) -> None:
    if not (ROOT / "tests").is_dir():
        raise StepSkippedError(f"there is no folder {ROOT / 'tests'}: this is no checkout")
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-rs", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    note("command", "pytest -m gpu")
    note("result", lines[-1] if lines else "")
    if done.returncode == NOTHING_COLLECTED:
        raise StepSkippedError("no test is marked gpu")
    if done.returncode:
        note("output", lines[-LAST_LINES:] + done.stderr.strip().splitlines()[-LAST_LINES:])
        raise GateError(f"pytest -m gpu failed: {lines[-1] if lines else done.stderr}")
