"""The one command: `afdcd STAGE VERB`. Stages are imported only when they are asked for."""

import sys
from importlib.metadata import version

from modelpack import command
from modelpack.errors import SegError, UnknownNameError
from modelpack.tables import lookup, resolve

STAGES = {
    "demo": ("afdcd.commands:demo_app", "the whole chain on the embedded dataset"),
    "run": ("afdcd.commands:run_app", "the whole chain on a recipe; finished stages are skipped"),
    "distill": (
        "distill.__main__:app",
        "pretrain | prepare | train | evaluate | compare | analyse | bench | doctor | replay | list",
    ),
    "export": ("export.__main__:app", "build | verify | promote | inspect | triton | keygen | sign"),
    "bench": ("bench.__main__:app", "latency | load | serve | compare | selftest"),
    "serve": ("serve.__main__:app", "start | check | key"),
}


def main() -> None:
    args = sys.argv[1:]
    if not args or args[0] in ("-h", "--help"):
        lines = [f"  {name:8} {summary}" for name, (_, summary) in STAGES.items()]
        print("usage: afdcd STAGE VERB ...\n\n" + "\n".join(lines) + "\n\nafdcd STAGE --help says more.")
        sys.exit(0 if args else 2)
    if args[0] == "--version":
        print(f"afdcd {version('afdcd')}")
        sys.exit(0)
    try:
        target, _ = lookup(STAGES, "stage", args[0])
        app = resolve(target)
    except (UnknownNameError, ImportError) as error:
        hint = "" if isinstance(error, SegError) else f" Install it: pip install 'afdcd[{args[0]}]'."
        print(f"error: {error}{hint}", file=sys.stderr)
        sys.exit(2)
    sys.exit(command.run(app, args[1:], f"afdcd {args[0]}"))


if __name__ == "__main__":
    main()
