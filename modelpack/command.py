"""The process edge of every command: errors become one sentence and an exit code, results one line of JSON.

Exit codes: 0 done, 1 a gate or the work failed, 2 wrong use. Only this file and `__main__.py` files print.
"""

import errno
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler

from modelpack.errors import SegError

Recipe = Annotated[Path, typer.Argument(help="Recipe (YAML); recipes/ holds the ones that ship.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings laid upon the recipe.")
]
AsJson = Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")]

_OTHER_OUTPUT = "Give a folder that you may write to, as in output=FOLDER."
_FREE_SPACE = "Make room, or give another output=FOLDER; the same command goes on from here."
_WAYS_OUT = {
    errno.EACCES: _OTHER_OUTPUT,
    errno.EPERM: _OTHER_OUTPUT,
    errno.EROFS: _OTHER_OUTPUT,
    errno.EEXIST: _OTHER_OUTPUT,
    errno.ENOTDIR: _OTHER_OUTPUT,
    errno.EISDIR: _OTHER_OUTPUT,
    errno.ENAMETOOLONG: _OTHER_OUTPUT,
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: _FREE_SPACE,
}
"""What the file system refuses through nobody's fault but the machine's or the user's."""


def new_app(stage: str, summary: str) -> typer.Typer:
    return typer.Typer(
        name=stage, help=summary, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
    )


def run(app: typer.Typer, args: Sequence[str], prog: str) -> int:
    """Run a stage's command; gives the exit code. A SegError is one sentence on stderr, no traceback."""
    _set_up_logging()
    try:
        app(list(args), prog_name=prog, standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except SegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in _WAYS_OUT:
            raise
        print(f"error: {error.filename}: {error.strerror}. {_WAYS_OUT[error.errno]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    return 0


def finish(result: Mapping[str, Any], as_json: bool) -> None:
    """The last line of a verb: machine-readable when `--json` was given."""
    if as_json:
        print(json.dumps(result, default=str), flush=True)


def show(text: str) -> None:
    """A line of the result for a person."""
    print(text, flush=True)


def _set_up_logging() -> None:
    """Lines with time and level on a terminal, plain lines elsewhere; both on stderr."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # who reads a damaged image says so
    if logging.getLogger().handlers:
        return
    if sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415  (only a terminal needs it)

        handler: logging.Handler = RichHandler(
            console=Console(stderr=True), show_path=False, rich_tracebacks=False
        )
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="%H:%M:%S"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", datefmt="%H:%M:%S")
        )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("httpx", "matplotlib", "PIL", "onnxscript", "torch.onnx", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
