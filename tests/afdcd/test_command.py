"""`afdcd STAGE VERB`: the table of stages, and that nothing is imported before it is asked for."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from afdcd.__main__ import STAGES, main
from modelpack.tables import resolve

HEAVY = {"torch", "onnxruntime", "fastapi", "matplotlib", "cv2"}
HELP = f"""
import json, sys
from afdcd.__main__ import main
sys.argv = ["afdcd", "--help"]
try:
    main()
finally:
    print(json.dumps(sorted({HEAVY} & set(sys.modules))))
"""


def afdcd(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["afdcd", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_stage_with_its_verbs(words, monkeypatch, capsys):
    assert afdcd(monkeypatch, *words) == (0 if words else 2)
    printed = capsys.readouterr().out
    for name, (_, summary) in STAGES.items():
        assert f"  {name:8} {summary}" in printed


@pytest.mark.parametrize("name", [name for name, (_, summary) in STAGES.items() if "|" in summary])
def test_a_stage_has_the_verbs_that_the_table_says(name: str):
    target, summary = STAGES[name]
    commands = resolve(target).registered_commands
    verbs = {command.name or command.callback.__name__ for command in commands}
    assert verbs == set(summary.split(" | "))


def test_an_unknown_stage_exits_2_with_the_nearest_one(monkeypatch, capsys):
    assert afdcd(monkeypatch, "distil", "train") == 2
    assert "error: unknown stage 'distil'. Did you mean 'distill'?" in capsys.readouterr().err


def test_a_stage_that_is_not_installed_exits_2_and_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(STAGES, "serve", ("a_package_that_is_not_there:app", ""))
    assert afdcd(monkeypatch, "serve", "start") == 2
    assert "pip install 'afdcd[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["run", "distill", "export", "bench", "serve"])
def test_a_stage_without_a_verb_explains_itself_and_exits_2(stage: str, monkeypatch, capsys):
    assert afdcd(monkeypatch, stage) == 2
    captured = capsys.readouterr()
    assert f"Usage: afdcd {stage}" in captured.out + captured.err


def test_version_is_that_of_the_distribution(monkeypatch, capsys):
    assert afdcd(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"afdcd {version('afdcd')}\n"


def test_a_missing_recipe_exits_2(monkeypatch, capsys):
    assert afdcd(monkeypatch, "run", "nowhere.yaml") == 2
    assert "recipe nowhere.yaml does not exist" in capsys.readouterr().err
