"""The models of the service: loaded, replaced and unloaded in all of its processes or in none."""

import asyncio
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from modelpack.atomic import sha256_file
from modelpack.errors import SegError
from modelpack.package import MANIFEST_NAME
from serve.batching.line import open_line
from serve.batching.scheduler import Scheduler
from serve.control import Control, Order
from serve.deployment import Deployment
from serve.errors import ControlError, UnknownModelError
from serve.lane import Lane
from serve.model import load_model
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Key = tuple[str, str]
"""(name, version)."""
NO_MODEL = "no model is loaded. Load one: POST /v1/models/NAME/load."


class Repository:
    """The deployments of one process, and the way to change those of all.

    A change has two phases: every process opens, checks and replays the new package, and only when all have
    done so does it take the place of the old one, which answers what it has begun.
    """

    def __init__(self, settings: ServeSettings, control: Control, scheduler: Scheduler) -> None:
        self._settings = settings
        self._control = control
        self._lane = Lane("infer", 1)
        self._scheduler = scheduler
        self._deployments: dict[Key, Deployment] = {}
        """In the order in which they were installed: of a name's versions the last answers by default."""
        self.unloaded: dict[Key, Path] = {}
        """What was unloaded and where it came from, the latest last: it may be loaded again."""
        self._prepared: dict[str, Deployment] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def orders(self) -> Mapping[str, Any]:
        """What this process does when all are asked to."""
        return {
            "prepare": self._prepare,
            "discard": self._discard,
            "install": self._install,
            "unload": self._unload,
        }

    async def load_first(self) -> None:
        """The packages that the settings name. Raises what `load_model` raises."""
        for folder in (self._settings.package, *self._settings.more_packages):
            self.take_in(await self.open(folder))

    def get(self, name: str | None = None, version: str | None = None) -> Deployment:
        """None: the default model, and the last loaded version of a name. Raises UnknownModelError."""
        if name is None and not self._deployments:
            raise UnknownModelError(NO_MODEL)
        wanted = self.default_name if name is None else name
        versions = [entry for (known, _), entry in self._deployments.items() if known == wanted]
        if version is not None:
            versions = [entry for entry in versions if entry.version == version]
        if not versions:
            known = ", ".join(sorted(entry.model.title for entry in self._deployments.values())) or "none"
            asked = wanted if version is None else f"{wanted}:{version}"
            raise UnknownModelError(f"model {asked!r} is not loaded. Loaded: {known}.")
        return versions[-1]

    def find(self, title: str | None) -> Deployment:
        """By `NAME` or `NAME:VERSION`, as requests write it; None: the default. Raises UnknownModelError."""
        name, _, version = (title or "").partition(":")
        return self.get(name or None, version or None)

    @property
    def default_name(self) -> str:
        """The model that answers where none is named."""
        return next(iter(self._deployments))[0]

    def all(self) -> tuple[Deployment, ...]:
        return tuple(self._deployments.values())

    async def load(self, name: str) -> Deployment:
        """The package `name` of the repository folder, or what is or was loaded under that name, from disk.

        Raises UnknownModelError for a name that is neither, ControlError for what no process, or not every
        one, could load; then all answer as before.
        """
        order = await self.prepare(name)
        installed = await self._control.ask({"do": "install", **order}, agreed=order["package"])
        answer = installed.answers[0]
        return self.get(answer["name"], answer["version"])

    async def prepare(self, name: str) -> dict[str, str]:
        """The first phase alone: all processes have the package `name` ready, and none answers with it yet.

        Gives `ticket` and `package`, for the order of the second phase. Raises as `load` does.
        """
        folder = self._folder_of(name)
        order = {"ticket": uuid4().hex, "package": str(folder)}
        try:
            prepared = await self._control.ask({"do": "prepare", **order})
            if len({answer["sha256"] for answer in prepared.answers}) > 1:
                raise ControlError(f"package {folder} changed while it was loaded. Load it again.")
        except SegError as error:
            await self.discard(order)
            raise ControlError(f"{name!r} was not loaded and all goes on as before: {error}") from error
        return order

    async def discard(self, order: Order) -> None:
        """Forget in all processes what was prepared."""
        await self._control.ask({**order, "do": "discard"})

    def prepared(self, ticket: str) -> Deployment:
        """What this process has ready."""
        return self._prepared[ticket]

    def take_prepared(self, ticket: str) -> Deployment | None:
        """It belongs to the caller from now on. None in a process that was born after the others prepared."""
        return self._prepared.pop(ticket, None)

    async def unload(self, name: str, version: str | None = None) -> None:
        """What it has begun it answers. The last model may go too. Raises UnknownModelError."""
        deployment = self.get(name, version)
        source = str(deployment.source)
        order = {"do": "unload", "name": name, "version": deployment.version, "package": source}
        await self._control.ask(order, agreed=source)

    async def reload(self) -> list[str]:
        """Load again every package whose manifest has changed on disk; gives the titles of these."""
        loaded = []
        for deployment in self.all():
            manifest = deployment.source / MANIFEST_NAME
            if manifest.is_file() and await asyncio.to_thread(sha256_file, manifest) != (
                deployment.model.manifest_sha256
            ):
                loaded.append((await self.load(deployment.name)).model.title)
        return loaded

    def close(self) -> None:
        self._scheduler.close()
        for deployment in (*self._prepared.values(), *self._deployments.values()):
            deployment.model.runtime.close()
        self._lane.close()

    def _folder_of(self, name: str) -> Path:
        loaded = [entry.source for entry in self.all() if entry.name == name]
        if loaded:
            return loaded[-1]
        unloaded = [source for (known, _), source in self.unloaded.items() if known == name]
        if unloaded:
            return unloaded[-1]
        root = self._settings.repository
        if root is not None and NAME.fullmatch(name) and (root / name / MANIFEST_NAME).is_file():
            return root / name
        where = f"in {root}" if root is not None else "and no folder to load others from is set (repository)"
        raise UnknownModelError(f"there is no model {name!r} to load: it is not loaded, {where}.")

    async def _prepare(self, order: Order) -> dict[str, Any]:
        deployment = await self.open(Path(order["package"]))
        self._prepared[order["ticket"]] = deployment
        return {"title": deployment.model.title, "sha256": deployment.model.manifest_sha256}

    async def _discard(self, order: Order) -> dict[str, Any]:
        deployment = self._prepared.pop(order["ticket"], None)
        if deployment is not None:
            await deployment.retire()
        return {}

    async def _install(self, order: Order) -> dict[str, Any]:
        """A process that was born after the others prepared opens the package now."""
        deployment = self.take_prepared(order["ticket"]) or await self.open(Path(order["package"]))
        self.take_in(deployment)
        return {"name": deployment.name, "version": deployment.version}

    async def _unload(self, order: Order) -> dict[str, Any]:
        key = order["name"], order["version"]
        deployment = self._deployments.pop(key, None)
        self.unloaded.pop(key, None)
        self.unloaded[key] = Path(order["package"])
        if deployment is not None:
            self._retire(deployment)
        return {}

    async def open(self, folder: Path) -> Deployment:
        """Raises what `load_model` raises."""
        settings = self._settings.model_copy(update={"package": folder})
        model, replay = await asyncio.to_thread(load_model, settings)
        logger.info("%s is loaded from %s, %s", model.title, folder, replay)
        line = await asyncio.to_thread(open_line, model, settings, self._scheduler)
        return Deployment(model, replay, folder, self._lane, line)

    def take_in(self, new: Deployment) -> None:
        """`new` answers from now on: in place of what came from the same folder or has the same title."""
        default = self.default_name if self._deployments else new.name
        for key, old in list(self._deployments.items()):
            if old.source == new.source or key == (new.name, new.version):
                if old.name == default:
                    default = new.name
                del self._deployments[key]
                self._retire(old)
        self._deployments[new.name, new.version] = new
        self.unloaded.pop((new.name, new.version), None)
        self._put_first(default)

    def _put_first(self, name: str) -> None:
        """Keep the default model the default when a new version came last."""
        first = {key: entry for key, entry in self._deployments.items() if key[0] == name}
        self._deployments = first | self._deployments

    def _retire(self, deployment: Deployment) -> None:
        task = asyncio.get_running_loop().create_task(deployment.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
