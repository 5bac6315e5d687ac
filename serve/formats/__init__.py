"""The table of response formats. A new one is a file beside this and a line below."""

from serve.formats.answer import Answer, Format
from serve.formats.color import COLOR
from serve.formats.overlay import OVERLAY
from serve.formats.png import PNG
from serve.formats.stats import STATS

FORMATS: dict[str, Format] = {
    "png": PNG,
    "color": COLOR,
    "overlay": OVERLAY,
    "stats": STATS,
}
"""Name -> format. Where formats share a media type, `Accept` means the first; the others go by name."""

__all__ = ["FORMATS", "Answer", "Format"]
