"""From settings to something that answers: a URL as it is, a package served here, or a package in process."""

import http.client
import json
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.load.config import SEGMENT_PATH, LoadConfig
from bench.load.http_transport import PORTS
from bench.load.meters import is_this_machine, listening_pid
from bench.load.server_process import served
from bench.load.target import Body, HttpTarget, RuntimeTarget
from bench.plan import IMAGE_SUFFIXES, MAX_IMAGES, noise_image, read_image
from modelpack.errors import SettingsError
from modelpack.package import ModelPackage
from modelpack.runtimes import RUNTIMES

MODEL_PATH = "/v1/model"
MODEL_TIMEOUT_SECONDS = 5.0
BODYLESS = ("GET", "HEAD", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class OpenTarget:
    """Ready for load."""

    target: HttpTarget | RuntimeTarget
    bodies: tuple[Body, ...]
    pid: int | None
    """The server's process, where it is known."""
    knows_all_processes: bool
    """No process of the measurement on this machine is unknown: the load of others can be told."""
    model: dict[str, Any] | None

    @property
    def name(self) -> str:
        if isinstance(self.target, HttpTarget):
            return self.target.url
        return f"{self.target.package.name} in process"


@contextmanager
def open_target(config: LoadConfig) -> Iterator[OpenTarget]:
    """Start what has to be started, and stop it afterwards.

    Raises SettingsError for bodies that are not there, PackageError, ServerError.
    """
    package = ModelPackage.open(config.package) if config.package is not None else None
    bodies = read_bodies(config, package)
    if package is not None and config.in_process:
        yield _in_process(config, package, bodies)
    elif package is not None:
        with served(package.path, config.serve) as server:
            url = server.url + SEGMENT_PATH
            target = http_target(config, url, bodies)
            yield OpenTarget(target, bodies, server.pid, True, describe_server(url))
    else:
        assert config.url is not None
        pid, is_here = _find_server(config)
        target = http_target(config, config.url, bodies)
        model = describe_server(config.url)
        yield OpenTarget(target, bodies, pid, pid is not None or not is_here, model)


def read_bodies(config: LoadConfig, package: ModelPackage | None) -> tuple[Body, ...]:
    """What is sent in turn: the file, the images of the folder, the package's samples, or one generated."""
    request = config.request
    if request.body is not None:
        return (_file_body(request.body),)
    if request.images is not None:
        files = sorted(path for path in request.images.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            suffixes = ", ".join(IMAGE_SUFFIXES)
            raise SettingsError(f"images {request.images}: there is no {suffixes} file in that folder.")
        return tuple(_image_body(path) for path in files[:MAX_IMAGES])
    if request.method in BODYLESS and config.url is not None:
        return (Body(name="empty", content_type="", content=b""),)
    if package is not None and package.manifest.samples:
        return tuple(
            _image_body(package.path / sample.image) for sample in package.manifest.samples[:MAX_IMAGES]
        )
    noise = noise_image(request.image_size, config.seed)
    return (Body(name=noise.name, content_type="image/jpeg", content=noise.content),)


def http_target(config: LoadConfig, url: str, bodies: tuple[Body, ...]) -> HttpTarget:
    return HttpTarget(
        url=url,
        method=config.request.method,
        headers=config.request.headers,
        bodies=bodies,
        expected_status=config.request.expected_status,
        checks_content=config.request.check == "same",
        max_connections=config.max_connections,
        in_flight=config.scenario.in_flight,
    )


def describe_server(url: str) -> dict[str, Any] | None:
    """What `/v1/model` of the same server answers; None where it does not, or where it is no JSON object."""
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=MODEL_TIMEOUT_SECONDS)
    try:
        connection.request("GET", MODEL_PATH)
        response = connection.getresponse()
        described = json.loads(response.read()) if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return described if isinstance(described, dict) else None


def _find_server(config: LoadConfig) -> tuple[int | None, bool]:
    """(the server's process, whether it runs on this machine)."""
    parts = urlsplit(config.url or "")
    is_here = is_this_machine(parts.hostname or "")
    if config.pid is not None or not is_here:
        return config.pid, is_here
    return listening_pid(parts.port or PORTS[parts.scheme]), is_here


def _in_process(config: LoadConfig, package: ModelPackage, bodies: tuple[Body, ...]) -> OpenTarget:
    manifest = package.manifest
    multiple = manifest.size_multiple
    height, width = (
        manifest.resizing.height or config.request.image_size[0] // multiple * multiple,
        manifest.resizing.width or config.request.image_size[1] // multiple * multiple,
    )
    target = RuntimeTarget(
        package=package.path.resolve(),
        artifact=config.artifact,
        runtime=config.runtime,
        runtime_table=dict(RUNTIMES),
        device=config.device,
        threads=config.threads,
        lanes=config.lanes,
        batch=config.scenario.batch,
        images=tuple(body.content for body in bodies),
        input_size=(height, width),
    )
    described = {
        "name": manifest.name,
        "version": manifest.version,
        "input": {"height": height, "width": width},
    }
    return OpenTarget(target, bodies, None, True, described)


def _file_body(path: Path) -> Body:
    if not path.is_file():
        raise SettingsError(f"body {path}: there is no such file.")
    return Body(name=path.name, content_type=_content_type(path), content=path.read_bytes())


def _image_body(path: Path) -> Body:
    return Body(name=path.name, content_type=_content_type(path), content=read_image(path).content)


def _content_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
