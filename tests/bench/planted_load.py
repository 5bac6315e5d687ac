"""A load result put together by hand: known samples, no server."""

import numpy as np

from bench.load.config import LoadConfig
from bench.load.result import LoadResult
from bench.load.runner import RAW_FOLDER
from bench.load.validity import verdict
from modelpack.atomic import write_text
from tests.bench.load_runs import closed, made_samples, opened, summarised
from tests.bench.planted import ENVIRONMENT

CLIENTS, RATE = 4, 100.0
RULES = {"open loop": "from the intended send", "closed loop": "from the send"}


def write_load_result(folder, median_ms, *, seed, count=400):
    """`load.json` and raw samples of a closed and an open loop; gives the file."""
    config = LoadConfig(url="http://127.0.0.1:1/", clients=(CLIENTS,), rates=(RATE,))
    runs = []
    for name, loop in (("closed-4", closed(CLIENTS)), ("open-100", opened(RATE))):
        latency_ms = np.random.default_rng(seed + len(runs)).normal(median_ms, median_ms / 20, count)
        samples = made_samples(latency_ms, RATE)
        samples.write(folder / RAW_FOLDER / f"{name}.npz")
        runs.append(summarised(loop, samples, name))
    result = LoadResult(
        created="2026-01-02T03:04:05+00:00",
        seconds=9.0,
        verdict=verdict([]),
        target=config.url,
        bodies=(("frame.jpg", 48_000),),
        model=None,
        settings=config,
        environment=ENVIRONMENT,
        rules=RULES,
        runs=tuple(runs),
        sweep=None,
        scenarios=(),
    )
    write_text(folder / "load.json", result.model_dump_json())
    return folder / "load.json"
