"""What is counted about models beside the answers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelpack.metrics import ConfusionMatrix
from serve.metrics import SECONDS
from serve.mirror.mirror import Fate
from serve.mirror.tally import both_and_either

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 1.0)
"""Upper bounds of the buckets of an image's agreement."""
VERDICTS = ("promoted", "rolled_back", "aborted")


class MirrorMetrics:
    """`role` is `shadow` or `canary`; `model` is the title of the model that answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._images = Counter(
            "afdcd_mirror_images_total",
            "Images taken for a model beside the answers, by what came of them.",
            ("role", "model", "fate"),
            registry=registry,
        )
        self._agreement = Histogram(
            "afdcd_mirror_agreement",
            "Share of pixels of an image in which answer and second model agree.",
            ("role", "model"),
            buckets=SHARES,
            registry=registry,
        )
        self._pixels = Counter(
            "afdcd_mirror_pixels_total",
            "Pixels by class that both models, or at least one (either), gave it.",
            ("role", "model", "class", "by"),
            registry=registry,
        )
        self._seconds = Histogram(
            "afdcd_mirror_infer_seconds",
            "Time of the second model's graph for an image.",
            ("role",),
            buckets=SECONDS,
            registry=registry,
        )
        self._kept = Counter(
            "afdcd_shadow_kept_total", "Images written to the shadow's folder.", registry=registry
        )
        self.shadow_ready = Gauge(
            "afdcd_shadow_ready",
            "1: the shadow looks on; 0: there should be one, and is not.",
            registry=registry,
        )
        self.shadow_ready.set(1)
        self.on_trial = Gauge("afdcd_canary_on_trial", "1 while a canary is on trial.", registry=registry)
        self._verdicts = Counter(
            "afdcd_canary_verdicts_total",
            "Trials of canaries that ended, by how; counted by worker 0.",
            ("verdict",),
            registry=registry,
        )
        for verdict in VERDICTS:
            self._verdicts.labels(verdict)

    def count(self, role: str, model: str, fate: Fate) -> None:
        self._images.labels(role, model, fate).inc()

    def observe(
        self, role: str, model: str, classes: tuple[str, ...], confusion: ConfusionMatrix, infer_s: float
    ) -> None:
        """One compared image."""
        self._agreement.labels(role, model).observe(confusion.pixel_accuracy())
        self._seconds.labels(role).observe(infer_s)
        for name, both, either in zip(classes, *both_and_either(confusion), strict=True):
            if either:
                self._pixels.labels(role, model, name, "both").inc(int(both))
                self._pixels.labels(role, model, name, "either").inc(int(either))

    def count_kept(self) -> None:
        self._kept.inc()

    def count_verdict(self, verdict: str) -> None:
        self._verdicts.labels(verdict).inc()
