"""Each dataset goes all the way: two steps, a measurement, a package, and an answer in its own classes."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from distill.__main__ import app
from distill.datasets import DATASETS, open_dataset
from distill.networks import NETWORKS
from distill.networks.output import FeatureInfo
from distill.pretrain.config import pretrain_config
from distill.pretrain.stage import pretrain
from distill.run import TrainingRun
from distill.train import train
from export.build import export_model
from export.config import ExportConfig
from modelpack.command import run as run_command
from serve import ServeSettings
from tests.distill.folder_data import write_folder, write_image
from tests.distill.miniature import MINIATURES
from tests.distill.tiny_recipe import as_config, tiny_values
from tests.export.tiny_run import STRIDE, TinyNetwork
from tests.serve.conftest import app_client

SIZE = (48, 64)
"""(height, width) that the packages take."""
WIDTH = 24
STREETS = {"name": "streets", "height": 48, "width": 64, "train": 4, "val": 2, "test": 2}
QUICK = ("coco_stuff", "pascal_context")
"""The most classes, and classes of which one may be left out; the others differ from these in their files."""


class TinyBackbone(TinyNetwork):
    """The tiny network with its convolution as a backbone, which can be pre-trained."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.feature_info = {"stage1": FeatureInfo(WIDTH, STRIDE)}

    def backbone_part(self) -> nn.Module:
        return self.stem

    def backbone_features(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[-2:]
        return {"stage1": self.stem(F.pad(images, (0, -width % STRIDE, 0, -height % STRIDE)))}


@pytest.fixture(autouse=True)
def _tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        NETWORKS, "tiny", lambda _name, num_classes, _weights, _options: TinyBackbone(num_classes)
    )


def two_steps(folder: Path, data: dict[str, Any], **student: str) -> TrainingRun:
    values = tiny_values(folder, optim={"steps": 2}, student={"options": {}})
    return train(as_config(values | {"data": data, "student": {"network": "tiny", **student}}))


def pretrained(folder: Path) -> Path:
    """A backbone that learned for two steps from images without labels."""
    for index in range(4):
        write_image(folder / "images" / f"{index}.png", str(index), *SIZE)
    section = {
        "data": {"name": "images", "root": str(folder / "images")},
        "teacher": {"run": str(two_steps(folder / "teacher", STREETS).folder), "feature": "stage1"},
        "feature": "stage1",
        "views": {"size": [32, 32]},
        "queue": 8,
        "hidden": 16,
        "optim": {"batch": 2, "steps": 2, "warmup_steps": 1},
    }
    values = tiny_values(folder) | {"student": {"network": "tiny"}, "pretrain": section}
    return pretrain(pretrain_config(values, "tiny"))


def trained_on(name: str, folder: Path) -> TrainingRun:
    """On a miniature of the dataset as it is distributed; of `images`, after pre-training on them."""
    if name == "images":
        return two_steps(folder / "out", STREETS, init=str(pretrained(folder)))
    if name == "streets":
        return two_steps(folder / "out", STREETS)
    root = write_folder(folder / "data").root if name == "folder" else MINIATURES[name](folder / "data")
    return two_steps(folder / "out", {"name": name, "root": str(root)})


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in DATASETS]
)
def test_a_dataset_is_trained_on_measured_packed_and_served_with_its_classes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained_on(name, tmp_path)
    assert run_command(app, ["evaluate", str(run.folder), "--json"], "afdcd distill") == 0
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert measured["miou"] == pytest.approx(run.result["report"]["miou"])

    package = export_model(
        ExportConfig(run_dir=run.folder, package_dir=tmp_path / "package", size=SIZE, samples=1)
    )
    dataset = open_dataset(run.config.data, "val")
    buffer = io.BytesIO()
    Image.fromarray(dataset[0].image_hwc).save(buffer, "PNG")
    with app_client(ServeSettings(package=package.path, threads=1)) as client:
        answers = {
            form: client.post("/v1/segment", params={"format": form}, content=buffer.getvalue())
            for form in ("png", "color", "stats")
        }
    mask, colours = (np.array(Image.open(io.BytesIO(answers[form].content))) for form in ("png", "color"))
    assert mask.shape == dataset[0].mask_hw.shape
    np.testing.assert_array_equal(colours, np.array(dataset.labels.palette, np.uint8)[mask])
    classes = answers["stats"].json()["classes"]
    assert [entry["name"] for entry in classes] == list(dataset.labels.names)
    assert [tuple(entry["color"]) for entry in classes] == list(dataset.labels.palette)
