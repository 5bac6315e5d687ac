"""What the documents tell a reader to type is understood, and what they point at is there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from afdcd.__main__ import STAGES
from afdcd.chain import Recipe
from modelpack.recipe import read_recipe
from modelpack.tables import resolve
from serve.formats import FORMATS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("docker/*.md"),
]
RECIPES = sorted((ROOT / "recipes").glob("**/[!_]*.yaml"))
PLANNED = re.compile(r"\(planned: [^)]*\)")


def blocks(text: str) -> list[str]:
    """Lines of fenced and indented code, continued lines joined."""
    joined = text.replace("\\\n", " ")
    fenced = re.findall(r"^```\w*\n(.*?)^```", joined, re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4}(\S.*)$", joined, re.MULTILINE)
    return [line.strip() for block in (*fenced, *indented) for line in block.splitlines()]


def command_lines() -> list[str]:
    """Every line that starts with the command: in code of the documents, and first lines of recipes."""
    lines = [line for path in DOCUMENTS for line in blocks(path.read_text(encoding="utf-8"))]
    lines += [path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in RECIPES]
    return [line for line in lines if re.match(r"afdcd \w", line)]


def verbs(stage: str) -> dict[str, object]:
    command = typer.main.get_command(resolve(STAGES[stage][0]))
    return getattr(command, "commands", {})


OVERVIEWS = [
    line for line in command_lines() if re.match(r"afdcd \w+ {2,}\w", line) and verbs(line.split()[1])
]
"""Lines such as `afdcd STAGE  VERB | VERB`."""
COMMANDS = [line for line in command_lines() if not (" | " in line or "RECIPE" in line or line in OVERVIEWS)]


def test_the_documents_hold_commands():
    assert len(COMMANDS) > len(RECIPES)
    assert {line.split()[1] for line in OVERVIEWS} == {"distill", "export", "bench", "serve"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_written_command_is_understood(line: str):
    stage, *rest = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(resolve(STAGES[stage][0]))
    if verbs(stage):
        assert rest[0] in verbs(stage)
        command, rest = verbs(stage)[rest[0]], rest[1:]
    command.make_context(stage, list(rest))
    if rest and rest[0].startswith("recipes/"):
        Recipe(read_recipe(ROOT / rest[0], [word for word in rest[1:] if "=" in word]), rest[0])


@pytest.mark.parametrize("line", OVERVIEWS)
def test_an_overview_lists_the_verbs_that_there_are(line: str):
    stage, *listed = re.findall(r"\w+", PLANNED.sub("", line))[1:]
    assert set(listed) == set(verbs(stage))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_document_names_are_there(path: Path):
    text = path.read_text(encoding="utf-8")
    links = {(path.parent / link) for link in re.findall(r"\]\((?!http)([^)#]+)\)", text)}
    names = re.findall(
        r"`((?:distill|export|bench|serve|modelpack|afdcd|tests|recipes|docker)/[\w/.*-]*)`", text
    )
    missing = [str(link) for link in links if not link.exists()]
    missing += [name for name in names if not list(ROOT.glob(name.rstrip("/")))]
    assert [name for name in missing if "mean_matching" not in name] == []


def test_requests_in_the_documents_ask_for_formats_that_there_are():
    asked = {
        name for path in DOCUMENTS for name in re.findall(r"\?format=(\w+)", path.read_text(encoding="utf-8"))
    }
    assert asked
    assert asked <= set(FORMATS)
