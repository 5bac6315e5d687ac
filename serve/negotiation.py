"""Choose the response format: `?format=` wins, else `Accept` and its weights decide (RFC 9110, 12.5.1)."""

from collections.abc import Mapping

from modelpack.tables import lookup
from serve.errors import NotAcceptableError
from serve.formats import Format


def choose_format(formats: Mapping[str, Format], name: str | None, accept: str | None) -> str:
    """The name of the format to answer with; the table's first where the client does not care.

    Raises UnknownNameError for a `name` not in the table, NotAcceptableError where `accept` excludes all.
    """
    if name:
        lookup(formats, "format", name)
        return name
    ranges = _media_ranges(accept or "*/*")
    weights = {known: _weight(entry.media_type, ranges) for known, entry in formats.items()}
    best = max(weights, key=lambda known: weights[known])
    if weights[best] <= 0:
        raise NotAcceptableError(accept or "", dict.fromkeys(entry.media_type for entry in formats.values()))
    return best


def _media_ranges(accept: str) -> dict[str, float]:
    """Media range -> weight; what is not understood counts as not wanted."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            ranges[media_range] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            ranges[media_range] = 0.0
    return ranges


def _weight(media_type: str, ranges: Mapping[str, float]) -> float:
    """The most specific range that covers the type decides."""
    group = media_type.partition("/")[0]
    return next((ranges[key] for key in (media_type, f"{group}/*", "*/*") if key in ranges), 0.0)
