"""The real runner on generators that work in virtual time."""

from types import SimpleNamespace

from bench.load.config import LoadConfig
from bench.load.loops import OpenLoop
from bench.load.messages import Loaded
from bench.load.runner import Runner
from bench.load.transport import TransportFacts
from bench.progress import Silent
from bench.selftest.fake_lanes import LoadBehaviour
from tests.bench.load_runs import sent_through


class VirtualGenerators:
    """Every loop meets the server as it was at its start."""

    pids = ()

    def __init__(self, behaviour: LoadBehaviour):
        self._behaviour = behaviour

    def run(self, loop, timeout_seconds):
        samples = sent_through(loop, self._behaviour, timeout_s=timeout_seconds)
        waits = 0 if isinstance(loop, OpenLoop) else 1
        facts = TransportFacts(connections=1, waits=waits)
        return samples, [Loaded(cpu_seconds=0.01, start_ns=0, wall_seconds=1.0, transport=facts)]


def virtual_runner(behaviour: LoadBehaviour, folder, **settings) -> Runner:
    config = LoadConfig.model_validate({"url": "http://nowhere", "warm_up_seconds": 0, **settings})
    opened = SimpleNamespace(name="virtual", target=None, pid=None, knows_all_processes=False)
    return Runner(config, opened, VirtualGenerators(behaviour), folder, Silent())
