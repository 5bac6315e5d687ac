from pathlib import Path

import pytest

from distill.run import TrainingRun
from distill.train import train
from tests.distill.tiny_recipe import tiny_config


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A finished run without methods, selected on val and reported on test. Do not change its folder."""
    config = tiny_config(tmp_path_factory.mktemp("trained"), seed=7, evaluation={"report_on": "test"})
    return train(config)


@pytest.fixture(scope="session")
def teacher(trained: TrainingRun) -> Path:
    """Its folder, as a checkpoint to learn from."""
    return trained.folder
