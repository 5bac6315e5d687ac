"""What a request may say about how its answer is written."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelpack.errors import UnknownNameError
from modelpack.labels import LabelSet


@dataclass(frozen=True)
class Options:
    """The same for all formats; each reads what concerns it."""

    classes: tuple[str, ...] = ()
    """Names or indices of the classes to show, as the request wrote them; empty: all."""
    at_model_size: bool = False
    """True: the size that the model computes at. False: the size of the image that was sent."""
    alpha: float = 0.5
    """Opacity of the overlay's colours, 0 to 1."""
    has_legend: bool = False
    """Names of the classes beside the overlay."""
    tolerance_px: float = 1.0
    """Farthest that a simplified polygon may be from the exact outline; 0 keeps the outline."""


def chosen_classes(asked: Sequence[str], labels: LabelSet) -> tuple[int, ...]:
    """Class indices in ascending order; all where nothing is asked for.

    Each item of `asked` is a name (which may hold commas), an index, or several of them joined by commas.
    Raises UnknownNameError with the classes that there are.
    """
    if not asked:
        return tuple(range(labels.num_classes))
    words = [word for item in asked for word in ([item] if item in labels.names else item.split(","))]
    return tuple(sorted({_index(word.strip(), labels) for word in words}))


def _index(word: str, labels: LabelSet) -> int:
    if word in labels.names:
        return labels.names.index(word)
    if word.isascii() and word.isdecimal() and int(word[:4]) < labels.num_classes and len(word) < 5:
        return int(word)
    raise UnknownNameError("class", word, labels.names)
