"""How long a run will take, from those that were."""

from collections import OrderedDict
from collections.abc import Callable

_MEAN_GAIN, _DEVIATION_GAIN, _DEVIATIONS = 1 / 8, 1 / 4, 4
"""As TCP estimates how long an answer may take: RFC 6298."""
MOST_SIZES = 32
"""Image sizes that are remembered; the one not seen for longest goes."""

Size = tuple[int, int]
"""(height, width) as the graph takes it."""


class Estimate:
    """A duration, from those that were seen; zero before the first."""

    def __init__(self) -> None:
        self.usual_s = 0.0
        self._deviation_s: float | None = None

    def add(self, seconds: float) -> None:
        if self._deviation_s is None:
            self.usual_s, self._deviation_s = seconds, seconds / 2
            return
        error_s = seconds - self.usual_s
        self._deviation_s += _DEVIATION_GAIN * (abs(error_s) - self._deviation_s)
        self.usual_s += _MEAN_GAIN * error_s

    @property
    def longest_s(self) -> float:
        """Of which one is seldom longer."""
        return self.usual_s + _DEVIATIONS * (self._deviation_s or 0.0)


class RunTimes:
    """Durations of one model's runs, by image size and number of images."""

    def __init__(self) -> None:
        self._finishing = Estimate()
        self._known: OrderedDict[Size, dict[int, Estimate]] = OrderedDict()

    def add(self, size: Size, images: int, seconds: float) -> None:
        """One run: from its begin until its outputs are there."""
        by_images = self._known.setdefault(size, {})
        by_images.setdefault(images, Estimate()).add(seconds)
        self._known.move_to_end(size)
        if len(self._known) > MOST_SIZES:
            self._known.popitem(last=False)

    def add_finishing(self, seconds: float) -> None:
        """From a run's outputs to an answer."""
        self._finishing.add(seconds)

    def usual_s(self, size: Size, images: int) -> float:
        """From the begin of a run to its answers; zero before the first run.

        What is not known of a size is taken from the last one that is, and costs more as it has more pixels.
        """
        return self._expected(size, images, lambda estimate: estimate.usual_s)

    def longest_s(self, size: Size, images: int) -> float:
        """The same, seldom exceeded."""
        return self._expected(size, images, lambda estimate: estimate.longest_s)

    def _expected(self, size: Size, images: int, of: Callable[[Estimate], float]) -> float:
        if not self._known:
            return 0.0
        seen, factor = size, 1.0
        if size not in self._known:
            seen = next(reversed(self._known))
            factor = max(1.0, size[0] * size[1] / (seen[0] * seen[1]))
        known = {number: of(estimate) for number, estimate in self._known[seen].items()}
        return _among(known, images) * factor + of(self._finishing)


def _among(known: dict[int, float], images: int) -> float:
    """Seconds for a number of images, from the nearest known ones on either side.

    More images are taken to cost in proportion, fewer to save nothing: the truth is seldom above.
    """
    fewer = max((number for number in known if number <= images), default=None)
    more = min((number for number in known if number >= images), default=None)
    bounds = [] if fewer is None else [known[fewer] * images / fewer]
    bounds += [] if more is None else [known[more]]
    return min(bounds)
