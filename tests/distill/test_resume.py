"""Interruptions change nothing: a run that was stopped goes on and ends with the same bits."""

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.history import CSV_FILE
from distill.run import STATE_FILE, TrainingRun
from distill.train import train
from distill.weights import STUDENT_FILE
from tests.distill.tiny_recipe import as_config, taught_values, tiny_values, write_recipe

TIMEOUT_S = 120
STEPS, SAVE_EVERY = 12, 4
MEASURED_EVERY = 3
"""Gradient norms: a save lies between the measurement of step 3 and the row of step 5 that it goes into."""
KILLED_IN_STEP = 6
"""Counted from 0: two steps after a save are lost, in the middle of a third."""

TRAIN_AND_DIE = f"""
import os, signal, sys
from distill.__main__ import main
from distill.trainer import Trainer

def clip_and_die(trainer, clip=Trainer._clip):
    clip(trainer)
    if trainer.lr_at({KILLED_IN_STEP}) == trainer.optimiser.param_groups[0]["lr"]:
        os.kill(os.getpid(), signal.SIGKILL)

Trainer._clip = clip_and_die
main()
"""
"""Trains as `python -m distill` does, and dies after the backward pass of that step, before its update."""


def long_values(output: Path, teacher: Path, workers: int = 0) -> dict[str, object]:
    return taught_values(
        output,
        teacher,
        optim={"steps": STEPS, "ema": 0.9},
        evaluation={"every": 5, "select_on": "last"},
        compute={"workers": workers, "save_every": SAVE_EVERY, "gradients_every": MEASURED_EVERY},
    )


@pytest.fixture(scope="module")
def whole(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """The run that nobody interrupted."""
    return train(as_config(long_values(tmp_path_factory.mktemp("whole"), teacher)))


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that does not outlive its test."""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_in_the_middle_of_a_step_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, teacher: Path, whole: TrainingRun, workers: int, caplog: pytest.LogCaptureFixture
):
    values = long_values(tmp_path, teacher, workers)
    recipe = write_recipe(tmp_path / "recipe.yaml", values)
    with started("-c", TRAIN_AND_DIE, "train", str(recipe)) as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL, errors
    with caplog.at_level("INFO"):
        resumed = train(as_config(values))
    assert f"resuming {resumed.folder} after step {SAVE_EVERY}" in caplog.text
    ours, theirs = load_file(resumed.folder / STUDENT_FILE), load_file(whole.folder / STUDENT_FILE)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
    assert resumed.result["report"] == whole.result["report"]
    assert rows_of(resumed) == rows_of(whole)


def rows_of(run: TrainingRun) -> list[dict[str, str]]:
    """The table, without how long it took."""
    with (run.folder / CSV_FILE).open() as file:
        return [
            {key: value for key, value in row.items() if key != "images_per_s"}
            for row in csv.DictReader(file)
        ]


def test_the_table_of_a_resumed_run_holds_every_evaluation_once(whole: TrainingRun):
    rows = (whole.folder / "results.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["5", "10", "12"]


def test_sigterm_saves_exits_with_1_and_says_how_to_go_on(tmp_path: Path):
    recipe = write_recipe(tmp_path / "recipe.yaml", tiny_values(tmp_path, optim={"steps": 100_000}))
    state = tmp_path / "train" / STATE_FILE
    with started("-m", "distill", "train", str(recipe)) as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not state.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, errors
    assert "the state is saved. The same command goes on from here." in errors
    assert "Traceback" not in errors
    assert f"stopped after step {torch.load(state, weights_only=True)['done']} of" in errors
