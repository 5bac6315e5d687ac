"""The shadow of one process: its masks are compared with the answers, and the worst images kept."""

import asyncio
import logging
from time import perf_counter
from typing import Any, Literal

from modelpack.errors import PackageError, SegError
from modelpack.metrics import ConfusionMatrix
from serve.mirror.kept_images import KeptImages
from serve.mirror.metrics import MirrorMetrics
from serve.mirror.mirror import Fate, Frame, Mirror
from serve.mirror.tally import Tally, compare_masks
from serve.model import ServedModel, load_model
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

ROLE = "shadow"
State = Literal["loading", "ready", "failed"]


class Shadow:
    """Stands beside the default model of the service, whichever version of it answers.

    It is loaded when the service answers already, and where it cannot be, the service answers on: `tell`, the
    log and `afdcd_shadow_ready` say so.
    """

    def __init__(self, settings: ServeSettings, metrics: MirrorMetrics) -> None:
        self.state: State = "loading"
        self._reason = ""
        self._settings = settings
        self._metrics = metrics
        self._model: ServedModel | None = None
        self._beside = ""
        """The name of the models whose answers it looks at."""
        self._tallies: dict[str, Tally] = {}
        """By the title of the model that answered."""
        self._mirror = Mirror(ROLE, settings.shadow.share, self._look, self._count)
        keep = settings.shadow.keep
        self._kept_images: KeptImages | None = None
        if keep is not None:
            self._kept_images = KeptImages(
                keep,
                max_images=settings.shadow.keep_images,
                max_bytes=settings.shadow.keep_bytes,
                file_format=settings.shadow.keep_format,
            )
        metrics.shadow_ready.set(0)

    async def load(self, answering: ServedModel) -> None:
        """Open, check and replay its package. Never raises for what is wrong with it."""
        try:
            model = await asyncio.wrap_future(self._mirror.pool.submit(self._open))
            check_classes(model, answering)
        except Exception as error:
            known = isinstance(error, SegError)
            self.state, self._reason = "failed", str(error) if known else "see the log."
            logger.error("there is no shadow: %s", error, exc_info=None if known else error)
            return
        self._model, self._beside, self.state = model, answering.manifest.name, "ready"
        self._metrics.shadow_ready.set(1)
        logger.info("%s is the shadow of %s", model.title, answering.title)

    def offer(self, frame: Frame) -> None:
        """An answered image; from any thread."""
        if self._model is None or frame.deployment.name != self._beside:
            return
        if frame.deployment.model.manifest.labels.names == self._model.manifest.labels.names:
            self._mirror.offer(frame)

    def tell(self) -> dict[str, Any]:
        """As plain JSON types; `add_up` makes one of several processes' words."""
        return {
            "state": self.state,
            "reason": self._reason,
            "model": "" if self._model is None else self._model.title,
            "classes": [] if self._model is None else list(self._model.manifest.labels.names),
            "beside": {title: tally.tell() for title, tally in self._tallies.items()},
        }

    def close(self) -> None:
        self._mirror.close()
        if self._model is not None:
            self._model.runtime.close()

    def _open(self) -> ServedModel:
        """In the mirror's thread, whose priority the threads of the runtime inherit."""
        asked = {"package": self._settings.shadow.package, "artifact": None, "runtime": None}
        model, replay = load_model(self._settings.model_copy(update=asked))
        logger.info("%s is loaded from %s, %s", model.title, asked["package"], replay)
        return model

    def _look(self, frame: Frame) -> None:
        assert self._model is not None
        labels = self._model.manifest.labels
        input_hwc = self._model.fit(frame.image_hwc)
        begun = perf_counter()
        mask_hw = self._model.infer(input_hwc)
        infer_s = perf_counter() - begun
        confusion = compare_masks(frame.mask_hw, mask_hw, labels.num_classes)
        title = frame.deployment.model.title
        self._metrics.observe(ROLE, title, labels.names, confusion, infer_s)
        if confusion.pixel_accuracy() < self._settings.shadow.keep_below:
            self._keep(frame, confusion)
        self._tally(frame).take(confusion)

    def _keep(self, frame: Frame, confusion: ConfusionMatrix) -> None:
        if self._kept_images is None or self._model is None:
            return
        facts = {
            "request_id": frame.request_id,
            "answered_by": frame.deployment.model.origin,
            "shadow": self._model.origin,
            "iou_per_class": confusion.to_dict(self._model.manifest.labels)["iou_per_class"],
        }
        try:
            if self._kept_images.offer(frame.image_hwc, confusion.pixel_accuracy(), facts):
                self._metrics.count_kept()
        except OSError as error:
            logger.error("an image was not kept in %s: %s", self._settings.shadow.keep, error)

    def _count(self, frame: Frame, fate: Fate) -> None:
        self._metrics.count(ROLE, frame.deployment.model.title, fate)
        if fate == "failed":
            self._tally(frame).failed += 1
        elif fate == "dropped":
            self._tally(frame).dropped += 1

    def _tally(self, frame: Frame) -> Tally:
        model = frame.deployment.model
        return self._tallies.setdefault(model.title, Tally(model.manifest.labels.num_classes))


def add_up(told: list[dict[str, Any]]) -> dict[str, Any]:
    """One description from the words of all processes; its state is the worst of theirs."""
    states: tuple[State, ...] = ("failed", "loading", "ready")
    worst = min(told, key=lambda word: states.index(word["state"]))
    known = next((word for word in told if word["model"]), worst)
    tallies: dict[str, Tally] = {}
    for word in told:
        for title, tally in word["beside"].items():
            tallies.setdefault(title, Tally(len(tally["both"]))).add(tally)
    return {
        "state": worst["state"],
        "reason": worst["reason"],
        "model": known["model"],
        "beside": {title: tally.describe(known["classes"]) for title, tally in tallies.items()},
    }


def check_classes(model: ServedModel, answering: ServedModel) -> None:
    """Raises PackageError where masks of the two cannot be compared."""
    names, expected = model.manifest.labels.names, answering.manifest.labels.names
    if names != expected:
        raise PackageError(
            f"{model.title} has the classes {', '.join(names)}, and {answering.title}, beside which it would "
            f"run, {', '.join(expected)}: their masks cannot be compared. Take one with the same classes in "
            "the same order."
        )
