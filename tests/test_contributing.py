"""CONTRIBUTING.md's example method is a method: its blocks, put where the text says, train."""

import csv
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import distill.methods
from distill.methods import METHODS
from distill.networks import build_network
from distill.train import train
from distill.weights import save_weights
from tests.distill.tiny_recipe import NETWORK, tiny_config

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("## Add a distillation method")[2].partition("\n## ")[0]
NEW_FILE, IMPORT_LINE, TABLE_LINE = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
MODULE = re.search(r"`distill/methods/(\w+)\.py`", SECTION)[1]
METHODS_OF_A_RECIPE = yaml.safe_load(re.search(r"`methods: (\[.*?\])`", SECTION)[1])


@pytest.fixture
def mean_matching(monkeypatch: pytest.MonkeyPatch) -> str:
    """The method, added as the text says; gives its name."""
    name = f"distill.methods.{MODULE}"
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(NEW_FILE, f"{MODULE}.py", "exec"), vars(module))
    scope = dict(vars(distill.methods))
    exec(IMPORT_LINE, scope)
    for key, entry in eval(f"{{{TABLE_LINE}}}", scope).items():
        monkeypatch.setitem(METHODS, key, entry)
    return MODULE


def test_the_example_trains_in_a_recipe_that_names_it(mean_matching: str, tmp_path: Path):
    teacher = tmp_path / "teacher.safetensors"
    save_weights(build_network(NETWORK["network"], 11, options=NETWORK["options"]), teacher)
    run = train(
        tiny_config(
            tmp_path,
            teacher={**NETWORK, "checkpoint": str(teacher), "min_miou": 0},
            methods=METHODS_OF_A_RECIPE,
            optim={"steps": 2},
        )
    )
    row = next(csv.DictReader((run.folder / "results.csv").open()))
    weight = next(method["weight"] for method in METHODS_OF_A_RECIPE if method["name"] == mean_matching)
    raw = float(row[f"loss/{mean_matching}/mean"])
    assert raw > 0
    assert float(row[f"weighted/{mean_matching}/mean"]) == pytest.approx(weight * raw, rel=1e-4)


def test_the_text_names_files_and_tables_that_are_there():
    root = Path(__file__).parents[1]
    named = set(re.findall(r"`((?:distill|export|serve|modelpack|tests|docs)/[\w/.]+\.\w+)`", TEXT))
    assert len(named) > 2
    assert {name for name in named if not (root / name).is_file()} == {f"distill/methods/{MODULE}.py"}
    for folder, table in re.findall(r"`([\w/]+)/<name>\.py` \| `(\w+)`", TEXT):
        assert re.search(rf"^{table}\b", (root / folder / "__init__.py").read_text(), re.MULTILINE), table
