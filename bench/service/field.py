"""Starts everybody, and stops them afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.load.generators import Generators
from bench.load.open_target import describe_server
from bench.load.server_process import RunningServer, served
from bench.load.target import Body, HttpTarget
from bench.messages import OpenOrder
from bench.plan import BenchImage
from bench.service.config import ServiceConfig
from bench.service.contestants import (
    NAIVE,
    OURS,
    OURS_INT8,
    OURS_SHADOWED,
    Contestant,
    Service,
    WithoutHttp,
)
from bench.service.heats import ALONE, FEW, MANY, Heat
from bench.service.images import multipart_body, read_images
from bench.service.in_process import InProcess
from bench.service.naive_process import PATH, naive_served
from bench.service.shadowed import shadow_settings, wait_for_shadow
from modelpack.cpu import usable_cores
from modelpack.errors import SettingsError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.runtimes import RUNTIMES, choose

SEGMENT_PATH = "/v1/segment"
ONE_AT_A_TIME = (1, 1)
MAX_CONNECTIONS = 128
"""More than any closed loop has clients; an open loop may need some of them."""


@dataclass(frozen=True)
class Field:
    """Everybody, ready."""

    contestants: tuple[Contestant, ...]
    images: tuple[BenchImage, ...]
    artifact: str
    """The graph that all but `ours-int8` compute."""


@contextmanager
def open_field(config: ServiceConfig) -> Iterator[Field]:
    """Start all that is measured. Raises SettingsError, PackageError, ServerError, WorkerError."""
    package = ModelPackage.open(config.package)
    images = read_images(config, package)
    graph = graph_of(package, "fp32")
    if graph is None:
        raise SettingsError(f"package {package.path} has no verified ONNX graph in fp32 to compare with.")
    size = _input_size(package, images[0])
    bodies = tuple(map(multipart_body, images))
    with ExitStack() as stack:

        def service(name: str, server: RunningServer, path: str) -> Service:
            generators = stack.enter_context(Generators(1, _target(server.url + path, bodies)))
            return Service(name, server, generators, describe_server(server.url) or {"graph": graph.name})

        def our_service(name: str, artifact: Artifact, **more: Any) -> Service:
            settings = {"artifact": artifact.name, "device": "cpu", **config.serve, **more}
            return service(name, stack.enter_context(served(package.path, settings)), SEGMENT_PATH)

        services = [our_service(OURS, graph)]
        services.append(
            service(NAIVE, stack.enter_context(naive_served(package.path / graph.path, size)), PATH)
        )
        if config.int8 and (int8 := graph_of(package, "int8")) is not None:
            services.append(our_service(OURS_INT8, int8))
        if config.shadow is not None:
            services.append(our_service(OURS_SHADOWED, graph, **shadow_settings(config.shadow)))
            wait_for_shadow(services[-1].server.url)
        order = OpenOrder(
            package=package.path.resolve(),
            artifact=graph.name,
            runtime=choose(package, artifact=graph.name, device="cpu").runtime,
            runtime_table=dict(RUNTIMES),
            device="cpu",
            threads=1,
            input_size=size,
            images=tuple(image.content for image in images),
        )
        shapes = divisions(config)
        work = stack.enter_context(InProcess(max(processes for processes, _ in shapes), order))
        without = [
            WithoutHttp(work, *shape, _heats(shape, shapes), work.description)
            for shape in dict.fromkeys((ONE_AT_A_TIME, *shapes))
        ]
        yield Field((*services, *without), images, graph.name)


def graph_of(package: ModelPackage, precision: str) -> Artifact | None:
    """The first verified ONNX graph of that precision."""
    found = (entry for entry in package.manifest.artifacts if entry.kind == "onnx" and entry.is_verified)
    return next((entry for entry in found if entry.precision == precision), None)


def divisions(config: ServiceConfig) -> tuple[tuple[int, int], ...]:
    """(processes, threads) that do the work without HTTP."""
    cores = usable_cores()
    return config.in_process or tuple(dict.fromkeys(((1, cores), (cores, 1))))


def _heats(shape: tuple[int, int], shapes: tuple[tuple[int, int], ...]) -> tuple[Heat, ...]:
    """One image at a time tells the latency, all cores at work the throughput."""
    return ((ALONE,) if shape == ONE_AT_A_TIME else ()) + ((FEW, MANY) if shape in shapes else ())


def _target(url: str, bodies: tuple[Body, ...]) -> HttpTarget:
    return HttpTarget(
        url=url,
        method="POST",
        headers={},
        bodies=bodies,
        expected_status=(200,),
        checks_content=False,
        max_connections=MAX_CONNECTIONS,
        in_flight=1,
    )


def _input_size(package: ModelPackage, image: BenchImage) -> tuple[int, int]:
    """(height, width) of the graph's input: fixed, or that of the first image cut to what the graph takes."""
    resizing, multiple = package.manifest.resizing, package.manifest.size_multiple
    if resizing.height is not None and resizing.width is not None:
        return resizing.height, resizing.width
    height, width = image.size
    return max(height // multiple, 1) * multiple, max(width // multiple, 1) * multiple
