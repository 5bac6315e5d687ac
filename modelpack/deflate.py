"""Deflate for rows that are mostly zeros: Intel's ISA-L where it is installed, else zlib's run lengths."""

import zlib

try:
    from isal import isal_zlib
except ImportError:
    _HAS_ISAL = False
else:
    _HAS_ISAL = True

_LEVEL = 1


def deflate(data: bytes) -> bytes:
    """A zlib stream. ISA-L takes a fraction of zlib's time; its result is larger, but small still."""
    if _HAS_ISAL:
        return bytes(isal_zlib.compress(data, _LEVEL))
    compressor = zlib.compressobj(level=_LEVEL, strategy=zlib.Z_RLE)
    return compressor.compress(data) + compressor.flush()
