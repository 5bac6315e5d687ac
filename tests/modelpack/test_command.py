import errno
import json

import pytest
import typer

from modelpack.command import AsJson, finish, new_app, run, show
from modelpack.errors import GateError, SettingsError


@pytest.fixture
def app():
    app = new_app("stage", "A stage for tests.")

    @app.command()
    def work(problem: str = "", as_json: AsJson = False) -> None:
        problems = {
            "gate": GateError("agreement is 0.9, the rule is 0.999."),
            "settings": SettingsError("recipe r.yaml: lr is required."),
            "interrupt": KeyboardInterrupt(),
            "bug": RuntimeError("a bug"),
            "full": OSError(errno.ENOSPC, "No space left on device", "runs/a.bin"),
            "not ours": OSError(errno.EBADF, "Bad file descriptor"),
        }
        if problem:
            raise problems[problem]
        show("done")
        finish({"miou": 0.5}, as_json)

    @app.command()
    def other() -> None:
        raise typer.Exit(1)

    return app


def test_success_is_0_and_the_last_line_is_json_when_asked(app, capsys):
    assert run(app, ["work", "--json"], "afdcd stage") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"miou": 0.5}


def test_without_json_only_the_text_is_printed(app, capsys):
    assert run(app, ["work"], "afdcd stage") == 0
    assert capsys.readouterr().out == "done\n"


@pytest.mark.parametrize(
    ("problem", "code", "sentence"),
    [
        ("gate", 1, "error: agreement is 0.9, the rule is 0.999.\n"),
        ("settings", 2, "error: recipe r.yaml: lr is required.\n"),
        (
            "full",
            1,
            "error: runs/a.bin: No space left on device. Make room, or give another output=FOLDER; "
            "the same command goes on from here.\n",
        ),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_its_exit_code(app, capsys, problem, code, sentence):
    assert run(app, ["work", "--problem", problem], "afdcd stage") == code
    printed = capsys.readouterr()
    assert printed.err == sentence
    assert printed.out == ""


@pytest.mark.parametrize("args", [["wrok"], ["work", "--colour"], []])
def test_wrong_use_of_the_command_line_exits_with_2(app, args):
    assert run(app, args, "afdcd stage") == 2


def test_help_exits_with_0(app):
    assert run(app, ["--help"], "afdcd stage") == 0


def test_an_exit_code_of_a_verb_is_passed_on(app):
    assert run(app, ["other"], "afdcd stage") == 1


def test_an_interrupt_exits_with_130(app):
    assert run(app, ["work", "--problem", "interrupt"], "afdcd stage") == 130


@pytest.mark.parametrize(("problem", "error"), [("bug", RuntimeError), ("not ours", OSError)])
def test_a_bug_keeps_its_traceback(app, problem, error):
    with pytest.raises(error, match=r"a bug|Bad file descriptor"):
        run(app, ["work", "--problem", problem], "afdcd stage")
