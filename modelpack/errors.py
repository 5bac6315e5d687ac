"""One tree of errors: each names the thing, the value, the rule and the way out.

The command line prints the message alone and exits with `exit_code`; the service maps the class to an HTTP
status in one table (`serve/problems.py`).
"""

from collections.abc import Collection
from difflib import get_close_matches
from typing import ClassVar


class SegError(Exception):
    """Everything this project raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(SegError):
    """The user asked for something that cannot be asked for."""

    exit_code: ClassVar[int] = 2


class SettingsError(UsageError, ValueError):
    """A recipe or an override has a wrong key or value."""


class UnknownNameError(UsageError, LookupError):
    """A recipe asked for an entry that its table does not have."""

    def __init__(self, kind: str, name: str, known: Collection[str]) -> None:
        close = get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Available: {', '.join(sorted(known))}.")


class ShapeError(SegError, ValueError):
    """Tensors or arrays that do not fit each other or the rule."""


class DatasetError(SegError):
    """A dataset that cannot be read, or that must not be trained on."""


class CheckpointError(SegError):
    """Weights or a training state that are missing, damaged or of another network."""


class GateError(SegError):
    """A check on accuracy failed: the work was done, its result is refused."""


class PackageError(SegError):
    """A model package that is incomplete, damaged or of an unknown format."""


class RuntimeUnavailableError(SegError):
    """An inference runtime or device that this machine does not have."""


class ImageError(SegError, ValueError):
    """An image that is refused; the message is fit for the one who sent it."""


class UnsupportedImageError(ImageError):
    """Not one of the accepted formats or pixel layouts."""


class CorruptImageError(ImageError):
    """The right format, but it does not decode."""


class ImageTooLargeError(ImageError):
    """More bytes or pixels than the stated limit."""
