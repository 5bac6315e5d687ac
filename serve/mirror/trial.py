"""The trial of a canary in all processes: begun, watched and ended by one will."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from modelpack.errors import SegError
from serve.control import Control, Execute, Order, Outcome
from serve.deployment import Deployment
from serve.errors import ControlError, UnknownModelError
from serve.mirror.canary import Canary
from serve.mirror.metrics import MirrorMetrics
from serve.mirror.mirror import Frame
from serve.mirror.settings import CanarySettings
from serve.mirror.shadow import check_classes
from serve.mirror.tally import Tally
from serve.mirror.trial_words import description, missing_in, tally_of, title_of
from serve.mirror.verdict import Verdict, judge
from serve.repository import Repository

logger = logging.getLogger(__name__)

LOOK_S = 0.25
"""How often the judge asks all processes what they have counted."""
JUDGE = 0
"""The worker that judges: its place is always taken again, and a successor knows of the trial."""
ASK: Order = {"do": "mirrors"}
"""Answered by every process with `canary`: what `Trial.tell` gives, and `shadow`."""


class Trial:
    """One at a time. The old version answers meanwhile; the new one takes over in all processes at once."""

    def __init__(self, control: Control, repository: Repository, metrics: MirrorMetrics) -> None:
        self._control = control
        self._repository = repository
        self._metrics = metrics
        self._order: Order | None = None
        """The one that began the trial; None: there is none."""
        self._canary: Canary | None = None
        self._broken = ""
        """Why this process has no canary although there is a trial."""
        self._last: dict[str, Any] | None = None
        """How the last trial ended."""
        self._ended: set[str] = set()
        self._judging: asyncio.Task[None] | None = None

    @property
    def orders(self) -> Mapping[str, Execute]:
        return {"canary_begin": self._begin, "canary_promote": self._promote, "canary_end": self._end}

    def offer(self, frame: Frame) -> None:
        """An answered image; from any thread."""
        if self._canary is not None:
            self._canary.offer(frame)

    def tell(self) -> dict[str, Any]:
        return {
            "ticket": None if self._order is None else self._order["ticket"],
            "broken": self._broken,
            "tally": None if self._canary is None else self._canary.tally.tell(),
        }

    async def begin(self, name: str, rules: CanarySettings) -> None:
        """Try the package `name` of the repository folder beside the version that answers.

        Raises UnknownModelError where there is no such package, ControlError where it could not be loaded,
        cannot be compared, or another canary is on trial; then all goes on as before.
        """
        if self._order is not None:
            raise ControlError(f"{title_of(self._order)} is on trial; promote or abort it first.")
        prepared = await self._repository.prepare(name)
        try:
            what = self._fitting(prepared)
        except SegError as error:
            await self._repository.discard(prepared)
            raise ControlError(f"{name!r} is not tried and all goes on as before: {error}") from error
        order = {"do": "canary_begin", **prepared, **what, "rules": rules.model_dump()}
        try:
            await self._control.ask(order, agreed=prepared["package"])
        except ControlError as error:
            await self._decide(order, Verdict("aborted", str(error)), Tally(len(what["classes"])))
            raise

    async def promote(self, name: str) -> None:
        """Let it take over now, whatever was counted. Raises ControlError where `name` is not on trial."""
        order, outcome = self._on_trial(name), await self._control.ask(ASK)
        broken = missing_in(outcome, order)
        if broken:
            raise ControlError(f"a worker has not got {title_of(order)}, which cannot take over: {broken}")
        await self._decide(order, Verdict("promoted", "an operator said so."), tally_of(outcome, order))

    async def abort(self, name: str) -> None:
        """Unload it; all goes on as before. Raises ControlError where `name` is not on trial."""
        order, outcome = self._on_trial(name), await self._control.ask(ASK)
        await self._decide(order, Verdict("aborted", "an operator said so."), tally_of(outcome, order))

    def describe(self, outcome: Outcome) -> dict[str, Any] | None:
        """The trial that there is, else the last one; None before the first."""
        if self._order is None:
            return self._last
        return description(self._order, "on_trial", "", tally_of(outcome, self._order))

    def close(self) -> None:
        if self._judging is not None:
            self._judging.cancel()
        if self._canary is not None:
            self._canary.close()

    def _fitting(self, prepared: Mapping[str, str]) -> dict[str, Any]:
        """What the order says of the two models. Raises a SegError where they cannot be compared."""
        new = self._repository.prepared(prepared["ticket"])
        try:
            old = self._repository.get(new.name)
        except UnknownModelError as error:
            raise ControlError(
                f"nothing answers under the name {new.name!r} yet; load it at once."
            ) from error
        if old.source == new.source:
            raise ControlError(
                f"it was written over {old.model.title}, which a worker that starts again could not load any "
                "more. Put the new version into a folder of its own."
            )
        check_classes(new.model, old.model)
        return {
            "name": new.name,
            "version": new.version,
            "against": old.version,
            "classes": list(new.model.manifest.labels.names),
        }

    def _on_trial(self, name: str) -> Order:
        if self._order is None or name not in (self._order["name"], Path(self._order["package"]).name):
            raise ControlError(f"no version of {name!r} is on trial.")
        return self._order

    async def _begin(self, order: Order) -> dict[str, Any]:
        """A process that was born later opens the package now; where it cannot, the old one answers on."""
        if self._order is not None:
            raise ControlError(f"{title_of(self._order)} is on trial; promote or abort it first.")
        self._order, self._broken = order, ""
        try:
            old = self._repository.get(order["name"], order["against"])
            new = await self._deployment(order)
        except SegError as error:
            self._broken = str(error)
            logger.error("%s is not on trial in this worker: %s", title_of(order), error)
        else:
            rules = CanarySettings.model_validate(order["rules"])
            self._canary = Canary(new, old, rules, self._metrics)
        self._metrics.on_trial.set(1)
        if self._control.worker == JUDGE:
            self._judging = asyncio.create_task(self._judge(order))
        return {}

    async def _promote(self, order: Order) -> dict[str, Any]:
        canary = self._leave(order)
        self._repository.take_in(canary.deployment if canary else await self._deployment(order))
        if canary is not None:
            await canary.end()
        return {}

    async def _end(self, order: Order) -> dict[str, Any]:
        if order["ticket"] in self._ended:
            return {}
        canary = self._leave(order)
        if canary is not None:
            await canary.end()
        unused = canary.deployment if canary else self._repository.take_prepared(order["ticket"])
        if unused is not None:
            await unused.retire()
        return {}

    def _leave(self, order: Order) -> Canary | None:
        """The trial is over; gives what was on trial here. Raises ControlError where it was over already."""
        if order["ticket"] in self._ended:
            raise ControlError(f"the trial of {title_of(order)} is over already.")
        self._ended.add(order["ticket"])
        if self._order is not None and self._order["ticket"] != order["ticket"]:
            return None
        if self._order is not None and self._control.worker == JUDGE:
            self._metrics.count_verdict(order["ended"]["state"])
        canary, self._canary, self._order, self._broken = self._canary, None, None, ""
        self._last = order["ended"]
        self._metrics.on_trial.set(0)
        return canary

    async def _deployment(self, order: Order) -> Deployment:
        prepared = self._repository.take_prepared(order["ticket"])
        return prepared or await self._repository.open(Path(order["package"]))

    async def _judge(self, order: Order) -> None:
        begun = monotonic()
        rules = CanarySettings.model_validate(order["rules"])
        while self._order is order:
            await asyncio.sleep(LOOK_S)
            try:
                outcome = await self._control.ask(ASK)
                tally = tally_of(outcome, order)
                verdict = self._hindrance(outcome, order) or judge(
                    tally, monotonic() - begun, rules, order["classes"]
                )
                if verdict is not None and self._order is order:
                    await self._decide(order, verdict, tally)
            except SegError as error:
                logger.warning("the trial of %s could not be judged: %s", title_of(order), error)

    def _hindrance(self, outcome: Outcome, order: Order) -> Verdict | None:
        """What ends the trial whatever was counted."""
        broken = missing_in(outcome, order)
        if broken:
            return Verdict("rolled_back", f"a worker could not load it: {broken}")
        try:
            answering = self._repository.get(order["name"])
        except UnknownModelError:
            answering = None
        if self._canary is not None and answering is not self._canary.incumbent:
            return Verdict("rolled_back", "the version beside which it was tried does not answer any more.")
        return None

    async def _decide(self, order: Order, verdict: Verdict, tally: Tally) -> None:
        do = "canary_promote" if verdict.word == "promoted" else "canary_end"
        ended = description(order, verdict.word, verdict.reason, tally)
        named = {key: order[key] for key in ("ticket", "package", "name", "version")}
        await self._control.ask({"do": do, **named, "ended": ended}, agreed=order["package"])
        level = logging.WARNING if verdict.word == "rolled_back" else logging.INFO
        logger.log(level, "canary %s: %s: %s", title_of(order), verdict.word, verdict.reason)
