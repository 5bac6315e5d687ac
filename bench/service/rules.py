"""How the figures were made, in words; they stand in every result."""

from bench.load import validity
from bench.service.config import ServiceConfig
from bench.statistics import CONFIDENCE, RESAMPLES


def rules_of(config: ServiceConfig) -> dict[str, str]:
    """Name -> rule."""
    return {
        "ours": "`afdcd serve start` with the fp32 graph on the CPU, its own number of workers, requests not "
        "logged",
        "naive": "bench/service/naive.py under uvicorn with its defaults, requests not logged: UploadFile, "
        "Pillow, ONNX Runtime, one process, FastAPI's threads; the same graph",
        "in process": "the same graph in the same runtime as ours, one thread in a call: decode, resize, "
        "graph, resize, PNG; processes x threads, each at work without a pause; the best division counts",
        "requests": "multipart/form-data, the same bytes to both services; one connection for each client",
        "closed loop": "every client sends when its last answer has come",
        "open loop": f"Poisson arrivals at {config.open_share:.0%} of what our service answered with 16 "
        "clients before the rounds; latency counts from the intended send",
        "rounds": f"{config.rounds}, each with every contestant under every load, for {config.seconds:g} s "
        f"after {config.warm_up_seconds:g} s of the same load; the order rotates; idle processes stay",
        "interval": f"{CONFIDENCE:.0%}, bootstrap: {RESAMPLES} draws of whole rounds, alike for both sides",
        "throughput": "median over the rounds of the ratio of both sides in the same round",
        "percentiles": "of the raw samples of all rounds together",
        "memory": "highest sum of proportional set sizes (PSS) of all processes of a service, any load",
        "spoiled": "rounds with an invalid visit are left out of the bars that need it; with fewer than half "
        "of the rounds left the bar is INVALID, unless it is met though a late generator speaks against it",
        **{f"valid: {name}": rule for name, rule in validity.RULES.items() if name != "search"},
    }
