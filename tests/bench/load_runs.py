"""Loops against lanes of known behaviour, in virtual time."""

import numpy as np

from bench.load.loops import ClosedLoop, OpenLoop, closed_loop, open_loop
from bench.load.messages import Loaded
from bench.load.samples import Samples
from bench.load.summary import PERCENTS, summarise
from bench.load.transport import TransportFacts
from bench.selftest.fake_lanes import LoadBehaviour
from tests.bench.virtual_time import VirtualServer, in_virtual_time

TIMEOUT_S = 10.0
ALONE = (0, 1)


def opened(rate=100.0, seconds=10.0, arrivals="constant", warm_up_seconds=0.0, seed=0):
    return OpenLoop(rate=rate, seconds=seconds, arrivals=arrivals, warm_up_seconds=warm_up_seconds, seed=seed)


def closed(clients=1, seconds=10.0, **changes):
    settings = {"warm_up_seconds": 0.0, "max_requests": 10**6, "max_seconds": 1000.0, **changes}
    return ClosedLoop(clients=clients, seconds=seconds, **settings)


def sent_through(loop, behaviour: LoadBehaviour, share=ALONE, timeout_s=TIMEOUT_S) -> Samples:
    """The samples of one loop against one server."""

    async def work(virtual):
        server = VirtualServer(behaviour, virtual)
        if isinstance(loop, OpenLoop):
            recorder = await open_loop(loop, server, 0, share, timeout_s, virtual.wait_until, virtual.clock)
        else:
            recorder = await closed_loop(loop, server, 0, share, timeout_s, virtual.clock)
        return Samples.merged([recorder.samples(round(loop.warm_up_seconds * 1e9))])

    return in_virtual_time(work)


def summarised(loop, samples: Samples, name="run", cpu=0.1, other_load=0.0, max_error_share=0.001, **facts):
    """The run as it is reported."""
    loaded = Loaded(cpu_seconds=cpu, start_ns=0, wall_seconds=1.0, transport=TransportFacts(**facts))
    return summarise(
        name,
        loop,
        samples,
        [loaded],
        is_in_process=False,
        max_error_share=max_error_share,
        percents=PERCENTS,
        server=None,
        other_load=other_load,
    )


def made_samples(latency_ms, rate=100.0, lag_ms=0.0, outcome=None) -> Samples:
    """Constant arrivals with latencies (n,) from the intended send; `lag_ms` of it is the generator."""
    took_ns = (np.asarray(latency_ms, float) * 1e6).astype(np.int64)
    n = len(took_ns)
    intended_ns = (np.arange(n) / rate * 1e9).astype(np.int64)
    started_ns = intended_ns + (np.broadcast_to(lag_ms, n) * 1e6).astype(np.int64)
    return Samples(
        intended_ns=intended_ns,
        started_ns=started_ns,
        sent_ns=started_ns,
        done_ns=intended_ns + took_ns,
        status=np.full(n, 200, np.int16),
        outcome=np.zeros(n, np.uint8) if outcome is None else np.asarray(outcome, np.uint8),
        received_bytes=np.ones(n, np.int64),
    )
