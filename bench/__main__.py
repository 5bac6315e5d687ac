"""`afdcd bench VERB`; every verb is a file in `bench/commands` and a line below."""

import sys

from bench.commands.compare import compare
from bench.commands.latency import latency
from bench.commands.load import load
from bench.commands.selftest import selftest
from bench.commands.serve import serve
from modelpack.command import new_app, run

SUMMARY = "Latency, throughput, memory and size, measured so that they can be believed."

app = new_app("bench", SUMMARY)

app.command()(latency)
app.command()(load)
app.command()(serve)
app.command()(compare)
app.command()(selftest)


def main() -> None:
    sys.exit(run(app, sys.argv[1:], "afdcd bench"))


if __name__ == "__main__":
    main()
