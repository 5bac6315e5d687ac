"""What the command and its trial processes say to each other: one JSON object per line."""

from modelpack.settings import StrictModel
from serve.settings import ServeSettings


class Order(StrictModel):
    """First line to a trial process."""

    settings: ServeSettings
    seconds: float | None
    """Of recorded work. None: only say what could serve the package."""


class Survey(StrictModel):
    """What could serve the package here."""

    artifact: str
    runtimes: tuple[str, ...]
    """The one that the rules choose first."""
    on_gpu: bool
    why: str
    """Of the artifact."""


class Ready(StrictModel):
    """The package is loaded, its samples are replayed; the next line starts the work."""

    is_ready: bool = True


class Worked(StrictModel):
    """What one worker did."""

    images: int
    seconds: float
    median_ms: float
    """Of one image, decode to encode, while all workers were at work."""


class Unfit(StrictModel):
    """The candidate cannot serve."""

    error: str
