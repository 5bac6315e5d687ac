"""Which settings make a folder another run's, and damaged or unwritable files of a run."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from distill.checkpoint import save_state
from distill.run import SETTINGS_FILE
from distill.same_run import refuse_other_settings, settings_that_matter
from distill.weights import save_weights
from modelpack.atomic import write_json
from modelpack.errors import CheckpointError, SettingsError
from tests.distill.tiny_recipe import KD, NETWORK, tiny_config

TEACHER = {"network": NETWORK["network"], "min_miou": 0}
SMALL_BYTES = 4096


def begin(folder: Path, **over: object) -> None:
    write_json(folder / SETTINGS_FILE, tiny_config(folder, **over).model_dump(mode="json"))


def test_where_and_how_often_something_is_written_makes_no_other_run(tmp_path: Path):
    begin(tmp_path)
    refuse_other_settings(tmp_path, tiny_config(tmp_path / "moved", name="other", compute={"log_every": 7}))


def test_the_teacher_matters_to_methods_alone(tmp_path: Path):
    begin(tmp_path / "alone", teacher=TEACHER)
    refuse_other_settings(tmp_path / "alone", tiny_config(tmp_path, teacher=TEACHER | {"min_miou": 9}))
    begin(tmp_path / "kd", teacher=TEACHER, methods=[KD])
    with pytest.raises(SettingsError, match=r"teacher.min_miou 0.0 there, 9.0 asked"):
        refuse_other_settings(
            tmp_path / "kd", tiny_config(tmp_path, teacher=TEACHER | {"min_miou": 9}, methods=[KD])
        )


def test_a_run_from_before_a_setting_was_one_has_its_default(tmp_path: Path):
    values = tiny_config(tmp_path).model_dump(mode="json")
    del values["optim"]["ema"]
    write_json(tmp_path / SETTINGS_FILE, values)
    refuse_other_settings(tmp_path, tiny_config(tmp_path))
    with pytest.raises(SettingsError, match=r"optim.ema 0.0 there, 0.5 asked"):
        refuse_other_settings(tmp_path, tiny_config(tmp_path, optim={"ema": 0.5}))


def test_everything_else_matters(tmp_path: Path):
    kept = settings_that_matter(tiny_config(tmp_path).model_dump(mode="json"))
    assert {"seed", "optim.lr", "data.train", "student.network", "compute.precision"} <= kept.keys()


def test_damaged_settings_of_a_run_are_one_sentence(tmp_path: Path):
    (tmp_path / SETTINGS_FILE).write_text("{")
    with pytest.raises(
        CheckpointError, match=r"settings\.json cannot be read .* Remove its folder and train again"
    ):
        refuse_other_settings(tmp_path, tiny_config(tmp_path))


@pytest.fixture
def full_disk():
    """Files may not grow beyond a few kilobytes: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_a_state(path: Path) -> None:
    save_state(path, {"weights": torch.zeros(SMALL_BYTES)})


def save_a_network(path: Path) -> None:
    save_weights(torch.nn.Linear(SMALL_BYTES, 1), path)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("save", [save_a_state, save_a_network])
def test_a_full_disk_is_an_error_of_the_file_and_leaves_the_old_one(
    tmp_path: Path, save: Callable[[Path], None]
):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="File too large") as caught:
        save(path)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"
