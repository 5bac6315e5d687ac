"""The table of response formats. A new one is a file beside this and a line below."""

from serve.formats.answer import Answer, Format
from serve.formats.color import COLOR
from serve.formats.confidence import CONFIDENCE
from serve.formats.hf import HF
from serve.formats.npy import NPY
from serve.formats.options import Options
from serve.formats.overlay import OVERLAY
from serve.formats.png import PNG
from serve.formats.polygons import POLYGONS
from serve.formats.rle import RLE
from serve.formats.stats import STATS

FORMATS: dict[str, Format] = {
    "png": PNG,
    "color": COLOR,
    "overlay": OVERLAY,
    "stats": STATS,
    "rle": RLE,
    "polygons": POLYGONS,
    "npy": NPY,
    "hf": HF,
    "confidence": CONFIDENCE,
}
"""Name -> format. Where formats share a media type, `Accept` means the first; the others go by name."""

__all__ = ["FORMATS", "Answer", "Format", "Options"]
