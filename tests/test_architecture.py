"""The code keeps to docs/design.md: who imports whom, one concept per file, a file for each table entry."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.datasets import DATASETS
from distill.methods import METHODS
from distill.networks import NETWORKS
from export.targets import TARGETS
from modelpack.runtimes import RUNTIMES
from serve.formats import FORMATS

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "modelpack": set(),
    "distill": {"modelpack"},
    "export": {"modelpack", "distill"},
    "bench": {"modelpack"},
    "serve": {"modelpack"},
    "afdcd": {"modelpack", "distill", "export", "bench", "serve"},
}
"""Packages of this project that each of them may import, itself aside."""
WITHOUT_TORCH = {"modelpack", "bench", "serve"}
TORCH = {"torch", "torchvision", "timm", "segmentation_models_pytorch"}
NAMES_FOR_ANYTHING = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base", "core"}
LONGEST_LINES = 250

SOURCES = sorted(path.relative_to(ROOT) for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
FILES_OF_TABLES = {
    "distill/methods": {name: entry.build for name, entry in METHODS.items()},
    "distill/datasets": {name: entry.open for name, entry in DATASETS.items()},
    "distill/networks": dict(NETWORKS),
    "export/targets": {name: target.build for name, target in TARGETS.items()},
    "serve/formats": {name: entry.encode for name, entry in FORMATS.items()},
}
"""As they are before any test adds an entry of its own."""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or later, or names as `"module:attribute"` for later."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
        elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w.]+:\w+", str(node.value)):
            yield str(node.value).partition(":")[0]


def test_every_package_of_the_project_is_on_the_map():
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "recipes"}
    assert found == set(MAY_IMPORT)
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    for package in MAY_IMPORT:
        assert re.search(rf"^ +{package}\b", text, re.MULTILINE), package


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_map_allows(package: str):
    for path in SOURCES:
        if path.parts[0] == package:
            ours = {name.partition(".")[0] for name in imports(path)} & (
                MAY_IMPORT.keys() | {"tests", "docs"}
            )
            assert ours <= MAY_IMPORT[package] | {package}, path


@pytest.mark.parametrize("package", sorted(WITHOUT_TORCH))
def test_a_package_that_runs_without_torch_never_names_it_in_an_import(package: str):
    for path in SOURCES:
        if path.parts[0] == package:
            assert not TORCH & {name.partition(".")[0] for name in imports(path)}, path


def test_no_file_has_a_name_that_fits_anything():
    assert [path for path in (*SOURCES, *TESTS) if path.stem in NAMES_FOR_ANYTHING] == []


def test_every_file_is_short():
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in (*SOURCES, *TESTS)}
    assert {path: count for path, count in lines.items() if count > LONGEST_LINES} == {}


def test_every_file_of_the_product_says_what_it_is():
    trees = {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in SOURCES}
    assert [path for path, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_tests_mirror_the_folders():
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert folders == set(MAY_IMPORT) | {"docker"}


@pytest.mark.parametrize("folder", FILES_OF_TABLES)
def test_every_entry_of_a_table_has_its_file_beside_the_table(folder: str):
    for name, function in FILES_OF_TABLES[folder].items():
        file = Path(inspect.getsourcefile(function)).relative_to(ROOT)
        assert file.is_relative_to(folder), name


@pytest.mark.parametrize("folder", ["distill/methods", "distill/datasets"])
def test_entries_are_called_like_their_files(folder: str):
    for name, function in FILES_OF_TABLES[folder].items():
        assert Path(inspect.getsourcefile(function)).stem == name


def test_every_runtime_has_its_file_and_is_imported_only_when_asked_for():
    for target in RUNTIMES.values():
        module, _, attribute = target.partition(":")
        path = ROOT / f"{module.replace('.', '/')}.py"
        assert f"class {attribute}" in path.read_text(encoding="utf-8")
        assert path.parent == ROOT / "modelpack" / "runtimes"
